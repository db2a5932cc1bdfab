/// The bounds of what a request may hold, besides its bytes.
enum RequestLimits {
    /// Messages of one request; the Anthropic API's own bound.
    static let messages = 100_000
    /// Tools of one request. Agents offer a few hundred at most.
    static let tools = 4096
    /// Stop strings; each is looked for in every piece of text when the gateway matches them.
    static let stops = 256
    /// Bytes of one image, decoded: 20 MiB.
    static let imageBytes = 20 << 20
    /// Names in the list of what was dropped.
    static let dropped = 32
}
