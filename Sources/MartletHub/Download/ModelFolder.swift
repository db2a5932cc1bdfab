#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// `models/<owner>/<repository>`, where a model is brought to. Its calls block for as long as the file system does.
struct ModelFolder: Sendable {
    let root: String
    let owner: String
    let name: String

    var path: String { "\(root)/\(owner)/\(name)" }

    /// Makes the folder and those above it.
    /// - Throws: `fileSystem`.
    func make() throws(HubError) {
        for folder in ancestors() + [path] where mkdir(folder, 0o755) != 0 && errno != EEXIST {
            throw HubError.fileSystem("make the folder of", "\(owner)/\(name)")
        }
        guard isFolder(path) else { throw HubError.fileSystem("make the folder of", "\(owner)/\(name)") }
    }

    /// Removes the folder and its owner's when nothing is in them.
    func removeIfEmpty() {
        guard rmdir(path) == 0 else { return }
        _ = rmdir("\(root)/\(owner)")
    }

    /// Bytes of a file that is there; nil when none is.
    func bytes(of name: String) -> Int64? { Self.bytes(at: "\(path)/\(name)") }

    static func bytes(at path: String) -> Int64? {
        var about = stat()
        guard stat(path, &about) == 0, about.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int64(about.st_size)
    }

    /// Removes what was left of a file's earlier content.
    func removeOtherParts(of file: HubFile) {
        guard let folder = opendir(path) else { return }
        defer { closedir(folder) }
        let begin = PartFile.prefix(of: file)
        let own = PartFile.path(of: file, in: path)
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasPrefix(begin), name.hasSuffix(".part"), "\(path)/\(name)" != own,
                FileDigest.isHex(String(name.dropFirst(begin.utf8.count).dropLast(".part".count)), digits: 12)
            else { continue }
            _ = unlink("\(path)/\(name)")
        }
    }

    /// Gives a part its name, in one step.
    /// - Throws: `fileSystem`.
    func commit(_ part: PartFile) throws(HubError) {
        guard rename(part.path, "\(path)/\(part.file.name)") == 0 else {
            throw HubError.fileSystem("put in place", part.file.name)
        }
    }

    /// Until the names in the folder are on the disk. A file system that cannot do that does it by itself.
    func synchronize() {
        let folder = open(path, O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { return }
        _ = fsync(folder)
        close(folder)
    }

    /// Bytes that are free for us on the disk; nil when the system does not say.
    func free() -> Int64? {
        var about = statvfs()
        guard statvfs(path, &about) == 0 else { return nil }
        let (bytes, overflow) = UInt64(about.f_bavail).multipliedReportingOverflow(by: UInt64(about.f_frsize))
        return overflow ? .max : Int64(clamping: bytes)
    }

    private func ancestors() -> [String] {
        var folders: [String] = []
        var path = root.hasPrefix("/") ? "" : "."
        for part in "\(root)/\(owner)".split(separator: "/") {
            path += "/\(part)"
            folders.append(path)
        }
        return folders
    }

    private func isFolder(_ path: String) -> Bool {
        var about = stat()
        return stat(path, &about) == 0 && about.st_mode & S_IFMT == S_IFDIR
    }
}

/// Keeps a file from being got twice at a time; the system gives it up when its process ends.
final class FileLock: Sendable {
    private let descriptor: Int32
    private let path: String

    /// - Throws: `busy`, `fileSystem`.
    init(_ file: HubFile, in folder: ModelFolder) throws(HubError) {
        path = "\(folder.path)/.\(file.name).lock"
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
            guard descriptor >= 0 else { throw HubError.fileSystem("lock", file.name) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let isTaken = errno == EWOULDBLOCK
                close(descriptor)
                guard isTaken else { throw HubError.fileSystem("lock", file.name) }
                throw HubError(
                    .busy,
                    "\(file.name) of \(folder.owner)/\(folder.name) is being got already: wait until that is done, "
                        + "or end it"
                )
            }
            // Whoever had the lock before may have removed its file between our two calls.
            var mine = stat()
            var there = stat()
            if fstat(descriptor, &mine) == 0, stat(path, &there) == 0, mine.st_ino == there.st_ino {
                self.descriptor = descriptor
                return
            }
            close(descriptor)
        }
    }

    /// Waits until whoever has the lock has given it up.
    /// - Throws: `fileSystem`, `CancellationError`.
    static func wait(for file: HubFile, in folder: ModelFolder) async throws -> FileLock {
        while true {
            do throws(HubError) {
                return try FileLock(file, in: folder)
            } catch {
                guard error.code == .busy else { throw error }
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Ends the lock. Its file goes first: what others lock is then a file of theirs.
    func release() {
        _ = unlink(path)
        close(descriptor)
    }
}
