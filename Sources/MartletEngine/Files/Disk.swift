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

/// The few things we do with files, in one place.
enum Disk {
    struct Entry: Sendable, Hashable {
        /// Bytes; of a link, those of the file it leads to.
        var bytes: Int64
        /// Nanoseconds since 1970 of the last change; of a link, that of the file it leads to.
        var changed: Int64
        var isRegular: Bool
        var isFolder: Bool
        var isLink: Bool
        /// The file's own, on its disk; of a link, that of the file it leads to.
        var number: UInt64
    }

    /// What is at `path`, links followed; nil when nothing is there or a link leads nowhere.
    static func entry(_ path: String) -> Entry? {
        var target = stat()
        var itself = stat()
        guard stat(path, &target) == 0, lstat(path, &itself) == 0 else { return nil }
        #if canImport(Darwin)
            let changed = target.st_mtimespec
        #else
            let changed = target.st_mtim
        #endif
        return Entry(
            bytes: Int64(target.st_size), changed: Int64(changed.tv_sec) &* 1_000_000_000 &+ Int64(changed.tv_nsec),
            isRegular: target.st_mode & S_IFMT == S_IFREG,
            isFolder: target.st_mode & S_IFMT == S_IFDIR, isLink: itself.st_mode & S_IFMT == S_IFLNK,
            number: UInt64(target.st_ino))
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether a program holds the lock (flock(2)) of that file.
    static func isLocked(_ path: String) -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return false }
        defer { close(file) }
        return flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    static func isProgram(_ path: String) -> Bool {
        access(path, X_OK) == 0 && entry(path)?.isRegular == true
    }

    /// The names in a folder, sorted; empty when it cannot be read.
    static func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    /// The path without links; nil when nothing is there.
    static func resolved(_ path: String) -> String? {
        guard let pointer = realpath(path, nil) else { return nil }
        defer { free(pointer) }
        return String(cString: pointer)
    }

    /// The path from the root on; links stay as they are.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    static func read(_ path: String) -> [UInt8]? {
        FileManager.default.contents(atPath: path).map { [UInt8]($0) }
    }

    static func write(_ text: String, to path: String) throws(EngineError) {
        guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) else {
            throw failure("write", path)
        }
    }

    /// Makes the folder and those above it; `mode` is that of the last one, also when it was there already.
    static func makeFolder(_ path: String, mode: mode_t = 0o755) throws(EngineError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw failure("create", path)
        }
        guard chmod(path, mode) == 0 else { throw failure("set the mode of", path) }
    }

    /// Makes a folder that must not exist yet; false when the name is taken.
    static func makeNewFolder(_ path: String, mode: mode_t) -> Bool { mkdir(path, mode) == 0 }

    static func rename(_ from: String, to: String) throws(EngineError) {
        let result: Int32
        #if canImport(Darwin)
            result = Darwin.rename(from, to)
        #elseif canImport(Musl)
            result = Musl.rename(from, to)
        #else
            result = Glibc.rename(from, to)
        #endif
        guard result == 0 else { throw failure("put in place", to) }
    }

    static func unlink(_ path: String) { _ = remove(path) }

    static func removeTree(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    static func failure(_ verb: String, _ path: String) -> EngineError {
        let reason = String(cString: strerror(errno))
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return EngineError(.fileSystem, "cannot \(verb) \(name): \(reason)")
    }
}
