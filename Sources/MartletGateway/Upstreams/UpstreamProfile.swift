package import MartletDialects

/// How a same-dialect reply goes through (specs 2.0): `exact` touches `model` only, `repair`
/// mends what upstreams get wrong.
package enum RelayMode: String, Sendable, Hashable, CaseIterable { case exact, repair }

/// How an upstream wants its key.
package enum Credential: Sendable, Hashable { case bearer, apiKey }

/// What a kind of upstream is, as data: dialects it speaks best first, paths, defaults.
/// Nothing in a translator names a kind.
package struct UpstreamProfile: Sendable, Hashable {
    /// The word in configuration: `lmstudio`, `llamacpp`, ….
    package var kind: String
    /// The name in sentences for people: `LM Studio`.
    package var shownName: String
    /// What to try when it cannot be reached.
    package var hint: String
    package var dialects: [UpstreamDialect]
    package var mode: RelayMode
    package var credential: Credential
    /// What its models can do, as far as the kind tells.
    package var capabilities: Capabilities
    /// Where the model that is asked for is not there it takes another, and only the reply's `model` tells.
    package var mayAnswerWithAnother: Bool
    /// It refuses images at addresses; where that is not known, they are passed on to it.
    package var refusesImageAddresses: Bool
    /// A prompt that does not fit may be answered with a stream that ends before it has begun.
    package var mayOverflowSilently: Bool
    /// It sums conversations up by itself: `/v1/responses/compact` and `compaction_trigger`.
    package var compacts: Bool
    /// It runs tools of MCP servers by itself where the client's own dialect asks for them.
    package var runsTools: Bool
    /// How it counts the tokens of a prompt.
    package var counting: Counting
    /// How it lists its models.
    package var listing: ModelListing
    /// It has LM Studio's two APIs beside OpenAI's, with routes for models, and replies that tell how long they took.
    package var hasLegacyAPI: Bool
    /// What runs its models, as far as the kind tells.
    package var runtime: ModelRuntime
    /// Requests may hand it what is listed, and no more (``EngineMembers``).
    package var takesListedOnly: Bool

    package init(
        kind: String, shownName: String, hint: String, dialects: [UpstreamDialect], mode: RelayMode,
        credential: Credential = .bearer, capabilities: Capabilities = Capabilities(), counting: Counting = .estimate,
        listing: ModelListing = .common, mayAnswerWithAnother: Bool = false, refusesImageAddresses: Bool = false,
        mayOverflowSilently: Bool = false, compacts: Bool = false, runsTools: Bool = false,
        hasLegacyAPI: Bool = false, runtime: ModelRuntime? = nil, takesListedOnly: Bool = false
    ) {
        self.takesListedOnly = takesListedOnly
        self.hasLegacyAPI = hasLegacyAPI
        self.runtime = runtime ?? ModelRuntime(name: kind)
        self.kind = kind
        self.shownName = shownName
        self.hint = hint
        self.dialects = dialects
        self.mode = mode
        self.credential = credential
        self.capabilities = capabilities
        self.counting = counting
        self.listing = listing
        self.mayAnswerWithAnother = mayAnswerWithAnother
        self.refusesImageAddresses = refusesImageAddresses
        self.mayOverflowSilently = mayOverflowSilently
        self.compacts = compacts
        self.runsTools = runsTools
    }

    package static let all: [UpstreamProfile] = [
        .lmStudio, .llamaCpp, .ollama, .vllm, .openAI, .anthropic, .openAICompatible, .mock, .engine,
    ]

    package static func named(_ kind: String) -> UpstreamProfile? { all.first { $0.kind == kind } }

    package static let lmStudio = UpstreamProfile(
        kind: "lmstudio", shownName: "LM Studio", hint: "Is its server running? (lms server start)",
        dialects: [.chat, .lmstudio], mode: .repair, capabilities: .lmStudio, listing: .lmStudio,
        mayAnswerWithAnother: true, refusesImageAddresses: true, mayOverflowSilently: true, hasLegacyAPI: true)
    package static let llamaCpp = UpstreamProfile(
        kind: "llamacpp", shownName: "llama-server", hint: "Is llama-server running?", dialects: [.chat], mode: .repair,
        capabilities: .llamaCpp, counting: .chatInputTokens, listing: .llamaCpp, runtime: .llamaCpp)
    package static let ollama = UpstreamProfile(
        kind: "ollama", shownName: "Ollama", hint: "Is it running? (ollama serve)", dialects: [.chat], mode: .repair,
        capabilities: .ollama, listing: .ollama)
    package static let vllm = UpstreamProfile(
        kind: "vllm", shownName: "vLLM", hint: "Is it running? (vllm serve MODEL)", dialects: [.chat], mode: .repair,
        capabilities: .vllm, counting: .messagesCountTokens, listing: .vllm)
    package static let openAI = UpstreamProfile(
        kind: "openai", shownName: "OpenAI", hint: "Check the network and the URL.",
        dialects: [.responses, .chat], mode: .exact, capabilities: .openAI, listing: .openAI, compacts: true,
        runsTools: true)
    package static let anthropic = UpstreamProfile(
        kind: "anthropic", shownName: "Anthropic", hint: "Check the network and the URL.", dialects: [.anthropic],
        mode: .exact, credential: .apiKey, capabilities: .anthropic, counting: .messagesCountTokens,
        listing: .anthropic, runsTools: true)
    package static let openAICompatible = UpstreamProfile(
        kind: "openai-compatible", shownName: "the upstream", hint: "Is its server running?", dialects: [.chat],
        mode: .repair)
    /// Answers made up in this process; only where it is configured.
    package static let mock = UpstreamProfile(
        kind: "mock", shownName: "the mock", hint: "Run: martlet doctor", dialects: [.chat], mode: .repair,
        capabilities: .mock)
    /// Our own llama.cpp processes, one per model, behind private Unix sockets.
    package static let engine = UpstreamProfile(
        kind: "engine", shownName: "the local engine", hint: "Run: martlet doctor", dialects: [.chat], mode: .repair,
        capabilities: .engine, counting: .chatInputTokens, listing: .llamaCpp, refusesImageAddresses: true,
        runtime: .llamaCpp, takesListedOnly: true)

    /// The dialect this upstream is spoken to in for a client of `dialect`: the client's own if it can be.
    package func dialect(for client: DialectID) -> UpstreamDialect {
        speaks(client) ? UpstreamDialect(client) : dialects.first ?? .chat
    }

    package func speaks(_ client: DialectID) -> Bool { dialects.contains(UpstreamDialect(client)) }

    /// The same, spoken to in one dialect only.
    package func speaking(_ dialect: UpstreamDialect) -> UpstreamProfile {
        var profile = self
        profile.dialects = [dialect]
        if dialect == .lmstudio { profile.capabilities = capabilities.inLMStudioAPI }
        return profile
    }
}

extension ModelRuntime {
    /// Its replies tell which build it is.
    package static let llamaCpp = ModelRuntime(name: "llama.cpp", formats: ["gguf"])
}

/// How an upstream counts the tokens of a prompt (specs 2.9.8).
package enum Counting: Sendable, Hashable {
    /// It does not; the gateway estimates.
    case estimate
    /// `POST /v1/chat/completions/input_tokens`, with the chat request as its body.
    case chatInputTokens
    /// `POST /v1/messages/count_tokens`, with the Anthropic request as its body.
    case messagesCountTokens
}
