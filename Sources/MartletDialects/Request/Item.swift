package import MartletWire
package import NIOCore

/// One step of a conversation.
package enum Item: Sendable, Hashable {
    /// System or developer text, leading or where it stands.
    case instruction(Instruction)
    case message(Role, [Part])
    case reasoning(Reasoning)
    case toolCall(ToolCall)
    case toolResult(ToolResult)
    /// Tools added or removed from here on.
    case toolChange(ToolChange)
    /// Kept for its own dialect, noted and left out for others. The name is the item's or block's type.
    case opaque(DialectID, name: String)
}

package enum Role: Sendable, Hashable { case user, assistant }

package struct Instruction: Sendable, Hashable {
    package enum Voice: Sendable, Hashable { case system, developer }

    package enum Scope: Sendable, Hashable {
        /// Before everything else.
        case leading
        /// Where it stands among the turns.
        case positional
    }

    package var voice: Voice
    package var scope: Scope
    /// Texts only; empty ones are kept out by the readers.
    package var parts: [Part]
    /// Hidden once a later user turn exists.
    package var clearsAtNextUserTurn: Bool

    package init(voice: Voice, scope: Scope, parts: [Part], clearsAtNextUserTurn: Bool = false) {
        self.voice = voice
        self.scope = scope
        self.parts = parts
        self.clearsAtNextUserTurn = clearsAtNextUserTurn
    }
}

package struct Reasoning: Sendable, Hashable {
    package var text: EscapedText
    package var blobs: [OpaqueBlob]

    package init(text: EscapedText = EscapedText(), blobs: [OpaqueBlob] = []) {
        self.text = text
        self.blobs = blobs
    }

    /// The prefix of signatures this gateway makes, for reasoning of upstreams that sign nothing.
    package static let gatewayMark: StaticString = "gw1."

    /// Signed or redacted by an Anthropic upstream: it must go back there as it was.
    package var isGenuine: Bool {
        blobs.contains { $0.origin == .anthropic && !$0.text.isEmpty && !$0.text.starts(with: Self.gatewayMark) }
    }
}

package struct ToolCall: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case function
        /// The arguments are free text.
        case custom
        /// Run by the upstream itself, or by the API it stands for.
        case server
    }

    package var id: String
    package var name: String
    package var kind: Kind
    package var arguments: CallArguments
    /// Label of the MCP server whose tool it was made to, where it was run for the client.
    package var server: String?

    package init(id: String, name: String, kind: Kind = .function, arguments: CallArguments) {
        self.id = id
        self.name = name
        self.kind = kind
        self.arguments = arguments
    }
}

/// A call's arguments as the text they were: number spelling, key order and escapes survive.
package enum CallArguments: Sendable, Hashable {
    /// A JSON value's own text.
    case json(ByteBuffer)
    /// The content of a JSON string which, unescaped, is the arguments.
    case text(EscapedText)
}

package struct ToolResult: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case client
        /// Of a call of kind `server`; belongs to the assistant's turn. The name is the block's type.
        case server(name: String)
    }

    package var callID: String
    package var kind: Kind
    package var parts: [Part]
    package var isError: Bool
    package var cacheControl: ByteBuffer?

    package init(
        callID: String, kind: Kind = .client, parts: [Part], isError: Bool = false, cacheControl: ByteBuffer? = nil
    ) {
        self.callID = callID
        self.kind = kind
        self.parts = parts
        self.isError = isError
        self.cacheControl = cacheControl
    }
}

package enum ToolChange: Sendable, Hashable {
    case add(Tool)
    case activate(name: String)
    case remove(name: String)
}
