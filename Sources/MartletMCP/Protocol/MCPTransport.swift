package import NIOCore

/// Carries messages to one server and back.
package protocol MCPTransport: Sendable {
    /// Begins. Called once, before anything is sent.
    /// - Parameter deliver: gets each message of the server, and once why there will be no more; not after `close`.
    /// - Throws: why there is no way to the server. `close` is called then, too.
    func open(_ deliver: @escaping @Sendable (TransportEvent) -> Void) async throws(MCPError)
    /// Sends a message. Where each request has an answer of its own, waits until that was delivered.
    /// - Parameter id: of our request, when this is one.
    func send(_ message: ByteBuffer, awaiting id: Int?) async throws(MCPError)
    /// The handshake is over; later messages may have to say what came of it.
    func agreed(on version: String)
    /// Ends it, and returns when nothing of it is left. May be called twice.
    func close() async
    /// What the server has written for people of late.
    var lastWords: [String] { get }
    /// Something it wrote where only messages may be; nil when it did not.
    var strangeWords: String? { get }
    /// Whether the server tells when its list of tools changes.
    var tellsOfChanges: Bool { get }
}

package enum TransportEvent: Sendable {
    case message(RPCMessage)
    case closed(MCPError)
}
