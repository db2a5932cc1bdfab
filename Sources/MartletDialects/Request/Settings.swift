package import MartletWire
package import NIOCore

/// How a reply is to be made. Nil is "the client did not say" throughout.
package struct Settings: Sendable, Hashable {
    /// Tokens, reasoning included. 0 asks for the cache to be prepared and no more.
    package var maxTokens: Int?
    package var temperature: JSONNumber?
    package var topP: JSONNumber?
    package var topK: JSONNumber?
    package var seed: JSONNumber?
    package var presencePenalty: JSONNumber?
    package var frequencyPenalty: JSONNumber?
    /// Of LM Studio's own API; 1 asks for no penalty.
    package var repeatPenalty: JSONNumber?
    package var minP: JSONNumber?
    package var stops: [String] = []
    package var streams = false
    /// A Chat client asked for the usage chunk.
    package var includesUsage = false
    package var toolChoice: ToolChoice?
    package var parallelCalls: Bool?
    /// Calls of tools that are not the client's own; those beyond are ignored.
    package var maxServerCalls: Int?
    package var thinking: Thinking?
    /// Beats a budget in `thinking`.
    package var effort: Effort?
    /// The client's word for an effort is none of them.
    package var hasUnknownEffort = false
    /// An effort alone asks for thinking, as in OpenAI's dialects; in Anthropic's it does not.
    package var effortTurnsOn = false
    /// The client wants no reasoning text in the reply.
    package var hidesReasoning = false
    package var format: OutputFormat?
    /// Alternatives asked for.
    package var choices = 1
    /// Speech is asked for beside text.
    package var wantsAudio = false
    /// The oldest turns may be left out of a prompt that is too long.
    package var truncates = false
    /// An opaque name of the end user.
    package var user: EscapedText?

    package init() {}
}

package enum ToolChoice: Sendable, Hashable {
    /// `never`: the tools are shown and must not be called.
    case auto, never, required
    case tool(name: String)
}

package enum Thinking: Sendable, Hashable {
    case off
    /// Up to the model.
    case adaptive
    /// Tokens.
    case budget(Int)
}

/// How much a model should think, from least to most.
package enum Effort: String, Sendable, Hashable, CaseIterable, Comparable {
    case minimal, low, medium, high, xhigh, max

    package static func < (a: Effort, b: Effort) -> Bool { a.rank < b.rank }

    private var rank: Int { Effort.allCases.firstIndex(of: self) ?? 0 }

    /// Tokens, where an upstream is told a budget.
    package var budget: Int {
        switch self {
        case .minimal: 1024
        case .low: 2048
        case .medium: 8192
        case .high: 16384
        case .xhigh: 32768
        case .max: 49152
        }
    }

    /// What a budget of so many tokens amounts to.
    package init(budget: Int) {
        switch budget {
        case ..<2048: self = .minimal
        case ..<4096: self = .low
        case ..<16384: self = .medium
        default: self = .high
        }
    }
}

package enum OutputFormat: Sendable, Hashable {
    case jsonObject
    case jsonSchema(JSONSchemaFormat)
}

package struct JSONSchemaFormat: Sendable, Hashable {
    package var name: String
    /// JSON text.
    package var schema: ByteBuffer
    package var description: EscapedText?
    package var strict: Bool?

    package init(name: String, schema: ByteBuffer, description: EscapedText? = nil, strict: Bool? = nil) {
        self.name = name
        self.schema = schema
        self.description = description
        self.strict = strict
    }

    /// The schema with what the form is for, where a dialect has no other place for that.
    var describedSchema: ByteBuffer {
        guard let description, !description.isEmpty, var root = try? RawObject(schema), root["description"] == nil
        else { return schema }
        var text = ByteBuffer()
        text.writeEscaped(description)
        root.set("description", text)
        return root.text
    }
}
