import MartletDialects
import MartletEngine
import MartletGateway
import MartletTransport
import MartletWire
import NIOCore

/// Counts the tokens of a request's prompt as its upstream would get it (specs 2.9.8). Never waits for a generation or
/// a model load: what does not answer at once is estimated, on the high side.
struct TokenCount: Sendable {
    /// How long an upstream may take; agents wait for the count.
    static let patience = TimeAmount.milliseconds(800)

    let calls: CallBox
    let engine: EngineHost
    /// Of reasoning that comes back in requests.
    var seal = ReasoningSeal.plain

    /// - Throws: `modelNotFound` as for messages, or what is wrong with the request.
    func count(
        _ document: JSONDocument, from client: DialectID, in snapshot: Snapshot
    ) async throws(GatewayError) -> Int {
        let model = try Decider.model(in: document)
        let canonical = try Dialects.readRequest(document, from: client, seal: seal)
        guard let candidate = try snapshot.routes.resolve(model).first else {
            return TokenEstimate.of(canonical)
        }
        return await exact(document, from: client, at: candidate) ?? TokenEstimate.of(canonical)
    }

    /// As the upstream itself counts; nil where it does not, or not at once.
    func exact(_ document: JSONDocument, from client: DialectID, at candidate: Candidate) async -> Int? {
        let upstream = candidate.upstream
        guard let calls = calls.value else { return nil }
        var origin: Origin?
        if upstream.location == .hosted {
            origin = await engine.borrow(candidate.model)
            if origin == nil { return nil }
        }
        defer { if let origin { engine.release(candidate.model, at: origin, served: false) } }
        guard let (path, body) = question(document, client, candidate),
            let reply = try? await calls.post(
                path, body, at: upstream, origin: origin, timeout: TokenCount.patience),
            reply.head.isSuccess, let answer = try? JSON(parsing: reply.body)
        else { return nil }
        return answer["input_tokens"]?.int.flatMap { $0 >= 0 ? $0 : nil }
    }

    /// What the upstream is asked; nil when it cannot be.
    private func question(
        _ document: JSONDocument, _ client: DialectID, _ candidate: Candidate
    ) -> (String, ByteBuffer)? {
        let profile = candidate.upstream.profile
        switch profile.counting {
        case .estimate: return nil
        case .chatInputTokens:
            // A prompt that is continued as it is has none of the template's tokens.
            guard client != .completions else { return nil }
            let path = "/v1/chat/completions/input_tokens"
            guard client != .chat else { return (path, document.bytes) }
            let target = WriteTarget(model: candidate.model, capabilities: candidate.capabilities, streams: false)
            guard
                let translated = try? Dialects.translateRequest(
                    document, from: client, to: .chat, for: target, seal: seal),
                translated.answer == nil
            else { return nil }
            return (path, translated.body)
        case .messagesCountTokens:
            guard client == .anthropic else { return nil }
            var name = ByteBuffer()
            name.writeJSONString(candidate.model)
            var edit = JSONEdit()
            do throws(JSONError) {
                try edit.set("model", name, in: document)
            } catch {
                return nil
            }
            return ("/v1/messages/count_tokens", edit.applied(to: document.bytes))
        }
    }
}
