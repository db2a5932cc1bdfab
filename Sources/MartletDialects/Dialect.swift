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
}
