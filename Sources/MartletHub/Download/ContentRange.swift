/// `Content-Range: bytes 100-199/200` of a partial reply
/// ([RFC 9110, 14.4](https://www.rfc-editor.org/rfc/rfc9110#section-14.4)).
struct ContentRange: Sendable, Hashable {
    var start: Int64
    /// nil when the server does not say.
    var total: Int64?

    init?(_ text: String) {
        let text = text.trimmed.lowercased()
        guard text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst("bytes ".count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let dash = parts[0].firstIndex(of: "-"), let start = Int64(parts[0][..<dash]),
            let end = Int64(parts[0][parts[0].index(after: dash)...]), start >= 0, end >= start
        else { return nil }
        self.start = start
        if parts[1] != "*" {
            guard let total = Int64(parts[1]), total > end else { return nil }
            self.total = total
        }
    }
}
