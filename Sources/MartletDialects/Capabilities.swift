/// What an upstream, or one of its models, can do: plain data that drives the translators. The defaults fit an unknown
/// OpenAI-compatible server.
package struct Capabilities: Sendable, Hashable {
    /// How reasoning stands in an assistant's message.
    package enum ReasoningField: Sendable, Hashable {
        case none
        /// A member of that name beside `content`.
        case field(String)
        /// `<think>…</think>` at the start of `content`.
        case thinkTags
    }

    /// How thinking is switched and measured.
    package enum ThinkingControl: Sendable, Hashable {
        case none
        /// `reasoning_effort`; for Anthropic upstreams `adaptive` and `output_config.effort`.
        case effort
        /// `chat_template_kwargs.enable_thinking`.
        case enableThinking
        /// Tokens: `thinking_budget_tokens`; for Anthropic upstreams `thinking.budget_tokens`.
        case budget
    }

    package enum ToolChoiceForm: Sendable, Hashable {
        case none
        /// `auto`, `none`, `required`.
        case strings
        /// A named function too.
        case full
    }

    /// What becomes of system text that does not lead.
    package enum SystemForm: Sendable, Hashable {
        /// Stays a system message in its place.
        case keep
        /// Goes into the leading text. Changes the prompt's beginning from turn to turn.
        case merge
        /// User text in its place.
        case user
    }

    package enum ImageForm: Sendable, Hashable { case none, data, url }

    package enum JSONForm: Sendable, Hashable {
        case none
        /// Compiled to a grammar that cannot be combined with tools.
        case grammar
        case native
    }

    /// Whether a stream reports usage.
    package enum UsageForm: Sendable, Hashable {
        /// Only when `stream_options.include_usage` asks for it.
        case streamOptions
        case always, never
    }

    /// What its route for embeddings takes.
    package enum EmbeddingForm: Sendable, Hashable {
        /// It has none.
        case none
        case text
        /// Tokens too.
        case tokens
    }

    /// What it calls the penalty on repeated tokens; where it has one, it has `min_p` too.
    package enum LocalSampling: Sendable, Hashable {
        case none
        /// `repeat_penalty`.
        case repeatPenalty
        /// `repetition_penalty`.
        case repetitionPenalty
    }

    package enum MaxTokensField: String, Sendable, Hashable {
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
    }

    package var reasoningOut: ReasoningField = .field("reasoning_content")
    package var reasoningIn: ReasoningField = .none
    /// Thinking may stand in `<think>` tags at the very beginning of `content`, where the server did not take it out.
    package var thinkTags = true
    /// The prompt ends with an opening think tag, so the reply begins inside thinking.
    package var promptOpenedThink = false
    package var thinkingControl: ThinkingControl = .none
    /// Efforts the upstream knows.
    package var efforts: Set<Effort> = [.low, .medium, .high]
    /// `none` is among the efforts it knows.
    package var effortNone = true
    /// A forced call may be combined with thinking.
    package var forcedCallWithThinking = true
    package var toolChoice: ToolChoiceForm = .strings
    /// System messages after the conversation's beginning.
    package var systemLate: SystemForm = .user
    /// Several system messages at the beginning.
    package var systemMany: SystemForm = .merge
    package var developerRole = false
    package var images: ImageForm = .data
    package var imageInTool = false
    /// Media types of images, in lower case.
    package var imageTypes: Set<String> = ["image/png", "image/jpeg", "image/gif", "image/webp"]
    /// PDF and other files as parts of a message.
    package var files = false
    /// Speech as parts of a message.
    package var audio = false
    package var jsonSchema: JSONForm = .native
    package var jsonObject: JSONForm = .native
    package var schemaProfile: SchemaProfile = .llamacpp
    package var maxTokensField: MaxTokensField = .maxTokens
    /// Stop strings it takes; nil: any number; 0: it has none.
    package var stopLimit: Int? = 4
    package var n = false
    package var logprobs = false
    package var seed = true
    package var topK = false
    package var localSampling: LocalSampling = .none
    package var strictTools = false
    /// It continues a last assistant message.
    package var prefill = false
    /// It obeys `parallel_tool_calls`.
    package var parallelToolCalls = true
    /// It makes one call at a time unless told otherwise.
    package var parallelIsOffByDefault = false
    /// It may leave calls as text in the content, so they are looked for there.
    package var textCalls = true
    /// Arguments of its calls may be no JSON, or of other types than the schema wants: each call waits for its end.
    package var garblesArguments = false
    /// An answer that was to be JSON may come as reasoning, beside an empty text.
    package var misplacesJSON = false
    package var callIDs = CallIDRule()
    /// Longest tool name, in bytes.
    package var toolNameLength = 64
    package var usage: UsageForm = .streamOptions
    /// `return_progress` makes it report in a stream how far it is with the prompt. llama.cpp looks whether its client
    /// is still there after each event, else only after a second in which it had none for anybody.
    package var promptProgress = false
    /// Its template wants a string as `content`, also beside tool calls.
    package var contentMustBeString = false
    /// It takes temperature and its kin.
    package var sampling = true
    /// Responses: reasoning is given out sealed when asked for, and taken back so.
    package var sealedReasoning = false
    /// Responses: it sums up its reasoning when asked to.
    package var reasoningSummary = false

    /// What its route for legacy Completions does beside continuing a text; nil: it has none.
    package var completions: Set<CompletionFeature>? = Set(CompletionFeature.allCases)
    package var embeddings: EmbeddingForm = .tokens
    /// It has a route that ranks documents.
    package var rerank = true

    package init() {}

    /// Anthropic's own API, version 2023-06-01.
    package static var anthropic: Capabilities {
        var flags = Capabilities()
        flags.thinkTags = false
        flags.thinkingControl = .budget
        flags.efforts = Set(Effort.allCases)
        flags.forcedCallWithThinking = false
        flags.toolChoice = .full
        flags.images = .url
        flags.imageInTool = true
        flags.files = true
        flags.schemaProfile = .none
        flags.stopLimit = nil
        flags.seed = false
        flags.topK = true
        flags.strictTools = true
        flags.prefill = true
        flags.textCalls = false
        flags.callIDs = CallIDRule(length: 1...256)
        flags.toolNameLength = 128
        flags.usage = .always
        flags.completions = nil
        flags.embeddings = .none
        flags.rerank = false
        return flags
    }
}

package extension Capabilities {
    /// OpenAI's own Responses API, with a model that reasons.
    static var responses: Capabilities {
        var flags = Capabilities()
        flags.reasoningOut = .none
        flags.thinkTags = false
        flags.thinkingControl = .effort
        flags.efforts = Set(Effort.allCases)
        flags.toolChoice = .full
        flags.systemLate = .keep
        flags.developerRole = true
        flags.images = .url
        flags.imageInTool = true
        flags.files = true
        flags.audio = true
        flags.schemaProfile = .none
        flags.stopLimit = 0
        flags.seed = false
        flags.strictTools = true
        flags.usage = .always
        flags.sealedReasoning = true
        flags.reasoningSummary = true
        flags.completions = nil
        flags.rerank = false
        return flags
    }
}

/// What an upstream takes as the id of a tool call.
package struct CallIDRule: Sendable, Hashable {
    /// Bytes.
    package var length: ClosedRange<Int>
    /// Letters and digits only; else `_` and `-` too.
    package var isAlphanumeric: Bool

    package init(length: ClosedRange<Int> = 1...64, isAlphanumeric: Bool = false) {
        self.length = length
        self.isAlphanumeric = isAlphanumeric
    }
}

/// Which JSON Schemas an upstream can take.
package enum SchemaProfile: String, Sendable, Hashable, CaseIterable {
    /// All of them.
    case none
    /// Compiled to a grammar as llama.cpp does.
    case llamacpp
    /// A guided sampler.
    case guided
    /// OpenAI's `strict` subset.
    case strictOpenAI = "strict-openai"
    /// Anthropic's structured outputs.
    case strictAnthropic = "strict-anthropic"
    /// Types, properties and enumerations.
    case minimal
    /// `{"type":"object"}` and no more: the last rung of the ladder before giving up.
    case bare
}
