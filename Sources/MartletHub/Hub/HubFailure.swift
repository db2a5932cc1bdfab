internal import NIOHTTP1

/// What a status that is no success means, in a sentence that says what to do.
enum HubFailure {
    /// - Parameters:
    ///   - subject: what was asked for, such as `owner/repo` or `owner/repo/file.gguf`.
    ///   - host: who answered.
    ///   - pages: where the hub's pages are, such as `https://huggingface.co`.
    ///   - token: what the token that was sent is called; nil when none was.
    ///
    /// Sources: [errors](https://huggingface.co/docs/huggingface_hub/package_reference/utilities),
    /// [rate limits](https://huggingface.co/docs/hub/rate-limits).
    static func error(
        status: Int, headers: HTTPHeaders, subject: String, host: String, pages: String, token: String?
    ) -> HubError {
        let code = headers.first(name: "x-error-code") ?? ""
        let said = headers.first(name: "x-error-message") ?? ""
        let repository = subject.split(separator: "/").prefix(2).joined(separator: "/")
        switch (status, code) {
        case (_, "GatedRepo"):
            return HubError(
                .gated,
                token.map { name in
                    "\(repository) is gated: accept its conditions at \(pages)/\(repository) with the account "
                        + "\(name) is of, and see that the token may read gated repositories"
                }
                    ?? "\(repository) is gated: accept its conditions at \(pages)/\(repository), then set "
                    + "HF_TOKEN to a token of that account (\(pages)/settings/tokens)")
        case (404, "RevisionNotFound"):
            return HubError(.notFound, "\(repository) has no such branch, tag or commit at \(host)")
        case (404, "EntryNotFound"):
            return HubError(.notFound, "\(subject) does not exist at \(host): look at the repository's list of files")
        case (401, "RepoNotFound"), (404, _), (410, _):
            return HubError(
                .notFound,
                "\(repository) does not exist at \(host), or is private"
                    + (token.map { " and \($0) may not read it" } ?? ": for a private one set HF_TOKEN")
                    + ". Look for its name with: martlet search")
        case (401, _):
            return HubError(
                .unauthorized,
                token.map {
                    "\(host) does not accept \($0): make a new one at \(pages)/settings/tokens, or unset it"
                }
                    ?? "\(host) wants a token for \(repository): set HF_TOKEN (\(pages)/settings/tokens)")
        case (403, _) where said.contains("disabled"):
            return HubError(.notFound, "\(host) has disabled \(repository)")
        case (403, _):
            return HubError(
                .unauthorized,
                token.map { "\($0) may not read \(repository): use a token with read access to it" }
                    ?? "\(host) refuses \(repository) without a token: set HF_TOKEN (\(pages)/settings/tokens)")
        case (429, _):
            let wait = retryAfter(headers)
            let when = wait.map { "in \($0.components.seconds) s" } ?? "in some minutes"
            return HubError(
                .rateLimited,
                "\(host) counts too many requests: try again \(when)"
                    + (token != nil ? "" : ", or set HF_TOKEN, which raises the limit"),
                retryAfter: wait)
        case (408, _), (500..., _):
            return HubError(
                .serverFailed, "\(host) failed with HTTP \(status) for \(subject): try again later",
                retryAfter: retryAfter(headers))
        default:
            return HubError(
                .badReply, "\(host) answers HTTP \(status) for \(subject): is HF_ENDPOINT an address of a hub?")
        }
    }

    /// From `Retry-After` in seconds, or from `RateLimit: "api";r=0;t=55`, whose `t` is seconds; at most a day.
    static func retryAfter(_ headers: HTTPHeaders) -> Duration? {
        var seconds = headers.first(name: "retry-after").flatMap { Int($0.trimmed) }
        if seconds == nil {
            seconds = headers.first(name: "ratelimit")?.split(separator: ";").lazy
                .map { String($0).trimmed }.first { $0.hasPrefix("t=") }.flatMap { Int($0.dropFirst(2)) }
        }
        guard let seconds, seconds >= 0 else { return nil }
        return .seconds(min(seconds, 86_400))
    }
}
