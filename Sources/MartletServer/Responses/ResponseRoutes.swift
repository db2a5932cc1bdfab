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

    /// The body of a 200.
    func answer(_ request: InboundRequest, in snapshot: Snapshot) async throws(GatewayError) -> ByteBuffer {
        switch request.endpoint {
        case .inputTokens: return try await inputTokens(request, snapshot).buffer
        case .inputItems(let id): return try await inputItems(stored(id, request), request.query)
        case .cancelResponse(let id):
            _ = try await stored(id, request)
            throw GatewayError(
                code: .invalidRequest, message: "only a response that is made in the background can be cancelled")
        case .response(let id):
            guard request.method == "DELETE" else { return try await object(stored(id, request), request.query) }
            guard try await ledger?.delete(id, of: request.owner) == true else { throw Self.notFound(id) }
            let gone: JSON = ["id": .string(id), "object": "response", "deleted": true]
            return gone.buffer
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

    private func object(_ stored: StoredResponse, _ query: String) throws(GatewayError) -> ByteBuffer {
        if Endpoints.parameter("stream", of: query) == "true" {
            throw GatewayError(
                code: .invalidRequest, message: "stream: a stored response is given whole, not as a stream",
                param: "stream")
        }
        return ByteBuffer(bytes: stored.object)
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
        var items = stored.input.compactMap { try? JSON(parsing: ByteBuffer(bytes: $0)) }
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
        try state.check(stores: ledger != nil, runsInBackground: true)
        if let ledger, let id = state.previousID {
            (document, _) = try await ledger.continued(document, from: id, of: request.owner)
        }
        let count = try await tokens.count(document, from: .responses, in: snapshot)
        return ["object": "response.input_tokens", "input_tokens": .int(count)]
    }
}
