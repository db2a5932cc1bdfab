package import MartletWire
import NIOCore

/// A request of legacy Completions (https://platform.openai.com/docs/api-reference/completions/create).
package enum CompletionRequest {
    /// Reads a request for an upstream that knows turns only: the prompt becomes what a user says.
    ///
    /// - Throws: `invalidRequest` for a member that is not what it should be; `unsupportedParameter` for one that no
    ///   conversation can honour.
    static func read(_ document: JSONDocument) throws(GatewayError) -> CanonicalRequest {
        let form = try Form(document)
        if let feature = form.asked(without: []) {
            throw .unsupported(feature.member, "this model's server has no route for completions; \(feature.remedy)")
        }
        guard let prompt = form.prompt else { throw noPrompt }
        do throws(DialectError) {
            return try request(document, prompt)
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    /// Checks a request for an upstream that has the route, and takes out of it what asks for nothing and some servers
    /// refuse all the same.
    /// - Throws: `invalidRequest` for a member that is not what it should be; `unsupportedParameter` for what this
    ///   upstream does not do.
    package static func repair(
        _ document: JSONDocument, for features: Set<CompletionFeature>, with edit: inout JSONEdit
    ) throws(GatewayError) {
        let form = try Form(document)
        guard form.hasPrompt else { throw noPrompt }
        if let feature = form.asked(without: features) {
            throw .unsupported(feature.member, "the server of this model does not do that; \(feature.remedy)")
        }
        for (feature, place) in form.neutral where !features.contains(feature) { edit.remove(place, of: document) }
        if let place = form.wrapped, let prompt = form.prompt, !features.contains(.prompts) {
            var text = ByteBuffer()
            text.writeEscaped(prompt)
            edit.replace(document.members[place].value, with: text)
        }
    }

    private static var noPrompt: GatewayError {
        GatewayError(code: .invalidRequest, message: "prompt is required", param: "prompt")
    }

    private static func request(
        _ document: JSONDocument, _ prompt: EscapedText
    ) throws(DialectError) -> CanonicalRequest {
        var members = try RequestMembers(document)
        var settings = Settings()
        let model = try members.string("model")
        let limit = try members.int("max_tokens")
        // -1 is some local servers' word for "no limit".
        settings.maxTokens = limit.flatMap { $0 >= 0 ? $0 : nil }
        settings.choices = try members.int("n") ?? 1
        settings.streams = try members.bool("stream") ?? false
        settings.stops =
            try members.read("stop") { (walk) throws(DialectError) in
                if try walk.kind() == .string { return [try walk.string()] }
                var stops: [String] = []
                try walk.array { (walk, _) throws(DialectError) in
                    guard stops.count < RequestLimits.stops else {
                        throw DialectError(.unexpected, "more than \(RequestLimits.stops) stop strings")
                    }
                    stops.append(try walk.string())
                }
                return stops
            }?.filter { !$0.isEmpty } ?? []
        settings.temperature = try members.number("temperature", in: 0...2)
        settings.topP = try members.number("top_p", in: 0...1)
        settings.topK = try members.number("top_k")
        settings.seed = try members.number("seed")
        settings.presencePenalty = try members.number("presence_penalty", in: -2...2)
        settings.frequencyPenalty = try members.number("frequency_penalty", in: -2...2)
        settings.user = try members.escapedIfAny("user")
        var origin = RequestOrigin(dialect: .completions)
        origin.bytes = document.bytes.readableBytes
        return CanonicalRequest(
            model: model ?? "", items: [.message(.user, [Part(.text(prompt))])], settings: settings, raw: members.rest,
            origin: origin)
    }
}

/// What a request of legacy Completions may ask for beside the continuation of one text, and not every server does.
package enum CompletionFeature: String, Sendable, Hashable, CaseIterable {
    /// Several prompts at once.
    case prompts
    /// A prompt as tokens instead of text.
    case tokens
    case echo, suffix
    case choices = "n"
    case bestOf = "best_of"
    case logprobs

    /// The member that asks for it.
    package var member: String {
        switch self {
        case .prompts, .tokens: "prompt"
        case .echo, .suffix, .choices, .bestOf, .logprobs: rawValue
        }
    }

    var remedy: String {
        switch self {
        case .prompts: "send one prompt at a time"
        case .tokens: "send the prompt as text"
        case .echo, .suffix, .choices, .bestOf, .logprobs: "leave \(rawValue) out"
        }
    }
}

extension GatewayError {
    /// A member that is well-formed and cannot be honoured.
    static func unsupported(_ member: String, _ sentence: String) -> GatewayError {
        GatewayError(code: .unsupportedParameter, message: "\(member): \(sentence)", param: member)
    }
}
