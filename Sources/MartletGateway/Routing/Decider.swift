package import MartletDialects
package import MartletWire
package import NIOCore

/// Decides about requests: pure, in the turn of the loop in which they arrived.
package enum Decider {
    package static func decide(_ request: InboundRequest, in snapshot: Snapshot, mayRefresh: Bool) -> Decision {
        let task: VectorTask?
        switch request.endpoint {
        case .completion, .compactResponse: task = nil
        case .vectors(let named): task = named
        default: return .control
        }
        do throws(GatewayError) {
            let isNative = request.endpoint == .completion(.lmstudio)
            var document = try check(request.body)
            if isNative { document = try LMStudioRequest.settled(document, snapshot.native) }
            let members = try NamedMembers(decidingNames, of: document)
            let clientModel = try model(members.member(0, of: document), in: document)
            if clientModel == nil, request.endpoint == .compactResponse {
                throw GatewayError(
                    code: .invalidRequest, message: "model: name the model that is to sum the conversation up",
                    param: "model")
            }
            let candidates: [Candidate]
            do throws(GatewayError) {
                candidates = try snapshot.routes.resolve(clientModel, for: task)
                if mayRefresh, snapshot.routes.awaitsList(candidates) { return .refresh }
            } catch {
                // Which model is the only one that is loaded changes at any time.
                let isOpen = error.code == .modelNotFound || RouteTable.namesNone(clientModel) && error.param == "model"
                if isOpen, mayRefresh { return .refresh }
                throw error
            }
            // What it says of loading is about models of this machine; other servers read it themselves.
            let wish =
                candidates.contains { $0.upstream.location == .hosted }
                ? try LoadWish(
                    ttl: members.member(3, of: document), contextLength: members.member(4, of: document), in: document)
                : LoadWish()
            if let task {
                return .complete(
                    Plan(
                        request: request, task: task, clientModel: clientModel, candidates: candidates, wish: wish,
                        document: document))
            }
            let streams =
                request.endpoint == .compactResponse
                ? false : try flag(members.member(1, of: document), "stream", in: document)
            if isNative, let first = candidates.first { try checkReasoning(document, first) }
            if let first = candidates.first, first.upstream.mode == .repair {
                if request.dialect == .chat {
                    try ChatRequestCheck.check(document, ImageRequirement(first, fetches: snapshot.fetchesImages))
                } else if request.dialect == .completions {
                    try ChatRequestCheck.checkSettings(document)
                } else if isNative {
                    try ImageRequirement(first, fetches: false).check(input: document)
                }
            }
            let wantsUsage =
                streams && request.dialect.hasUsageOption
                ? try self.wantsUsage(members.member(2, of: document), in: document) : false
            let state = try responsesState(document, request, candidates, snapshot)
            var plan = Plan(
                request: request, responses: state, clientModel: clientModel, streams: streams,
                usage: wantsUsage ? .asked : snapshot.unaskedUsage, candidates: candidates, wish: wish,
                document: document,
                defaults: snapshot.defaults, seal: snapshot.seal, fetchesImages: snapshot.fetchesImages)
            if let wish = try plan.toolWish(snapshot.tools) { plan = plan.with(wish) }
            guard let state else { return weighed(plan) }
            if let before = request.turn?.remembered {
                let continued = try plan.remembering(before)
                return state.isStored ? .recall(continued) : weighed(continued)
            }
            return try needsItems(state, document, snapshot) ? .recall(plan) : weighed(plan)
        } catch {
            return .refuse(error)
        }
    }

    /// Refuses a word for reasoning that the model has no switch for, where that is known.
    private static func checkReasoning(
        _ document: JSONDocument, _ candidate: Candidate
    ) throws(GatewayError) {
        guard let known = candidate.traits?.reasoning,
            let word = try NamedMembers(["reasoning"], of: document).member(0, of: document).flatMap(document.string),
            !known.contains(word), !(known.isEmpty && word == "off")
        else { return }
        throw GatewayError(
            code: .invalidRequest,
            message: known.isEmpty
                ? "reasoning: \(candidate.model) does not reason; leave it out"
                : "reasoning: \(candidate.model) takes \(known.joined(separator: ", ")), not \"\(word.prefix(64))\"",
            param: "reasoning")
    }

    /// What follows once the prompt is all there.
    package static func weighed(_ plan: Plan) -> Decision {
        plan.awaitsImages || mayOverflow(plan) || plan.mayPassThreshold ? .weigh(plan) : .complete(plan)
    }

    /// What is asked of whoever keeps conversations; nil for clients of other dialects.
    private static func responsesState(
        _ document: JSONDocument, _ request: InboundRequest, _ candidates: [Candidate], _ snapshot: Snapshot
    ) throws(GatewayError) -> ResponsesState? {
        if request.endpoint == .completion(.lmstudio) {
            var state = try LMStudioRequest.state(document)
            try state.check(stores: snapshot.keepsResponses)
            state.isStored = state.isStored && snapshot.keepsResponses
            return state
        }
        guard request.dialect == .responses else { return nil }
        var state = try ResponsesState(document)
        if request.endpoint == .compactResponse {
            state.isStored = false
            state.isBackground = false
        }
        let isRelayed = candidates.first?.upstream.profile.dialects.contains(.responses) == true
        try state.check(
            stores: snapshot.keepsResponses || request.turn?.remembered != nil, takesPrompts: isRelayed)
        state.isStored = state.isStored && snapshot.keepsResponses
        return state
    }

    /// Whether stored items may stand before its input or in it, or it is to be stored itself.
    private static func needsItems(
        _ state: ResponsesState, _ document: JSONDocument, _ snapshot: Snapshot
    ) throws(GatewayError) -> Bool {
        if state.isStored || state.previousID != nil { return true }
        guard snapshot.keepsResponses else { return false }
        return try !ResponsesRequest.references(document).isEmpty
    }

    /// Whether a prompt is long enough to be looked at more closely (specs 0.4): by far the most are not, and cost one
    /// comparison. In `exact` mode an upstream says by itself what it cannot take.
    private static func mayOverflow(_ plan: Plan) -> Bool {
        guard let first = plan.candidates.first, let window = first.window?.tokens, first.upstream.mode != .exact else {
            return false
        }
        return plan.mayBeLonger(than: window)
    }

    /// A body as a checked JSON object.
    package static func check(_ body: ByteBuffer) throws(GatewayError) -> JSONDocument {
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(checking: body)
        } catch {
            if body.readableBytesView.starts(with: [0xEF, 0xBB, 0xBF]) {
                throw GatewayError(
                    code: .invalidJSON,
                    message: "the request body begins with a byte order mark; send UTF-8 without one")
            }
            throw GatewayError(
                code: .invalidJSON,
                message: body.readableBytes == 0 ? "the request has no body; send a JSON object" : error.sentence)
        }
        guard document.root == .object else {
            throw GatewayError(code: .invalidJSON, message: "the request body must be a JSON object")
        }
        return document
    }

    private static let decidingNames: [StaticString] = ["model", "stream", "stream_options", "ttl", "context_length"]

    /// The model that a request names; nil when it names none.
    package static func model(in document: JSONDocument) throws(GatewayError) -> String? {
        try model(NamedMembers(["model"], of: document).member(0, of: document), in: document)
    }

    private static func model(_ member: JSONMember?, in document: JSONDocument) throws(GatewayError) -> String? {
        guard let member, member.kind != .null else { return nil }
        guard let name = document.string(member) else {
            throw GatewayError(code: .invalidRequest, message: "model must be a string", param: "model")
        }
        return name
    }

    private static func flag(
        _ member: JSONMember?, _ name: String, in document: JSONDocument
    ) throws(GatewayError) -> Bool {
        guard let member, member.kind != .null else { return false }
        guard let value = document.bool(member) else {
            throw GatewayError(code: .invalidRequest, message: "\(name) must be true or false", param: name)
        }
        return value
    }

    private static func wantsUsage(_ member: JSONMember?, in document: JSONDocument) throws(GatewayError) -> Bool {
        guard let member, member.kind != .null else { return false }
        guard member.kind == .object, let options = try? JSON(parsing: document.slice(member.value)) else {
            throw GatewayError(
                code: .invalidRequest, message: "stream_options must be an object", param: "stream_options")
        }
        return options["include_usage"]?.bool ?? false
    }
}

extension DialectID {
    /// `stream_options.include_usage` says where a stream has its usage.
    var hasUsageOption: Bool { self == .chat || self == .completions }
}

/// Top-level members of a request, found by their names in one pass.
struct NamedMembers {
    private let places: [Int?]

    /// - Throws: `invalidRequest` when one of the names stands twice.
    init(_ names: [StaticString], of document: JSONDocument) throws(GatewayError) {
        do throws(JSONError) {
            places = try document.places(of: names)
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence, param: error.name)
        }
    }

    /// - Parameter place: of its name among those that were looked for.
    func member(_ place: Int, of document: JSONDocument) -> JSONMember? { places[place].map { document.members[$0] } }
}
