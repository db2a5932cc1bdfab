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
    /// LM Studio's own API, version 1.
    case lmstudio

    /// Whether its streams have words for what precedes output, such as the loading of a model. Then a stream begins as
    /// soon as there is something to tell.
    package var tellsProgress: Bool {
        switch self {
        case .chat, .completions, .anthropic, .responses: false
        case .lmstudio: true
        }
    }

    /// Within the dialect replies go through as they came, edited at most. Of LM Studio's own they never do: their ids
    /// are those of conversations that are kept here.
    var isRelayed: Bool { self != .lmstudio }
}

/// How an upstream is spoken to.
package enum UpstreamDialect: String, Sendable, Hashable, CaseIterable {
    case chat, completions, anthropic, responses, lmstudio

    package init(_ client: DialectID) {
        switch client {
        case .chat: self = .chat
        case .completions: self = .completions
        case .anthropic: self = .anthropic
        case .responses: self = .responses
        case .lmstudio: self = .lmstudio
        }
    }
}
