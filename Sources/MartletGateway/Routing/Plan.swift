package import MartletDialects
package import MartletWire
package import NIOCore

/// What is to be done about a request.
package enum Decision: Sendable {
    case refuse(GatewayError)
    /// The model is not known; its upstream may have got it since the lists were read.
    case refresh
    /// A control route answers.
    case control
    case complete(Plan)
}

/// A completion to be had: where, and with which edits. Immutable; shared by all attempts.
package final class Plan: Sendable {
    package let requestID: String
    package let dialect: DialectID
    /// The model as the client spelled it, for every reply; nil when it named none.
    package let clientModel: String?
    package let streams: Bool
    /// The client asked for usage in the stream.
    package let wantsUsage: Bool
    /// In the order they are tried; never empty.
    package let candidates: [Candidate]
    package let forwarded: [(name: String, value: String)]
    package let query: String
    let document: JSONDocument

    init(
        request: InboundRequest, clientModel: String?, streams: Bool, wantsUsage: Bool, candidates: [Candidate],
        document: JSONDocument
    ) {
        requestID = request.id
        dialect = request.dialect
        self.clientModel = clientModel
        self.streams = streams
        self.wantsUsage = wantsUsage
        self.candidates = candidates
        forwarded = request.forwarded
        query = request.query
        self.document = document
    }

    /// What replies call the model: as the client did, else by the upstream's name.
    package func shownModel(_ candidate: Candidate) -> String { clientModel ?? candidate.model }

    /// Whether an upstream's error may go to the client as it is: same dialect, and nothing to be mended.
    package func relaysErrors(of candidate: Candidate?) -> Bool {
        guard let upstream = candidate?.upstream else { return false }
        return upstream.mode == .exact && upstream.profile.dialects.contains(dialect)
    }

    /// The request's bytes for one candidate: slices of the original with `model` spliced, and in `repair` mode a request
    /// for usage, which the reply's edit hides again. Never in place: a retry needs the original.
    package func body(for candidate: Candidate) throws(JSONError) -> [ByteBuffer] {
        var edit = JSONEdit()
        if clientModel != candidate.model {
            var value = ByteBuffer()
            value.writeJSONString(candidate.model)
            try edit.set("model", value, in: document)
        }
        if asksForUsage(candidate) {
            try edit.set("stream_options", usageOptions(), in: document)
        }
        return edit.isEmpty ? [document.bytes] : edit.pieces(of: document.bytes)
    }

    /// Whether usage is asked for on our own account.
    package func asksForUsage(_ candidate: Candidate) -> Bool {
        streams && !wantsUsage && candidate.upstream.mode == .repair
            && candidate.upstream.profile.usage == .streamOptions
    }

    private func usageOptions() throws(JSONError) -> ByteBuffer {
        var options: JSONObject = [:]
        if let member = try document.member("stream_options"),
            case .object(let given) = try JSON(parsing: document.slice(member.value))
        {
            options = given
        }
        options["include_usage"] = true
        var text = ByteBuffer()
        JSON.object(options).write(into: &text)
        return text
    }
}

/// Decides about requests: pure, in the turn of the loop in which they arrived.
package enum Decider {
    package static func decide(_ request: InboundRequest, in snapshot: Snapshot, mayRefresh: Bool) -> Decision {
        guard case .completion = request.endpoint else { return .control }
        do throws(GatewayError) {
            let document = try check(request.body)
            let clientModel = try model(in: document)
            let candidates: [Candidate]
            do throws(GatewayError) {
                candidates = try snapshot.routes.resolve(clientModel)
            } catch {
                if error.code == .modelNotFound, mayRefresh { return .refresh }
                throw error
            }
            let streams = try flag("stream", in: document)
            if let first = candidates.first, first.upstream.mode == .repair { try ChatRequestCheck.check(document) }
            return .complete(
                Plan(
                    request: request, clientModel: clientModel, streams: streams,
                    wantsUsage: streams ? try wantsUsage(document) : false, candidates: candidates,
                    document: document))
        } catch {
            return .refuse(error)
        }
    }

    private static func check(_ body: ByteBuffer) throws(GatewayError) -> JSONDocument {
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(checking: body)
        } catch {
            throw GatewayError(
                code: .invalidJSON,
                message: body.readableBytes == 0 ? "the request has no body; send a JSON object" : error.sentence)
        }
        guard document.root == .object else {
            throw GatewayError(code: .invalidJSON, message: "the request body must be a JSON object")
        }
        return document
    }

    private static func member(_ name: String, in document: JSONDocument) throws(GatewayError) -> JSONMember? {
        do throws(JSONError) {
            return try document.member(name)
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence, param: name)
        }
    }

    private static func model(in document: JSONDocument) throws(GatewayError) -> String? {
        guard let member = try member("model", in: document), member.kind != .null else { return nil }
        guard let name = document.string(member) else {
            throw GatewayError(code: .invalidRequest, message: "model must be a string", param: "model")
        }
        return name
    }

    private static func flag(_ name: String, in document: JSONDocument) throws(GatewayError) -> Bool {
        guard let member = try member(name, in: document), member.kind != .null else { return false }
        guard let value = document.bool(member) else {
            throw GatewayError(code: .invalidRequest, message: "\(name) must be true or false", param: name)
        }
        return value
    }

    private static func wantsUsage(_ document: JSONDocument) throws(GatewayError) -> Bool {
        guard let member = try member("stream_options", in: document), member.kind != .null else { return false }
        guard member.kind == .object, let options = try? JSON(parsing: document.slice(member.value)) else {
            throw GatewayError(
                code: .invalidRequest, message: "stream_options must be an object", param: "stream_options")
        }
        return options["include_usage"]?.bool ?? false
    }
}
