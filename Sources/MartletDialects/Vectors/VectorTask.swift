package import MartletWire
package import NIOCore

/// What is asked of a model beside replies: JSON there, JSON back, never a stream.
package enum VectorTask: Sendable, Hashable {
    /// Texts as vectors (https://platform.openai.com/docs/api-reference/embeddings/create).
    case embeddings
    /// Documents in the order of their nearness to a query (https://jina.ai/reranker/).
    case rerank

    /// A request as one upstream is to get it.
    /// - Parameters:
    ///   - edit: what is changed in it in any case.
    ///   - repairs: false changes nothing else, and takes the reply as it comes.
    /// - Throws: `invalidRequest` for what is wrong in it, `unsupportedParameter` for what the upstream does not do.
    package func prepare(
        _ document: JSONDocument, edit: JSONEdit, for capabilities: Capabilities, repairs: Bool
    ) throws(GatewayError) -> PreparedTask {
        var edit = edit
        var wish = PreparedTask.Wish.exact
        switch self {
        case .embeddings:
            guard capabilities.embeddings != .none else { throw Self.noRoute("embeddings") }
            if repairs {
                wish = .embeddings(try EmbeddingsRequest(document, takesTokens: capabilities.embeddings == .tokens))
            }
        case .rerank:
            guard capabilities.rerank else { throw Self.noRoute("rerank") }
            if repairs { wish = .rerank(try RerankRequest(document, edit: &edit)) }
        }
        let body = edit.isEmpty ? [document.bytes] : edit.pieces(of: document.bytes)
        return PreparedTask(path: path, body: body, wish: wish)
    }

    private var path: StaticString {
        switch self {
        case .embeddings: "/v1/embeddings"
        case .rerank: "/v1/rerank"
        }
    }

    private static func noRoute(_ name: String) -> GatewayError {
        GatewayError(
            code: .invalidRequest, message: "the upstream has no route for \(name); name a model of one that has",
            param: "model")
    }
}

/// A task's request, ready to be sent, and what its reply is measured by. Immutable.
package struct PreparedTask: Sendable {
    enum Wish: Sendable {
        /// The reply is the upstream's own, but for the model's name.
        case exact
        case embeddings(EmbeddingsRequest)
        case rerank(RerankRequest)
    }

    package let path: StaticString
    package let body: [ByteBuffer]
    let wish: Wish

    /// The reply for the client; throws as `reply(_:model:)` does.
    package func reply(_ body: ByteBuffer, for target: ReplyTarget) throws(GatewayError) -> WholeReply {
        let reply = try reply(body, model: target.model)
        return target.legacy?.completed(reply) ?? reply
    }

    /// The upstream's refusal, with what it does not tell of several texts.
    package func refusal(_ error: GatewayError) -> GatewayError {
        guard case .embeddings(let request) = wish, error.code == .contextOverflow else { return error }
        var error = error
        error.overflow?.longestText = request.longest
        return error
    }

    /// - Parameter model: as the client spelled it.
    /// - Throws: the upstream's own error when a 200 carries one; `upstreamBadReply` for a reply
    ///   that does not answer the request.
    package func reply(_ body: ByteBuffer, model: String) throws(GatewayError) -> WholeReply {
        let head = try TaskReplyHead(body)
        var summary = ReplySummary(model: head.model, usage: head.usage)
        switch wish {
        case .exact: return WholeReply(pieces: ModelSplice.splice(model, into: body), summary: summary)
        case .embeddings(let request):
            if (summary.usage.input ?? 0) == 0 { summary.usage.input = request.tokens }
            return WholeReply(pieces: [try EmbeddingsReply.edit(body, request, model: model)], summary: summary)
        case .rerank(let request):
            return WholeReply(pieces: [try RerankReply.edit(body, request, model: model)], summary: summary)
        }
    }
}

/// What the replies of all tasks say of themselves.
private struct TaskReplyHead {
    var model = ""
    var usage = Usage()

    init(_ body: ByteBuffer) throws(GatewayError) {
        var isError = false
        do throws(JSONError) {
            try body.walkJSON { (walk: inout JSONWalk) throws(JSONError) in
                try walk.enterObject()
                while let key = try walk.nextKey() {
                    if walk.key(key, is: "model") {
                        model = try walk.stringOrSkip().map { walk.text($0) } ?? ""
                    } else if walk.key(key, is: "usage") {
                        usage = try Usage.read(&walk, .chat) ?? usage
                    } else if walk.key(key, is: "error") {
                        isError = try walk.kind() != .null
                        _ = try walk.skip()
                    } else {
                        _ = try walk.skip()
                    }
                }
                try walk.end()
            }
        } catch {
            if error.code == .notThisType { throw ChatErrors.read(status: 200, body: body) }
            throw GatewayError(unreadable: DialectError(error))
        }
        if isError { throw ChatErrors.read(status: 200, body: body) }
    }
}
