internal import MartletWire

/// The three questions that are asked of the hub.
/// Source: [its API](https://huggingface.co/.well-known/openapi.json), `/api/models…`.
extension HubClient {
    /// A repository's files, with sizes and digests, as of the commit its revision stands for now.
    /// - Throws: ``HubError``, `CancellationError`.
    package func model(_ reference: RepositoryReference) async throws -> HubModel {
        let place = "/api/models/\(reference.owner)/\(reference.name)"
        let revision = HubName.encoded(reference.revision)
        let (about, _) = try await get("\(place)/revision/\(revision)", subject: reference.id)
        guard let commit = about["sha"]?.string, FileDigest.isHex(commit, digits: 40) else {
            throw HubError(
                .badReply,
                "\(endpoint.host) does not say which commit \(reference.id) is at: is HF_ENDPOINT an address of a hub?")
        }
        let known = about["id"]?.string.flatMap(Self.names) ?? (reference.owner, reference.name)
        var files: [HubFile] = []
        var cursor: String?
        for _ in 0..<limits.pages {
            let query = "?recursive=true" + (cursor.map { "&cursor=\(HubName.encoded($0))" } ?? "")
            let (page, next) = try await get("\(place)/tree/\(commit)\(query)", subject: reference.id)
            guard let entries = page.array else {
                throw HubError(.badReply, "\(endpoint.host) does not list the files of \(reference.id)")
            }
            files += entries.compactMap(Self.file)
            guard let next, next != cursor else {
                return HubModel(
                    owner: known.0, name: known.1, commit: commit, isGated: Self.isGated(about["gated"]), files: files)
            }
            cursor = next
        }
        throw HubError(.badReply, "\(reference.id) has more files than are looked through (\(limits.pages) pages)")
    }

    /// Repositories with GGUF files that fit the words, the most downloaded first.
    /// - Parameter limit: 1…100.
    /// - Throws: ``HubError``, `CancellationError`.
    package func search(_ words: String, limit: Int = 20) async throws -> [HubMatch] {
        let query = "search=\(HubName.encoded(words))&filter=gguf&sort=downloads&limit=\(min(max(limit, 1), 100))"
        let (found, _) = try await get("/api/models?\(query)", subject: "the search")
        guard let entries = found.array else {
            throw HubError(
                .badReply,
                "\(endpoint.host) does not answer searches as the hub does: name the model as owner/repository")
        }
        let matches = entries.compactMap { entry -> HubMatch? in
            guard let id = entry["id"]?.string ?? entry["modelId"]?.string, Self.names(id) != nil else { return nil }
            return HubMatch(
                id: id, downloads: entry["downloads"]?.int ?? 0, likes: entry["likes"]?.int ?? 0,
                isGated: Self.isGated(entry["gated"]))
        }
        return Array(matches.prefix(limit))
    }

    /// Where a file's bytes are got.
    func address(of file: HubFile, in plan: FilePlan) -> String {
        let path = file.path.split(separator: "/").map { HubName.encoded(String($0)) }.joined(separator: "/")
        return "\(endpoint.base)/\(plan.owner)/\(plan.name)/resolve/\(plan.commit)/\(path)"
    }

    /// An entry of a tree that is a file we could store; nil for folders, and for names or sizes that nobody means well
    /// with.
    private static func file(_ entry: JSON) -> HubFile? {
        guard entry["type"]?.string == "file", let path = entry["path"]?.string, HubName.isPath(path) else {
            return nil
        }
        let stored = entry["lfs"]
        guard let bytes = (stored ?? entry)["size"]?.int, bytes >= 0 else { return nil }
        let digest =
            stored?["oid"]?.string.flatMap(FileDigest.init(sha256:))
            ?? (stored == nil ? entry["oid"]?.string.flatMap(FileDigest.init(gitBlob:)) : nil)
        guard let digest else { return nil }
        return HubFile(path: path, bytes: Int64(bytes), digest: digest)
    }

    /// `false`, `"auto"` or `"manual"`.
    private static func isGated(_ value: JSON?) -> Bool { value?.bool ?? (value?.string != nil) }

    private static func names(_ id: String) -> (String, String)? {
        let parts = id.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy(HubName.isOwnerOrRepository) else { return nil }
        return (parts[0], parts[1])
    }
}
