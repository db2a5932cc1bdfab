internal import Crypto

/// Adds up a file's content, piece by piece, to the digests it is checked against: its own, or those of the files that
/// make it.
struct Digester: Sendable {
    private enum Sum: Sendable {
        case sha256(SHA256)
        case sha1(Insecure.SHA1)

        init(for file: HubFile) {
            switch file.digest {
            case .sha256: self = .sha256(SHA256())
            case .gitBlob:
                var sha1 = Insecure.SHA1()
                Array("blob \(file.bytes)\0".utf8).withUnsafeBytes { sha1.update(bufferPointer: $0) }
                self = .sha1(sha1)
            }
        }
    }

    private var sum: Sum
    /// What is added up, and what comes behind it.
    private var sources: ArraySlice<HubFile>
    /// Bytes that are missing of the first of them.
    private var missing: Int64
    /// One before was not what it should be.
    private var isWrong = false

    init(for file: HubFile) {
        sources = file.sources[...]
        sum = Sum(for: file.sources[0])
        missing = file.sources[0].bytes
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var bytes = bytes[...]
        while !bytes.isEmpty {
            if missing == 0, sources.count > 1 { next() }
            let count = sources.count > 1 ? Int(min(missing, Int64(bytes.count))) : bytes.count
            update(UnsafeRawBufferPointer(rebasing: bytes.prefix(count)))
            missing -= Int64(count)
            bytes = bytes.dropFirst(count)
        }
    }

    /// Takes back what was added of the source that is added up.
    mutating func restart() {
        if missing == 0, sources.count > 1 { next() } else { begin() }
    }

    /// Whether what was added is the file.
    var isRight: Bool { !isWrong && sources.count == 1 && isSourceRight }

    private mutating func next() {
        isWrong = isWrong || !isSourceRight
        sources.removeFirst()
        begin()
    }

    private mutating func begin() {
        guard let source = sources.first else { return }
        sum = Sum(for: source)
        missing = source.bytes
    }

    private mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch sum {
        case .sha256(var sha256):
            sha256.update(bufferPointer: bytes)
            sum = .sha256(sha256)
        case .sha1(var sha1):
            sha1.update(bufferPointer: bytes)
            sum = .sha1(sha1)
        }
    }

    private var isSourceRight: Bool {
        let hex =
            switch sum {
            case .sha256(let sha256): Self.hex(sha256.finalize())
            case .sha1(let sha1): Self.hex(sha1.finalize())
            }
        return hex == sources.first?.digest.hex
    }

    /// What a file that pieces make is known by: no digest of its content, but another for other pieces.
    static func name(of pieces: [HubFile]) -> FileDigest {
        .sha256(hex(SHA256.hash(data: Array(pieces.map(\.digest.hex).joined().utf8))))
    }

    private static func hex(_ digest: some Sequence<UInt8>) -> String {
        digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }
}
