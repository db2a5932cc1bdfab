package import MartletDialects

/// How a same-dialect reply goes through (specs 2.0): `exact` touches `model` only, `repair` mends what upstreams get wrong.
package enum RelayMode: String, Sendable, Hashable, CaseIterable { case exact, repair }

/// How an upstream wants its key.
package enum Credential: Sendable, Hashable { case bearer, apiKey }

/// Whether a stream reports usage (specs 1.8).
package enum UsageReporting: Sendable, Hashable {
    /// Only when `stream_options.include_usage` asks for it.
    case streamOptions
    case always, never
}

/// What a kind of upstream is, as data: dialects it speaks best first, paths, defaults. Nothing in a translator names a kind.
package struct UpstreamProfile: Sendable, Hashable {
    /// The word in configuration: `lmstudio`, `llamacpp`, ….
    package var kind: String
    /// The name in sentences for people: `LM Studio`.
    package var shownName: String
    /// What to try when it cannot be reached.
    package var hint: String
    package var dialects: [DialectID]
    package var mode: RelayMode
    package var credential: Credential
    package var usage: UsageReporting
    /// Path of its model list, and of a cheap request that tells whether it answers at all.
    package var modelsPath: String

    package init(
        kind: String, shownName: String, hint: String, dialects: [DialectID], mode: RelayMode,
        credential: Credential = .bearer, usage: UsageReporting = .streamOptions, modelsPath: String = "/v1/models"
    ) {
        self.kind = kind
        self.shownName = shownName
        self.hint = hint
        self.dialects = dialects
        self.mode = mode
        self.credential = credential
        self.usage = usage
        self.modelsPath = modelsPath
    }

    package static let all: [UpstreamProfile] = [
        .lmStudio, .llamaCpp, .ollama, .vllm, .openAI, .openAICompatible, .engine,
    ]

    package static func named(_ kind: String) -> UpstreamProfile? { all.first { $0.kind == kind } }

    package static let lmStudio = UpstreamProfile(
        kind: "lmstudio", shownName: "LM Studio", hint: "Is its server running? (lms server start)",
        dialects: [.chat], mode: .repair)
    package static let llamaCpp = UpstreamProfile(
        kind: "llamacpp", shownName: "llama-server", hint: "Is llama-server running?", dialects: [.chat], mode: .repair)
    package static let ollama = UpstreamProfile(
        kind: "ollama", shownName: "Ollama", hint: "Is it running? (ollama serve)", dialects: [.chat], mode: .repair)
    package static let vllm = UpstreamProfile(
        kind: "vllm", shownName: "vLLM", hint: "Is it running? (vllm serve MODEL)", dialects: [.chat], mode: .repair)
    package static let openAI = UpstreamProfile(
        kind: "openai", shownName: "OpenAI", hint: "Check the network and the URL.", dialects: [.chat], mode: .exact)
    package static let openAICompatible = UpstreamProfile(
        kind: "openai-compatible", shownName: "the upstream", hint: "Is its server running?", dialects: [.chat],
        mode: .repair)
    /// Our own llama.cpp processes, one per model, behind private Unix sockets.
    package static let engine = UpstreamProfile(
        kind: "engine", shownName: "the local engine", hint: "Run: martlet doctor", dialects: [.chat], mode: .repair)
}
