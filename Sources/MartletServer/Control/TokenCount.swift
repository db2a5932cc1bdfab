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

    /// How long a server may take to list its tools; the count goes without them then.
    static let toolPatience = Duration.seconds(10)

    let calls: CallBox
    let engine: EngineHost
    let tools: any ToolHost
    /// Of reasoning that comes back in requests.
    var seal = ReasoningSeal.plain

    /// - Parameters:
    ///   - document: the request's body, with what it continues from before its own input.
    ///   - request: whose tools are counted as well.
    /// - Throws: `modelNotFound` as for messages, or what is wrong with the request.
    func count(
        _ document: JSONDocument, of request: InboundRequest, from client: DialectID, in snapshot: Snapshot
    ) async throws(GatewayError) -> Int {
        let model = try Decider.model(in: document)
        var canonical = try Dialects.readRequest(document, from: client, seal: seal)
        guard let candidate = try snapshot.routes.resolve(model).first else {
            return TokenEstimate.of(canonical)
        }
        let wish = try ToolWish(
            of: document, from: client, betas: request.forwarded.betas, at: candidate, by: snapshot.tools)
        var served: ServedTools?
        if let wish {
            let listed = await listed(wish, for: request.owner)
            if !listed.isEmpty || !wish.isHidden { served = ServedTools(listed, isHidden: wish.isHidden) }
        }
        if let exact = await exact(document, from: client, at: candidate, serving: served) { return exact }
        if let served { _ = try canonical.serve(served) }
        return TokenEstimate.of(canonical)
    }

    /// The tools of those servers that list them in time.
    private func listed(_ wish: ToolWish, for owner: KeyTable.Digest) async -> [ServedTool] {
        let tools = self.tools
        guard !wish.isHidden else { return await tools.attachedTools(of: wish.integrations, for: owner) }
        return await withTaskGroup(of: (Int, [ServedTool]).self) { group in
            for (place, integration) in wish.integrations.enumerated() {
                group.addTask {
                    await withTaskGroup(of: [ServedTool].self) { race in
                        race.addTask { (try? await tools.tools(of: [integration], for: owner))?.served ?? [] }
                        race.addTask {
                            try? await Task.sleep(for: Self.toolPatience)
                            return []
                        }
                        defer { race.cancelAll() }
                        return (place, await race.next() ?? [])
                    }
                }
            }
            let found = await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            return wish.integrations.indices.flatMap { found[$0] ?? [] }
        }
    }

    /// As the upstream itself counts; nil where it does not, or not at once.
    /// - Parameter served: tools that it is given here.
    func exact(
        _ document: JSONDocument, from client: DialectID, at candidate: Candidate, serving served: ServedTools? = nil
    ) async -> Int? {
        let upstream = candidate.upstream
        guard let calls = calls.value else { return nil }
        var origin: Origin?
        if upstream.location == .hosted {
            origin = await engine.borrow(candidate.model)
            if origin == nil { return nil }
        }
        defer { if let origin { engine.release(candidate.model, at: origin, served: false) } }
        guard let (path, body) = question(document, client, candidate, served),
            let reply = try? await calls.post(
                path, body, at: upstream, origin: origin, timeout: TokenCount.patience),
            reply.head.isSuccess, let answer = try? JSON(parsing: reply.body)
        else { return nil }
        return answer["input_tokens"]?.int.flatMap { $0 >= 0 ? $0 : nil }
    }

    /// What the upstream is asked; nil when it cannot be.
    private func question(
        _ document: JSONDocument, _ client: DialectID, _ candidate: Candidate, _ served: ServedTools?
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
                    document, from: client, to: .chat, for: target, seal: seal, serving: served),
                translated.answer == nil
            else { return nil }
            return (path, translated.body)
        case .messagesCountTokens:
            guard client == .anthropic, served == nil else { return nil }
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
