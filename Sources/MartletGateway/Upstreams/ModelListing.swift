/// How a kind of upstream tells which models it has and how much they hold, as data.
package struct ModelListing: Sendable, Hashable {
    /// Where something stands in a JSON value: members from the outside in, and numbers of elements. One that begins
    /// with `*` is any member with that end.
    package typealias Path = [String]

    /// A question beside the list, about context windows only. What fails is left open; the list stands without it.
    package struct Question: Sendable, Hashable {
        package enum Subject: Sendable, Hashable {
            /// One reply tells of many models: the list's entries, and the member with a model's id.
            case many(entries: String, id: String)
            /// The reply tells of the model that is served, where that is a single one.
            case single
            /// Asked per model, by a `POST` whose body names the model so.
            case each(name: String)
        }

        package var path: String
        package var subject: Subject
        package var loaded: [Path]
        package var maximum: [Path]

        package init(_ path: String, _ subject: Subject, loaded: [Path] = [], maximum: [Path] = []) {
            self.path = path
            self.subject = subject
            self.loaded = loaded
            self.maximum = maximum
        }
    }

    /// Of an OpenAI-shaped list, which is also the cheap request that tells whether the upstream answers at all.
    package var path: String
    /// Where an entry tells the window of the model as it is loaded; the first that is there counts.
    package var loaded: [Path]
    /// Where it tells the most the model can hold.
    package var maximum: [Path]
    /// Where it tells the most one reply may have.
    package var reply: [Path]
    /// Asked as long as a model's window is not known, in this order.
    package var questions: [Question]
    /// Models come, go and are loaded otherwise while this runs, so the list is read again now and then.
    package var changes: Bool

    package init(
        path: String = "/v1/models", loaded: [Path] = [], maximum: [Path] = [], reply: [Path] = [],
        questions: [Question] = [], changes: Bool = true
    ) {
        self.path = path
        self.loaded = loaded
        self.maximum = maximum
        self.reply = reply
        self.questions = questions
        self.changes = changes
    }

    /// What servers that follow no vendor's example tell in their lists: vLLM's name and
    /// its imitators', hosted routers'.
    package static let common = ModelListing(
        loaded: [["meta", "n_ctx"], ["max_model_len"], ["loaded_context_length"]],
        maximum: [["context_length"], ["max_context_length"], ["context_window"], ["max_input_tokens"]])

    /// `meta.n_ctx` is the window of one slot (llama.cpp, tools/server). Older builds tell it by `/props` alone.
    package static let llamaCpp = ModelListing(
        loaded: [["meta", "n_ctx"]], maximum: [["meta", "n_ctx_train"]],
        questions: [Question("/props", .single, loaded: [["default_generation_settings", "n_ctx"]])])

    /// Its own list is the newer one, and what it tells counts; versions before 0.4 have the older one only.
    package static let lmStudio = ModelListing(
        questions: [
            Question(
                "/api/v0/models", .many(entries: "data", id: "id"), loaded: [["loaded_context_length"]],
                maximum: [["max_context_length"]]),
            Question(
                "/api/v1/models", .many(entries: "models", id: "key"),
                loaded: [["loaded_instances", "0", "config", "context_length"]], maximum: [["max_context_length"]]),
        ])

    /// What is loaded tells its window; of the others only the maximum is known, model by model.
    package static let ollama = ModelListing(
        questions: [
            Question("/api/ps", .many(entries: "models", id: "model"), loaded: [["context_length"]]),
            Question("/api/show", .each(name: "model"), maximum: [["model_info", "*.context_length"]]),
        ])

    package static let vllm = ModelListing(loaded: [["max_model_len"]])
    package static let openAI = ModelListing(changes: false)
    package static let anthropic = ModelListing(
        maximum: [["max_input_tokens"]], reply: [["max_tokens"]], changes: false)
}

/// How many tokens a conversation with a model may hold. Nil: not known.
package struct ContextWindow: Sendable, Hashable {
    /// As the model is loaded now.
    package var loaded: Int?
    /// The most it can be loaded with.
    package var maximum: Int?
    /// The most that one reply may have of it.
    package var reply: Int?

    package init(loaded: Int? = nil, maximum: Int? = nil, reply: Int? = nil) {
        self.loaded = loaded
        self.maximum = maximum
        self.reply = reply
    }

    /// What a request has to fit into, as far as anybody told.
    package var tokens: Int? { loaded ?? maximum }

    package var isKnown: Bool { loaded != nil || maximum != nil || reply != nil }

    /// With what the other knows and this does not.
    package func filled(from other: ContextWindow?) -> ContextWindow {
        ContextWindow(
            loaded: loaded ?? other?.loaded, maximum: maximum ?? other?.maximum, reply: reply ?? other?.reply)
    }
}
