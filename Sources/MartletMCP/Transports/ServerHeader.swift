/// A header that a server is to get with every request.
package struct ServerHeader: Sendable, Hashable, CustomStringConvertible {
    package let name: String
    package let value: String

    /// Names that say how the message travels, or that the protocol itself sets.
    private static let own = [
        "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect",
        "host",
        "keep-alive", "last-event-id", "mcp-protocol-version", "mcp-session-id", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    /// - Throws: `badEntry` for what is no header, or none that can be set.
    package init(_ name: String, _ value: String) throws(MCPError) {
        let shown = Printable.text(name, limit: 60)
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !Self.separators.contains($0) }) else {
            throw MCPError(.badEntry, "\"\(shown)\" is no name of a header")
        }
        guard !Self.own.contains(name.lowercased()) else {
            throw MCPError(.badEntry, "the header \(shown) cannot be set: the connection itself needs it")
        }
        guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
            throw MCPError(.badEntry, "the value of the header \(shown) has characters that no header can have")
        }
        self.name = name
        self.value = value
    }

    /// - Throws: `badEntry`, also when they are too many.
    package static func all(
        _ pairs: [(String, String)], limits: MCPLimits = MCPLimits()
    ) throws(MCPError) -> [ServerHeader] {
        var headers: [ServerHeader] = []
        for (name, value) in pairs { headers.append(try ServerHeader(name, value)) }
        guard headers.reduce(0, { $0 + $1.name.utf8.count + $1.value.utf8.count }) <= limits.headers else {
            throw MCPError(.badEntry, "the headers have more than \(limits.headers >> 10) KiB")
        }
        return headers
    }

    private static let separators = Array("()<>@,;:\\\"/[]?={}".utf8)

    /// Without the value, which may be a key.
    package var description: String { name }
}
