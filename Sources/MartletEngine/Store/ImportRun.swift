import MartletWire

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Brings one model in. Nothing has its name before all of it is here, and what it came from is as it was until then.
/// Blocks for as long as the file system does.
package struct ImportRun: Sendable {
    /// Bytes that stay free on the disk beyond the files themselves.
    package static let diskMargin: Int64 = 512 << 20

    private let source: ModelImport
    private let way: ModelImport.Way
    private let root: String
    /// Of what is moved, what others need where it is: it comes, and stays.
    private let kept: String?
    private var folder: String { "\(root)/\(source.publisher)/\(source.repository)" }

    /// - Parameters:
    ///   - root: the folder of models; made when it is missing.
    ///   - keepsProjector: other models beside it need it as well, so that it is not moved, but gets another name, or is
    ///     copied where it cannot have one.
    package init(_ source: ModelImport, by way: ModelImport.Way, into root: String, keepsProjector: Bool = false) {
        self.source = source
        self.way = way
        self.root = root
        kept = way == .move && keepsProjector ? source.model.projector : nil
    }

    /// Where its weights are once they are here.
    package var path: String { "\(folder)/\(source.model.file)" }
    /// Of all its files.
    package var bytes: Int64 { source.files.reduce(0) { $0 + (Disk.entry($1)?.bytes ?? 0) } }

    /// - Parameter report: is told of the bytes that have been copied.
    /// - Returns: false when all files were here already.
    /// - Throws: `EngineError` (`.nameTaken`, `.diskFull`, `.notImportable`, `.fileSystem`), `CancellationError`; after
    ///   both nothing of it is here.
    package func run(report: (Int64) -> Void = { _ in }) throws -> Bool {
        if way == .move, let link = source.files.first(where: { Disk.entry($0)?.isLink == true }) {
            throw EngineError(
                .notImportable,
                "\(Shown.text(Self.name(link))) is a link, and moving it would not move the model: use --copy or "
                    + "--link")
        }
        let missing = try source.files.filter { try !isHere($0) }
        guard !missing.isEmpty else { return false }
        try Disk.makeFolder(folder)
        var made: [String] = []
        var moved: [(from: String, to: String)] = []
        do {
            try checkDisk(for: missing)
            var done: Int64 = 0
            for file in missing where !canRename(file) {
                let part = part(of: file)
                made.append(part)
                try bring(file, to: part) { report(done + $0) }
                done += Disk.entry(file)?.bytes ?? 0
            }
            // The weights have their names last: with them the model is there.
            for file in missing.reversed() {
                let from = canRename(file) ? file : part(of: file)
                try Disk.rename(from, to: target(file))
                moved.append((from, target(file)))
            }
        } catch {
            for (from, to) in moved { try? Disk.rename(to, to: from) }
            made.forEach(Disk.unlink)
            if rmdir(folder) == 0 { _ = rmdir("\(root)/\(source.publisher)") }
            throw error
        }
        // Also what had come with another model before; but not what that one's link leads to.
        if way == .move {
            for file in source.files where file != kept && Disk.entry(target(file))?.isLink == false {
                Disk.unlink(file)
            }
        }
        return true
    }

    private func target(_ file: String) -> String { "\(folder)/\(Self.name(file))" }

    /// Hidden, so that no list has it. What an import that was killed left is replaced.
    private func part(of file: String) -> String { "\(folder)/.\(Self.name(file)).importing" }

    private static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    /// Moving within one file system is one step, and needs no room.
    private func canRename(_ file: String) -> Bool {
        way == .move && file != kept && isBeside(file)
    }

    /// Whether it lies on the file system of the folder of models.
    private func isBeside(_ file: String) -> Bool {
        var from = stat()
        var to = stat()
        return stat(file, &from) == 0 && stat(folder, &to) == 0 && from.st_dev == to.st_dev
    }

    /// Whether the very content is there.
    private func isHere(_ file: String) throws -> Bool {
        guard let there = Disk.entry(target(file)) else { return false }
        var one = stat()
        var other = stat()
        let areKnown = stat(file, &one) == 0 && stat(target(file), &other) == 0
        if areKnown, one.st_dev == other.st_dev, one.st_ino == other.st_ino { return true }
        if there.bytes == Disk.entry(file)?.bytes, try Self.isSame(file, target(file)) { return true }
        throw EngineError(
            .nameTaken,
            "\(source.place)/\(Shown.text(Self.name(file))) is there already, and is another file: remove that model "
                + "(martlet rm), or say --as publisher/name")
    }

    private func checkDisk(for files: [String]) throws(EngineError) {
        guard way == .copy || way == .move else { return }
        let needed = files.filter { !canRename($0) && !($0 == kept && isBeside($0)) }.reduce(Int64(0)) {
            $0 + (Disk.entry($1)?.bytes ?? 0)
        }
        guard needed > 0, let free = Disk.free(at: folder), free - needed < Self.diskMargin else { return }
        throw EngineError(
            .diskFull,
            "\(source.place) needs \(ByteCount.shown(needed)) on the disk, and \(ByteCount.shown(Self.diskMargin)) must "
                + "stay free; there are \(ByteCount.shown(free)). Remove a model (martlet rm), or use --link, which "
                + "needs none"
        )
    }

    private func bring(_ file: String, to part: String, report: (Int64) -> Void) throws {
        Disk.unlink(part)
        switch way {
        case .link:
            guard let real = Disk.resolved(file), symlink(real, part) == 0 else { throw Disk.failure("link", file) }
        case .hardLink:
            guard let real = Disk.resolved(file), link(real, part) == 0 else {
                guard errno == EXDEV else { throw Disk.failure("link", file) }
                throw EngineError(
                    .notImportable,
                    "\(Shown.text(Self.name(file))) lies on another file system, where a hard link cannot lead: use "
                        + "--link or --copy")
            }
        case .move where file == kept && link(file, part) == 0: break
        case .copy, .move: try Self.copy(file, to: part, report: report)
        }
    }

    /// Bytes that are copied or compared at a time.
    private static let batch = 4 << 20

    private static func copy(_ file: String, to part: String, report: (Int64) -> Void) throws {
        let from = open(file, O_RDONLY | O_CLOEXEC)
        guard from >= 0 else { throw Disk.failure("read", file) }
        defer { close(from) }
        let to = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard to >= 0 else { throw Disk.failure("write", file) }
        defer { close(to) }
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: batch, alignment: 16)
        defer { piece.deallocate() }
        var done: Int64 = 0
        while true {
            try Task.checkCancellation()
            let count = read(from, piece.baseAddress, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Disk.failure("read", file) }
            if count == 0 { break }
            var rest = UnsafeRawBufferPointer(rebasing: piece[..<count])
            while !rest.isEmpty {
                let written = write(to, rest.baseAddress, rest.count)
                if written < 0, errno == EINTR { continue }
                guard written > 0 else {
                    if errno == ENOSPC || errno == EDQUOT {
                        throw EngineError(
                            .diskFull, "the disk is full: remove a model (martlet rm), or use --link, which needs none")
                    }
                    throw Disk.failure("write", file)
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
            done += Int64(count)
            report(done)
        }
        guard fsync(to) == 0 else { throw Disk.failure("write", file) }
    }

    private static func isSame(_ one: String, _ other: String) throws -> Bool {
        let (first, second) = (open(one, O_RDONLY | O_CLOEXEC), open(other, O_RDONLY | O_CLOEXEC))
        defer { [first, second].forEach { if $0 >= 0 { close($0) } } }
        guard first >= 0, second >= 0 else { throw Disk.failure("read", first < 0 ? one : other) }
        let pieces = (0..<2).map { _ in UnsafeMutableRawPointer.allocate(byteCount: batch, alignment: 16) }
        defer { pieces.forEach { $0.deallocate() } }
        var at: Int64 = 0
        while true {
            try Task.checkCancellation()
            let count = pread(first, pieces[0], batch, off_t(at))
            guard count >= 0, pread(second, pieces[1], batch, off_t(at)) == count,
                count == 0 || memcmp(pieces[0], pieces[1], count) == 0
            else { return false }
            if count == 0 { return true }
            at += Int64(count)
        }
    }
}

extension Disk {
    /// Bytes that are free for us; nil when the system does not say.
    fileprivate static func free(at path: String) -> Int64? {
        var about = statvfs()
        guard statvfs(path, &about) == 0 else { return nil }
        let (bytes, overflow) = UInt64(about.f_bavail).multipliedReportingOverflow(by: UInt64(about.f_frsize))
        return overflow ? .max : Int64(clamping: bytes)
    }
}
