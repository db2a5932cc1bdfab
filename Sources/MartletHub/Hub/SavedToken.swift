#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The token that `hf auth login` (once `huggingface-cli login`) has left on this machine.
enum SavedToken {
    /// Longer files are no tokens.
    private static let limit = 4096

    /// Nil where there is none, where `HF_HUB_DISABLE_IMPLICIT_TOKEN` says that it is not meant, and for an endpoint
    /// that is spoken to without encryption: nobody named it for this.
    static func find(_ environment: [String: String], for origin: WebOrigin) -> HubToken? {
        guard origin.keepsSecrets, !HubEndpoint.isOn(environment["HF_HUB_DISABLE_IMPLICIT_TOKEN"]),
            let path = path(environment), let text = read(path)?.trimmed, !text.isEmpty, HubToken.isToken(text)
        else { return nil }
        return HubToken(secret: text, name: "the token that hf auth login saved")
    }

    /// `HF_TOKEN_PATH`, else `token` in `HF_HOME`, whose default is `huggingface` in the user's folder of caches.
    static func path(_ environment: [String: String]) -> String? {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        func inHome(_ path: String) -> String? {
            guard path.hasPrefix("~/") else { return path }
            return value("HOME").map { $0 + path.dropFirst() }
        }
        if let path = value("HF_TOKEN_PATH") { return inHome(path) }
        if let folder = value("HF_HOME") { return inHome(folder).map { "\($0)/token" } }
        let caches = value("XDG_CACHE_HOME") ?? "~/.cache"
        return inHome(caches).map { "\($0)/huggingface/token" }
    }

    private static func read(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var about = stat()
        guard fstat(file, &about) == 0, about.st_mode & S_IFMT == S_IFREG, about.st_size <= limit else { return nil }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
        return count > 0 ? String(validating: bytes.prefix(count), as: UTF8.self) : nil
    }
}
