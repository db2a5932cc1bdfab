internal import Crypto

/// Adds up a file's content, piece by piece, to the kind of digest it is checked against.
struct Digester: Sendable {
    private enum Sum: Sendable {
        case sha256(SHA256)
        case sha1(Insecure.SHA1)
    }

    private var sum: Sum
    private let expected: FileDigest

    init(for file: HubFile) {
        expected = file.digest
        switch file.digest {
        case .sha256: sum = .sha256(SHA256())
        case .gitBlob:
            var sha1 = Insecure.SHA1()
            Array("blob \(file.bytes)\0".utf8).withUnsafeBytes { sha1.update(bufferPointer: $0) }
            sum = .sha1(sha1)
        }
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        switch sum {
        case .sha256(var sha256):
            sha256.update(bufferPointer: bytes)
            sum = .sha256(sha256)
        case .sha1(var sha1):
            sha1.update(bufferPointer: bytes)
            sum = .sha1(sha1)
        }
    }

    /// Whether what was added is the file.
    var isRight: Bool {
        switch sum {
        case .sha256(let sha256): Self.hex(sha256.finalize()) == expected.hex
        case .sha1(let sha1): Self.hex(sha1.finalize()) == expected.hex
        }
    }

    private static func hex(_ digest: some Sequence<UInt8>) -> String {
        digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }
}
