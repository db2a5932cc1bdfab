#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What there is of a file that is being downloaded, or whose download was interrupted, to be gone on with.
package struct Unfinished: Sendable, Hashable {
    /// `<publisher>/<repository>/<file>`, as the file will lie.
    package let place: String
    package let path: String
    package let bytes: Int64
    /// A program is getting it, or what it belongs to.
    package let isUnderWay: Bool

    /// - Parameter path: of a file that shall go, as it is called when it is whole.
    /// - Throws: `.underWay`, while a program is getting it: it would go on writing what nobody finds.
    static func checkRest(of path: String) throws(EngineError) {
        let names = path.split(separator: "/", omittingEmptySubsequences: false)
        guard let file = names.last, Disk.isLocked(names.dropLast().joined(separator: "/") + "/.\(file).lock") else {
            return
        }
        throw EngineError(
            .underWay,
            "\(Shown.text(String(file))) is being downloaded: end that first, by Ctrl-C where martlet get runs, or "
                + "DELETE /api/v1/models/download/JOB at the server that does")
    }

    /// The file that a part is of: `m.gguf` of `m.gguf.0123456789ab.part`; nil for other names.
    static func file(of name: String) -> String? {
        let words = name.split(separator: ".", omittingEmptySubsequences: false)
        guard words.count > 2, words[words.count - 1] == "part", words[words.count - 2].utf8.count == 12,
            words[words.count - 2].allSatisfy(\.isHexDigit)
        else { return nil }
        return words.dropLast(2).joined(separator: ".")
    }
}

extension ModelStore {
    /// What there is of files that are not whole, in the order of their paths.
    package func unfinished() -> [Unfinished] {
        guard let top = Disk.resolved(root) else { return [] }
        return Disk.names(in: top).filter(Self.isPlain).flatMap { publisher in
            Disk.names(in: "\(top)/\(publisher)").filter(Self.isPlain).flatMap { repository in
                let folder = "\(top)/\(publisher)/\(repository)"
                let names = Disk.names(in: folder)
                let locked = names.filter { $0.hasSuffix(".lock") && Disk.isLocked("\(folder)/\($0)") }
                return names.compactMap { name -> Unfinished? in
                    guard Self.isPlain(name), let file = Unfinished.file(of: name),
                        let entry = Disk.entry("\(folder)/\(name)"), entry.isRegular
                    else { return nil }
                    // A projector comes behind the weights it is for, and is locked when it is its turn.
                    let isUnderWay =
                        locked.contains(".\(file).lock")
                        || file.lowercased().contains("mmproj") && !locked.isEmpty
                    return Unfinished(
                        place: "\(publisher)/\(repository)/\(file)", path: "\(folder)/\(name)", bytes: entry.bytes,
                        isUnderWay: isUnderWay)
                }
            }
        }
    }

    /// Removes it, and the folders that are empty then.
    /// - Throws: `.underWay`, `.fileSystem`.
    package func remove(_ unfinished: Unfinished) throws(EngineError) {
        let folder = unfinished.path.split(separator: "/").dropLast()
        let file = unfinished.place.split(separator: "/").last.map(String.init) ?? ""
        try Unfinished.checkRest(of: "/" + (folder + [file[...]]).joined(separator: "/"))
        guard unlink(unfinished.path) == 0 || errno == ENOENT else {
            throw Disk.failure("remove", unfinished.path)
        }
        if rmdir("/" + folder.joined(separator: "/")) == 0 { _ = rmdir("/" + folder.dropLast().joined(separator: "/")) }
    }
}
