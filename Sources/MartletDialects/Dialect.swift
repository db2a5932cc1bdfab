/// A family of wire formats that clients or upstreams speak.
package enum DialectID: String, Sendable, Hashable, CaseIterable {
    /// OpenAI Chat Completions, and what compatible servers make of it.
    case chat
    /// OpenAI's legacy Completions: a prompt and its continuation, without turns.
    case completions
    /// Anthropic Messages.
    case anthropic
    /// OpenAI Responses, and Open Responses.
    case responses

    /// Whether its streams have words for what precedes output, such as the loading of a model. Then a stream begins as
    /// soon as there is something to tell.
    package var tellsProgress: Bool {
        switch self {
        case .chat, .completions, .anthropic, .responses: false
        }
    }
}

/// How an upstream is spoken to: in a dialect that clients speak too, or in one that only upstreams do.
package enum UpstreamDialect: String, Sendable, Hashable, CaseIterable {
    case chat, completions, anthropic, responses
    /// LM Studio's own API, version 1.
    case lmstudio

    package init(_ client: DialectID) {
        switch client {
        case .chat: self = .chat
        case .completions: self = .completions
        case .anthropic: self = .anthropic
        case .responses: self = .responses
        }
    }
}
