#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A private folder (mode 0700) for engine sockets, gone when this value is.
///
/// It lies in `XDG_RUNTIME_DIR`, else under home, else, where those paths are too long for a socket, in the temporary
/// folder. The gateway holds a lock on a file in it; a folder nobody holds is a dead gateway's and is removed by the
/// next. A lock, not a process number: numbers come back, in a container as soon as the next start.
package final class SocketFolder: Sendable {
    /// Bytes of a Unix socket's path, without its end, that every platform takes: `sun_path` has 104 on macOS, 108 on
    /// Linux (unix(7)).
    package static let pathLimit = 103

    package let path: String
    private let lock: Int32

    private static let lockName = "lock"
    private static let prefix = "martlet-"
    /// Room for the socket's own name, `/<n>.sock`.
    private static let socketRoom = 24

    /// Makes the folder and removes those that dead gateways left.
    /// - Throws: `fileSystem` when none of the places will do.
    package convenience init(
        home: String, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(EngineError) {
        var bases: [String] = []
        if let runtime = environment["XDG_RUNTIME_DIR"], runtime.hasPrefix("/"), Disk.entry(runtime)?.isFolder == true {
            bases.append(runtime)
        }
        bases.append("\(home)/run")
        bases.append(environment["TMPDIR"].map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 } ?? "/tmp")
        bases.append("/tmp")
        try self.init(bases: bases, runFolder: "\(home)/run")
    }

    private init(bases: [String], runFolder: String) throws(EngineError) {
        for base in bases {
            if base == runFolder { try? Disk.makeFolder(base, mode: 0o700) }
            Self.removeLeftovers(in: base)
            for _ in 0..<16 {
                let name = "\(Self.prefix)\(getpid())-\(String(UInt16.random(in: 0 ... .max), radix: 16))"
                let candidate = "\(base)/\(name)"
                guard candidate.utf8.count + Self.socketRoom <= Self.pathLimit else { break }
                guard Disk.makeNewFolder(candidate, mode: 0o700) else {
                    if errno == EEXIST { continue }
                    break
                }
                guard let lock = Self.acquire("\(candidate)/\(Self.lockName)", creating: true) else {
                    // Another gateway that starts at this moment has taken it for a dead one's.
                    Disk.removeTree(candidate)
                    continue
                }
                self.path = candidate
                self.lock = lock
                return
            }
        }
        throw EngineError(
            .fileSystem,
            "no folder can be made for the engines' sockets: XDG_RUNTIME_DIR, home/run and the temporary folder are "
                + "missing, not writable or too long (\(Self.pathLimit) bytes).")
    }

    deinit {
        Disk.removeTree(path)
        close(lock)
    }

    package func socketPath(_ number: UInt64) -> String { "\(path)/\(number).sock" }

    private static func removeLeftovers(in base: String) {
        for name in Disk.names(in: base) where name.hasPrefix(prefix) {
            let folder = "\(base)/\(name)"
            var status = stat()
            guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == getuid(),
                let lock = acquire("\(folder)/\(lockName)", creating: false)
            else { continue }
            Disk.removeTree(folder)
            close(lock)
        }
    }

    /// The descriptor that holds the lock; nil when the file is not there, or gone by now, or somebody else holds it.
    private static func acquire(_ path: String, creating: Bool) -> Int32? {
        let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (creating ? O_CREAT : 0), 0o600)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &status) == 0, status.st_nlink > 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}
