internal import MartletWire
internal import NIOCore
internal import Synchronization

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Writes bytes to a descriptor, as `write(2)` does; a parameter so that tests can fill the disk.
package typealias FileWriter = @Sendable (Int32, UnsafeRawPointer, Int) -> Int

/// A file that is being got: `<file>.<begin of its digest>.part`, written at its end only.
///
/// The digest in the name keeps a file that has changed at the hub from being continued. Its calls block.
final class PartFile: Sendable {
    private struct State: Sendable {
        var bytes: Int64 = 0
        var digester: Digester
    }

    let file: HubFile
    let path: String
    /// Bytes that an earlier run had left.
    let found: Int64
    private let descriptor: Int32
    private let writer: FileWriter
    private let state: Mutex<State>

    /// Opens it, or makes it.
    /// - Throws: `fileSystem`.
    convenience init(_ file: HubFile, in folder: String, writer: @escaping FileWriter) throws(HubError) {
        try self.init(
            file, at: Self.path(of: file, in: folder), flags: O_RDWR | O_CREAT | O_NOFOLLOW, writer: writer)
    }

    /// Opens the file itself, to be added up only.
    /// - Throws: `fileSystem`.
    convenience init(reading file: HubFile, in folder: String) throws(HubError) {
        try self.init(file, at: "\(folder)/\(file.name)", flags: O_RDONLY) { _, _, _ in 0 }
    }

    private init(_ file: HubFile, at path: String, flags: Int32, writer: @escaping FileWriter) throws(HubError) {
        self.file = file
        self.writer = writer
        self.path = path
        descriptor = open(path, flags | O_CLOEXEC, 0o644)
        state = Mutex(State(digester: Digester(for: file)))
        var about = stat()
        guard descriptor >= 0, fstat(descriptor, &about) == 0, about.st_mode & S_IFMT == S_IFREG else {
            found = 0
            throw HubError.fileSystem("open", file.name)
        }
        found = Int64(about.st_size)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    static func path(of file: HubFile, in folder: String) -> String {
        "\(folder)/\(prefix(of: file))\(file.digest.hex.prefix(12)).part"
    }

    /// What the names of all parts of a file begin with, whatever its digest.
    static func prefix(of file: HubFile) -> String { "\(file.name)." }

    /// Bytes that are there, and added up.
    var bytes: Int64 { state.withLock(\.bytes) }
    /// Whether all bytes are there, and are the file's.
    var isRight: Bool { state.withLock { $0.bytes == file.bytes && $0.digester.isRight } }

    /// Adds up the next 64 MiB of what was found; when there is more than the whole file has, all of it is thrown away.
    /// - Returns: whether that was all.
    /// - Throws: `fileSystem`.
    func addUp() throws(HubError) -> Bool {
        guard found <= file.bytes else {
            try empty()
            return true
        }
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { piece.deallocate() }
        for _ in 0..<64 {
            let at = bytes
            if at >= found { return true }
            let count = pread(descriptor, piece.baseAddress, min(piece.count, Int(found - at)), off_t(at))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw HubError.fileSystem("read", file.name) }
            state.withLock { state in
                state.digester.add(UnsafeRawBufferPointer(rebasing: piece[..<count]))
                state.bytes += Int64(count)
            }
        }
        return bytes >= found
    }

    /// - Throws: `diskFull`, after writing what fits; `fileSystem`.
    func append(_ buffer: ByteBuffer) throws(HubError) {
        let failure = state.withLock { state -> HubError? in
            buffer.withUnsafeReadableBytes { bytes in
                var rest = bytes
                while let start = rest.baseAddress, !rest.isEmpty {
                    errno = 0
                    let count = writer(descriptor, start, rest.count)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else {
                        if [ENOSPC, EDQUOT, EFBIG].contains(errno) || count == 0 { return diskFull(state.bytes) }
                        return HubError.fileSystem("write", file.name)
                    }
                    state.digester.add(UnsafeRawBufferPointer(rebasing: rest[..<count]))
                    state.bytes += Int64(count)
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                }
                return nil
            }
        }
        if let failure { throw failure }
    }

    /// Begins anew.
    func empty() throws(HubError) {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw HubError.fileSystem("write", file.name)
        }
        state.withLock { $0 = State(digester: Digester(for: file)) }
    }

    /// Begins anew with the source that its next byte is of.
    func emptySource() throws(HubError) {
        let begin = file.source(after: bytes).begin
        guard ftruncate(descriptor, off_t(begin)) == 0, lseek(descriptor, off_t(begin), SEEK_SET) >= 0 else {
            throw HubError.fileSystem("write", file.name)
        }
        state.withLock { state in
            state.bytes = begin
            state.digester.restart()
        }
    }

    /// To where the next byte is written.
    func seekToEnd() throws(HubError) {
        guard lseek(descriptor, off_t(bytes), SEEK_SET) >= 0 else { throw HubError.fileSystem("write", file.name) }
    }

    /// Until the bytes are on the disk.
    func synchronize() throws(HubError) {
        guard fsync(descriptor) == 0 else {
            throw [ENOSPC, EDQUOT].contains(errno) ? diskFull(bytes) : HubError.fileSystem("write", file.name)
        }
    }

    func remove() { _ = unlink(path) }

    private func diskFull(_ bytes: Int64) -> HubError {
        HubError(
            .diskFull,
            "the disk is full after \(ByteCount.shown(bytes)) of \(file.name): make room for "
                + "\(ByteCount.shown(file.bytes - bytes)) more and get it again, which goes on from there")
    }
}

extension HubError {
    /// With the reason the system gave last.
    static func fileSystem(_ verb: String, _ name: String) -> HubError {
        HubError(.fileSystem, "cannot \(verb) \(name) in the folder of models: \(String(cString: strerror(errno)))")
    }
}
