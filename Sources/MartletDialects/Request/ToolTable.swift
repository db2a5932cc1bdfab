package import MartletWire
package import NIOCore

/// A tool the model may call.
package struct Tool: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case function
        /// Takes free text; the format is JSON text.
        case custom(format: ByteBuffer?)
        /// A client's tool whose arguments its type defines (`bash_20250124`).
        case typed(String)
        /// Run by the API itself (`web_search_20250305`).
        case server(String)
    }

    package var name: String
    package var kind: Kind
    package var description: EscapedText?
    /// JSON text; nil when the client gave none, or null.
    package var schema: ByteBuffer?
    package var strict: Bool?
    /// Not offered until something activates it.
    package var isDeferred: Bool
    package var cacheControl: ByteBuffer?

    package init(
        name: String, kind: Kind = .function, description: EscapedText? = nil, schema: ByteBuffer? = nil,
        strict: Bool? = nil, isDeferred: Bool = false, cacheControl: ByteBuffer? = nil
    ) {
        self.name = name
        self.kind = kind
        self.description = description
        self.schema = schema
        self.strict = strict
        self.isDeferred = isDeferred
        self.cacheControl = cacheControl
    }

    package var isServer: Bool {
        if case .server = kind { return true }
        return false
    }

    var isTyped: Bool {
        if case .typed = kind { return true }
        return false
    }
}

/// The tools of a request, in the order of their declaration.
package struct ToolTable: Sendable, Hashable {
    package var tools: [Tool]

    package init(_ tools: [Tool] = []) { self.tools = tools }

    package var isEmpty: Bool { tools.isEmpty }

    /// Nothing but tools the API would run itself.
    package var isServerOnly: Bool { !tools.isEmpty && tools.allSatisfy(\.isServer) }

    package subscript(name: String) -> Tool? { tools.first { $0.name == name } }
}
