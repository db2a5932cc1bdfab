import MartletDialects
import MartletGateway
import MartletLedger
import MartletWire
import NIOCore

/// Answers what is asked about stored responses, and how long a request is.
struct ResponseRoutes: Sendable {
    /// Nil where nothing is kept.
    let ledger: ResponseLedger?
    let tokens: TokenCount

    func answer(_ request: InboundRequest, in snapshot: Snapshot) async throws(GatewayError) -> ControlReply {
        switch request.endpoint {
        case .inputTokens: return try await ok(inputTokens(request, snapshot).buffer)
        case .inputItems(let id): return try await ok(inputItems(stored(id, request), request.query))
        case .cancelResponse(let id):
            guard let object = try await ledger?.cancel(id, of: request.owner) else { throw Self.notFound(id) }
            return ok(object)
        case .response(let id):
            guard request.method == "DELETE" else { return try await response(id, request) }
            guard try await ledger?.delete(id, of: request.owner) == true else { throw Self.notFound(id) }
            let gone: JSON = ["id": .string(id), "object": "response", "deleted": true]
            return ok(gone.buffer)
        default: throw GatewayError(code: .notFound, message: "there is no route \(request.path.prefix(200))")
        }
    }

    private func stored(_ id: String, _ request: InboundRequest) async throws(GatewayError) -> StoredResponse {
        guard let stored = try await ledger?.get(id, of: request.owner) else { throw Self.notFound(id) }
        return stored
    }

    private static func notFound(_ id: String) -> GatewayError {
        GatewayError(code: .notFound, message: "Response with id '\(id.prefix(128))' not found.", subject: id)
    }

    private func ok(_ body: ByteBuffer) -> ControlReply { ControlReply(status: 200, body: body) }

    // MARK: One response

    private func response(_ id: String, _ request: InboundRequest) async throws(GatewayError) -> ControlReply {
        guard Endpoints.parameter("stream", of: request.query) == "true", request.method == "GET" else {
            if let job = await ledger?.job(id, of: request.owner) { return ok(job.object) }
            return try await ok(ByteBuffer(bytes: stored(id, request).object))
        }
        let place = try Endpoints.parameter("starting_after", of: request.query).map(Self.place) ?? 0
        if let job = await ledger?.job(id, of: request.owner) {
            var reply = ok(ByteBuffer())
            reply.following = Following(source: job, place: place)
            return reply
        }
        let stored = try await stored(id, request)
        try ResponseLedger.refuse(id, stored, madeElsewhere: "read its stream there, or poll it here")
        let object = ByteBuffer(bytes: stored.object)
        let made = try await ledger?.events(id, of: request.owner)
        var body = ByteBuffer()
        let told = made.map(ResponsesDraft.cut).flatMap { $0.isEmpty ? nil : $0 } ?? ResponsesDraft.events(object)
        for event in told.dropFirst(place) { body.writeImmutableBuffer(event) }
        if made?.readableBytes == 0, place >= told.count {
            // Whoever read its stream has read other events than these, and more: the end is what is left to tell.
            body.writeImmutableBuffer(ResponsesDraft.lastEvent(object, number: place))
        }
        body.writeImmutableBuffer(ResponsesDraft.endMark)
        return ControlReply(
            status: 200, contentType: "text/event-stream; charset=utf-8", body: body,
            headers: ["cache-control: no-cache"])
    }

    /// The event behind the one whose number is given.
    private static func place(_ text: String) throws(GatewayError) -> Int {
        guard let number = Int(text), (0..<Int(Int32.max)).contains(number) else {
            throw GatewayError(
                code: .invalidRequest,
                message: "starting_after must be the number of an event (got \(text.prefix(20)))",
                param: "starting_after")
        }
        return number + 1
    }

    // MARK: Lists

    /// A page of the request's own input.
    private func inputItems(_ stored: StoredResponse, _ query: String) throws(GatewayError) -> ByteBuffer {
        let limit = try Endpoints.parameter("limit", of: query).map { text throws(GatewayError) -> Int in
            guard let number = Int(text), (1...100).contains(number) else {
                throw GatewayError(
                    code: .invalidRequest, message: "limit must be between 1 and 100 (got \(text.prefix(20)))",
                    param: "limit")
            }
            return number
        }
        let order = Endpoints.parameter("order", of: query) ?? "desc"
        guard order == "asc" || order == "desc" else {
            throw GatewayError(code: .invalidRequest, message: "order must be asc or desc", param: "order")
        }
        var items = stored.input.compactMap { try? JSON(parsing: ByteBuffer(bytes: $0)).listingContent }
        if order == "desc" { items.reverse() }
        if let after = Endpoints.parameter("after", of: query) {
            guard let place = items.firstIndex(where: { $0["id"]?.string == after }) else {
                throw GatewayError(
                    code: .invalidRequest, message: "after: there is no item \(after.prefix(128)) in this list",
                    param: "after")
            }
            items.removeFirst(place + 1)
        }
        let page = items.prefix(limit ?? 20)
        let list: JSON = [
            "object": "list", "data": .array(Array(page)), "first_id": page.first?["id"] ?? .null,
            "last_id": page.last?["id"] ?? .null, "has_more": .bool(page.count < items.count),
        ]
        return list.buffer
    }

    // MARK: Counting

    private func inputTokens(_ request: InboundRequest, _ snapshot: Snapshot) async throws(GatewayError) -> JSON {
        var document = try Decider.check(request.body)
        let state = try ResponsesState(document)
        try state.check(stores: ledger != nil)
        let references = try ResponsesRequest.references(document)
        if let ledger, state.previousID != nil || !references.isEmpty {
            (document, _) = try await ledger.continued(document, from: state.previousID, of: request.owner)
        }
        let count = try await tokens.count(document, of: request, from: .responses, in: snapshot)
        return ["object": "response.input_tokens", "input_tokens": .int(count)]
    }
}

extension JSON {
    /// An item whose content is a text, with the list of parts that stands for it.
    fileprivate var listingContent: JSON {
        guard let text = self["content"]?.string, let role = self["role"]?.string else { return self }
        var item = self
        item["content"] =
            role == "assistant"
            ? [["type": "output_text", "text": .string(text), "annotations": []]]
            : [["type": "input_text", "text": .string(text)]]
        return item
    }
}
