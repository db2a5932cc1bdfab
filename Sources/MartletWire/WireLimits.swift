/// The bounds of everything this module reads from a peer.
package enum WireLimits {
    /// Objects and arrays open at once in one JSON text. Deeper than any real schema, shallow enough for recursion.
    package static let jsonDepth = 128
    /// Bytes of one server-sent event, its blank line included: a whole reply with an image in it fits.
    package static let event = 16 << 20
    /// Members of the outermost object of one JSON text. Requests and replies have a few dozen.
    package static let topLevelMembers = 1024
    /// Bytes of one data URL before decoding: no more than a request's body may have by default (32 MiB).
    package static let dataURL = 32 << 20
    /// Bytes of a data URL's part before the comma (media type and parameters).
    package static let dataURLHead = 256
    /// Frames of one message of a WebSocket. Browsers cut into 128 KiB; a message in pieces of 1 KiB still fits.
    package static let webSocketFragments = 1 << 15
}
