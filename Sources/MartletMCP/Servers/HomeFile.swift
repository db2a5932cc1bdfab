package import MartletWire
import NIOCore

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

/// A JSON file under martlet's home that its owner alone can read. It is replaced whole, so that a reader finds the one
/// or the other.
struct HomeFile: Sendable {
    let path: String
    let limits: MCPLimits

    /// What tells one content from another without reading it.
    struct Stamp: Sendable, Hashable {
        var seconds = 0
        var nanoseconds = 0
        var bytes = 0
        var file: UInt64 = 0
    }

    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// Nil when there is no file.
    var stamp: Stamp? {
        var entry = stat()
        guard stat(path, &entry) == 0 else { return nil }
        #if canImport(Darwin)
            let changed = entry.st_mtimespec
        #else
            let changed = entry.st_mtim
        #endif
        return Stamp(
            seconds: Int(changed.tv_sec), nanoseconds: Int(changed.tv_nsec), bytes: Int(entry.st_size),
            file: UInt64(entry.st_ino))
    }

    /// Nil when there is no file.
    /// - Throws: `fileSystem` when it cannot be read, or is no JSON object.
    func read() throws(MCPError) -> JSON? {
        guard let stamp else { return nil }
        guard stamp.bytes <= limits.file else {
            throw MCPError(.fileSystem, "\(name) has more than \(limits.file >> 20) MiB")
        }
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw MCPError(.fileSystem, "\(name) cannot be read: who may read it?")
        }
        let json: JSON
        do throws(JSONError) {
            // Windows' editors put a byte order mark before it.
            json = try JSON(
                parsing: ByteBuffer(bytes: bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes))
        } catch {
            throw MCPError(
                .fileSystem,
                "\(name) is not JSON, which has no comments and no comma behind the last: \(error.sentence)")
        }
        guard json.object != nil else { throw MCPError(.fileSystem, "\(name) is no JSON object") }
        return json
    }

    /// - Throws: `fileSystem`; then the file is as it was.
    func replace(with json: JSON) throws(MCPError) {
        let part = "\(path).\(getpid()).part"
        defer { unlink(part) }
        let file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw cannotWrite }
        var text = JSONLayout.text(json) + "\n"
        let isWritten = text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = write(file, rest.baseAddress, rest.count)
                guard count > 0 else { return false }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return fsync(file) == 0
        }
        guard close(file) == 0, isWritten, rename(part, path) == 0 else { throw cannotWrite }
    }

    /// Keeps other processes, and other tasks of this one, from changing the file meanwhile.
    func locked<R>(_ change: () throws(MCPError) -> R) throws(MCPError) -> R {
        try makeFolder()
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw cannotWrite }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw cannotWrite }
        return try change()
    }

    private func makeFolder() throws(MCPError) {
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        guard (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil
        else {
            throw cannotWrite
        }
    }

    private var cannotWrite: MCPError {
        MCPError(.fileSystem, "\(name) cannot be written in martlet's home: \(String(cString: strerror(errno)))")
    }
}

/// JSON text for people: a member per line.
package enum JSONLayout {
    package static func text(_ json: JSON, indent: Int = 0) -> String {
        let space = String(repeating: "  ", count: indent + 1)
        let end = "\n" + String(repeating: "  ", count: indent)
        switch json {
        case .object(let members) where !members.isEmpty:
            let lines = members.map { "\(space)\(JSON.string($0.key).text): \(text($0.value, indent: indent + 1))" }
            return "{\n" + lines.joined(separator: ",\n") + end + "}"
        case .array(let elements) where elements.contains { $0.object != nil || $0.array != nil }:
            let lines = elements.map { space + text($0, indent: indent + 1) }
            return "[\n" + lines.joined(separator: ",\n") + end + "]"
        default: return json.text
        }
    }
}
