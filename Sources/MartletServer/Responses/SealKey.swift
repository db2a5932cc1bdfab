import Crypto
import FoundationEssentials
package import Logging
package import MartletDialects
import NIOCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The key of this installation, with which reasoning is sealed that travels through clients: nobody else
/// can read or make what it seals. It is a file under home that its owner alone can read, made when
/// something is sealed for the first time.
package final class SealKey: Sendable {
    private static let length = 32

    private let home: String
    private let logger: Logger
    /// Nil until it is used.
    private let key = Mutex<SymmetricKey?>(nil)

    package init(home: String, logger: Logger) {
        self.home = home
        self.logger = logger
    }

    package var seal: ReasoningSeal {
        ReasoningSeal(
            close: { payload in self.key(making: true).flatMap { Self.sealed(payload, with: $0) } ?? ByteBuffer() },
            open: { sealed in self.key(making: false).flatMap { Self.opened(sealed, with: $0) } })
    }

    private var path: String { home + "/seal.key" }

    /// - Parameter making: there must be one; nil else when nothing has been sealed yet.
    private func key(making: Bool) -> SymmetricKey? {
        key.withLock { key in
            if let key { return key }
            if let bytes = FileManager.default.contents(atPath: path), bytes.count == Self.length {
                key = SymmetricKey(data: bytes)
            } else if making {
                key = made()
            }
            return key
        }
    }

    /// A new key in its file, or the one that another process has put there meanwhile. Where none can be kept, it
    /// is good until the process ends.
    private func made() -> SymmetricKey {
        let new = SymmetricKey(size: .bits256)
        let part = path + ".\(getpid()).part"
        try? FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { unlink(part) }
        let file = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return unkept(new) }
        let isWritten = new.withUnsafeBytes { write(file, $0.baseAddress, $0.count) == $0.count } && fsync(file) == 0
        guard close(file) == 0, isWritten else { return unkept(new) }
        if link(part, path) == 0 { return new }
        guard errno == EEXIST, let bytes = FileManager.default.contents(atPath: path), bytes.count == Self.length else {
            return unkept(new)
        }
        return SymmetricKey(data: bytes)
    }

    private func unkept(_ key: SymmetricKey) -> SymmetricKey {
        logger.warning(
            "the key that seals reasoning cannot be kept: after a restart, sealed reasoning is dropped",
            metadata: ["reason": "the file seal.key in martlet's home is damaged or cannot be made"])
        return key
    }

    // MARK: With a key

    private static func sealed(_ payload: ByteBuffer, with key: SymmetricKey) -> ByteBuffer? {
        let box = try? ChaChaPoly.seal([UInt8](buffer: payload), using: key)
        return box.map { ByteBuffer(bytes: $0.combined) }
    }

    private static func opened(_ sealed: ByteBuffer, with key: SymmetricKey) -> ByteBuffer? {
        let box = try? ChaChaPoly.SealedBox(combined: [UInt8](buffer: sealed))
        return box.flatMap { try? ChaChaPoly.open($0, using: key) }.map { ByteBuffer(bytes: $0) }
    }
}
