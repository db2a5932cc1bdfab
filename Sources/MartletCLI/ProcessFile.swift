import FoundationEssentials
import MartletServer

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file that a server keeps locked while it runs. The lock is the system's: it ends with the process however that ends,
/// and the system says who holds it, so that a number that was given again meanwhile cannot be mistaken for it.
enum ProcessFile {
    /// Locks it for this process, and writes the process id into it.
    /// - Throws: `AppError` when another process holds it, or it cannot be written.
    static func claim(_ path: String) throws {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw AppError("cannot write \(path): \(String(cString: strerror(errno)))") }
        var lock = wholeFile()
        guard fcntl(file, F_SETLK, &lock) == 0 else {
            close(file)
            throw AppError("another server holds \(path): stop it first")
        }
        let text = "\(getpid())\n"
        _ = ftruncate(file, 0)
        _ = text.withCString { write(file, $0, strlen($0)) }
        // It stays open, for the lock would end with it.
    }

    /// The process that holds it; nil: none does.
    static func holder(_ path: String) -> pid_t? {
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var lock = wholeFile()
        guard fcntl(file, F_GETLK, &lock) == 0, lock.l_type != Int16(F_UNLCK), lock.l_pid > 0 else { return nil }
        return lock.l_pid
    }

    private static func wholeFile() -> flock {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        return lock
    }
}
