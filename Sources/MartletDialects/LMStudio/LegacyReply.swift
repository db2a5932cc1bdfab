import MartletWire
import NIOCore

/// What is known of a model beside its name and its window.
package struct ModelCard: Sendable, Hashable {
    package var architecture: String?
    package var quantisation: String?
    /// `gguf` or `mlx`.
    package var format: String?

    package init(architecture: String? = nil, quantisation: String? = nil, format: String? = nil) {
        self.architecture = architecture
        self.quantisation = quantisation
        self.format = format
    }

    package var isEmpty: Bool { self == ModelCard() }
}

/// What runs the models of an upstream.
package struct ModelRuntime: Sendable, Hashable {
    package var name: String
    package var version: String?
    package var formats: [String]

    package init(name: String, version: String? = nil, formats: [String] = []) {
        self.name = name
        self.version = version
        self.formats = formats
    }
}

/// What replies of LM Studio's older API hold beside what OpenAI's do: `stats`, `model_info` and `runtime`
/// (https://lmstudio.ai/docs/developer/rest/endpoints). What an upstream tells of them by itself stands.
package struct LegacyReply: Sendable {
    static let names = ["stats", "model_info", "runtime"]

    private let card: ModelCard
    /// Tokens that the model is loaded with.
    private let window: Int?
    private let runtime: ModelRuntime
    /// The request says how long the reply may be.
    private let isLimited: Bool
    /// The request has stop strings.
    private let hasStops: Bool
    private var stopwatch: Stopwatch

    package init(
        card: ModelCard, window: Int?, runtime: ModelRuntime, isLimited: Bool, hasStops: Bool = false,
        stopwatch: Stopwatch
    ) {
        self.hasStops = hasStops
        self.card = card
        self.window = window
        self.runtime = runtime
        self.isLimited = isLimited
        self.stopwatch = stopwatch
    }

    /// How a reply ended. Without a reason it is none that was generated.
    struct End {
        var usage: Usage
        var reason: FinishReason?
        /// It ended at one of the request's stop strings.
        var isStopped: Bool

        /// - Parameter bytes: of all that was generated, for upstreams that do not count.
        init(usage: Usage, bytes: Int = 0, reason: FinishReason?, isStopped: Bool) {
            self.usage = usage
            if usage.output == nil, bytes > 0 { self.usage.output = TokenEstimate.ofOutput(bytes: bytes) }
            self.reason = reason
            self.isStopped = isStopped
        }
    }

    mutating func noteToken() { stopwatch.noteToken() }

    /// Sets what is not there yet.
    /// - Parameter told: by the upstream, in an earlier chunk.
    func complete(_ object: inout RawObject, _ end: End, told: RawObject = RawObject()) {
        for name in Self.names where Self.isSilent(object[name]) {
            if let given = told[name] {
                object.set(name, given)
                continue
            }
            switch name {
            case "stats": object.set(name, stats(end).buffer)
            case "model_info": object.set(name, modelInfo.buffer)
            default: object.set(name, runtimeInfo(build: object["system_fingerprint"]).buffer)
            }
        }
    }

    /// Takes what an upstream tells out of a chunk that need not be the last.
    static func take(from chunk: inout RawObject, into told: inout RawObject) {
        for name in names {
            guard let given = chunk[name] else { continue }
            if !isSilent(given) { told.set(name, given) }
            chunk.remove(name)
        }
    }

    /// The members behind others: `,"stats":…`.
    func writeMembers(_ end: End, into out: inout ByteBuffer) {
        var object = RawObject()
        complete(&object, end)
        for member in object.members {
            out.writeString(",\"\(member.name)\":")
            out.writeImmutableBuffer(member.value)
        }
    }

    /// A whole reply with them.
    package func completed(_ whole: WholeReply) -> WholeReply {
        guard whole.misfit == nil else { return whole }
        var body = ByteBuffer()
        for piece in whole.pieces { body.writeImmutableBuffer(piece) }
        guard var object = try? RawObject(body) else { return whole }
        var usage = whole.summary.usage
        let shown = object["usage"].flatMap { try? RawObject($0) }
        usage.output = usage.output ?? shown?["completion_tokens"]?.rawInt
        let end = End(usage: usage, reason: whole.summary.finishes.first, isStopped: whole.summary.isStopped)
        complete(&object, end)
        return WholeReply(pieces: [object.text], summary: whole.summary)
    }

    /// LM Studio's Chat route has an empty object in the place.
    private static func isSilent(_ value: ByteBuffer?) -> Bool {
        guard let value else { return true }
        return (try? RawObject(value))?.members.isEmpty != false
    }

    // MARK: Their values

    private func stats(_ end: End) -> JSON {
        let timings = stopwatch.timings(of: end.usage)
        var stats: JSON = [:]
        if end.reason != nil { stats["tokens_per_second"] = .double(timings.tokensPerSecond ?? 0) }
        stats["time_to_first_token"] = .double(timings.timeToFirstToken ?? 0)
        stats["generation_time"] = .double(timings.generationTime ?? 0)
        if let word = end.reason.flatMap({ word($0, end) }) { stats["stop_reason"] = .string(word) }
        if let draft = timings.draft {
            stats["total_draft_tokens_count"] = .int(draft.total)
            stats["accepted_draft_tokens_count"] = .int(draft.accepted)
            stats["rejected_draft_tokens_count"] = .int(max(0, draft.total - draft.accepted))
            stats["ignored_draft_tokens_count"] = 0
        }
        return stats
    }

    /// Nil: a stop string or the model's own end, and nobody says which.
    private func word(_ reason: FinishReason, _ end: End) -> String? {
        switch reason {
        case .stop, .pauseTurn: end.isStopped ? "stopStringFound" : hasStops ? nil : "eosFound"
        case .toolCalls: "toolCalls"
        case .contextWindow: "contextLengthReached"
        case .contentFilter: "failed"
        case .length: isFull(end.usage) || !isLimited ? "contextLengthReached" : "maxPredictedTokensReached"
        }
    }

    private func isFull(_ usage: Usage) -> Bool {
        guard let window, let input = usage.input, let output = usage.output else { return false }
        let (sum, overflow) = input.addingReportingOverflow(output)
        return overflow || sum >= window
    }

    private var modelInfo: JSON {
        var info: JSON = [
            "arch": .string(card.architecture ?? ""), "quant": .string(card.quantisation ?? ""),
            "format": .string(card.format ?? "gguf"),
        ]
        if let window { info["context_length"] = .int(window) }
        return info
    }

    /// - Parameter build: as llama.cpp tells it in its replies.
    private func runtimeInfo(build: ByteBuffer?) -> JSON {
        let version = runtime.version ?? build?.rawString?.unescaped() ?? ""
        return [
            "name": .string(runtime.name), "version": .string(version),
            "supported_formats": .array(runtime.formats.map(JSON.string)),
        ]
    }
}
