package import MartletWire

/// One step of a reply, in no dialect's words. Blocks open, grow and close; blocks of text, reasoning and refusal are
/// never open side by side within a choice, tool calls may be. All but the delta are boxed: there are thousands of
/// deltas to one of the others, and a small event is cheap to hand on.
package enum ReplyEvent: Sendable, Hashable {
    indirect case started(id: String, model: String)
    /// A tool call's kind carries its id and name.
    indirect case opened(BlockID, BlockKind)
    /// Text, reasoning or a fragment of arguments, as the block's kind says. Never empty.
    case delta(BlockID, EscapedText)
    /// Signature, encrypted or redacted reasoning.
    indirect case blob(BlockID, OpaqueBlob)
    case closed(BlockID)
    /// A call of kind `hosted` is run from here on: its arguments are whole, and such as its tool takes.
    case called(BlockID)
    /// A call of kind `hosted` has been run: behind its `closed`, and before the reply goes on.
    indirect case ran(BlockID, ToolRun)
    /// Tokens so far; a later report updates an earlier one.
    indirect case usage(Usage)
    /// Once per choice. Usage may still follow.
    indirect case finished(choice: Int, FinishReason, matchedStop: EscapedText?)
    /// The upstream said that the reply failed. Nothing follows.
    indirect case failed(GatewayError)
    /// Queue, load, prefill; where a dialect has no word for it, a keep-alive.
    case progress(Progress)
    /// Something only this dialect knows.
    indirect case opaque(DialectID, JSON)
    /// The stream's terminal mark has gone by (`[DONE]`, `message_stop`). Nothing follows.
    case ended
}

/// A block of a reply: which choice it belongs to, and its running number there, from 0 in the order of opening.
package struct BlockID: Hashable, Sendable {
    package var choice: Int
    package var index: Int

    package init(choice: Int, index: Int) {
        self.choice = choice
        self.index = index
    }
}

package enum BlockKind: Sendable, Hashable {
    case text
    case reasoning
    case refusal
    case toolCall(ToolCallHead)
    case opaque(DialectID, JSON)
}

/// What is known of a tool call when it opens.
package struct ToolCallHead: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case function, custom, server
        /// Run here: `ran` follows. The name is the tool's own at its server; nil where no tool has such a name.
        case hosted(ToolProvider?)
    }

    /// As the upstream gave it; empty when it gave none. Writers mint what their dialect needs. Of a hosted call it is
    /// ours already.
    package var id: String
    package var name: String
    package var kind: Kind

    package init(id: String, name: String, kind: Kind = .function) {
        self.id = id
        self.name = name
        self.kind = kind
    }

    /// Whose tool it is, where it is run here; nil where it is not.
    package var hosted: ToolProvider?? {
        if case .hosted(let provider) = kind { .some(provider) } else { nil }
    }
}

/// Bytes only their origin understands, carried back unchanged.
package struct OpaqueBlob: Sendable, Hashable {
    package enum Kind: Sendable, Hashable { case signature, encrypted, redacted }

    package var origin: DialectID
    package var kind: Kind
    package var text: EscapedText

    package init(origin: DialectID, kind: Kind, text: EscapedText) {
        self.origin = origin
        self.kind = kind
        self.text = text
    }
}

/// How far work has come that precedes output.
package struct Progress: Sendable, Hashable {
    package enum Phase: String, Sendable, Hashable { case queue, load, prefill }

    package var phase: Phase
    /// 0 to 1, where known. 1 with `elapsed`: that phase is over.
    package var fraction: Double?
    /// Since the phase began, where known.
    package var elapsed: Duration?

    package init(_ phase: Phase, fraction: Double? = nil, elapsed: Duration? = nil) {
        self.phase = phase
        self.fraction = fraction
        self.elapsed = elapsed
    }
}
