/// Where a choice of OpenAI's older two dialects keeps what it says, and the words that differ with it.
package enum ChoiceForm: Sendable, Hashable {
    /// Chat Completions: a message, in a stream a delta of one.
    case message
    /// Legacy Completions: a bare text (https://platform.openai.com/docs/api-reference/completions/object).
    case text

    /// `object` of a whole reply.
    var name: StaticString {
        switch self {
        case .message: "chat.completion"
        case .text: "text_completion"
        }
    }

    var object: String { "\(name)" }

    /// `object` of a stream's chunk.
    var chunkObject: String {
        switch self {
        case .message: "chat.completion.chunk"
        case .text: "text_completion"
        }
    }

    /// The members of a choice in a chunk that adds nothing.
    var nothing: String {
        switch self {
        case .message: #""delta":{}"#
        case .text: #""text":"","logprobs":null"#
        }
    }

    func mintID(_ ids: inout IDSource) -> String {
        switch self {
        case .message: ids.chatCompletion()
        case .text: ids.completion()
        }
    }
}
