import MartletWire
import NIOCore

/// Writes requests of other dialects in an upstream's own, member by member. What holds for every
/// upstream is settled in the draft.
protocol RequestWriter {
    var draft: RequestDraft { get set }
    var out: JSONOut { get set }

    init(draft: RequestDraft, out: JSONOut)

    /// Throws for what would have to be honoured (class A of the translation rules) and cannot be.
    func refuse() throws(GatewayError)
    /// Settles the draft and writes all of the request.
    mutating func write() throws(GatewayError)
    /// A file as this dialect has it; nil: words stand in its place.
    func part(of document: Document, in source: MediaSource) -> UpstreamPart?
}

extension RequestWriter {
    var request: CanonicalRequest { draft.request }
    var target: WriteTarget { draft.target }
    var flags: Capabilities { draft.flags }

    static func write(_ request: CanonicalRequest, for target: WriteTarget) throws(GatewayError) -> TranslatedRequest {
        var writer = Self(
            draft: RequestDraft(request, target), out: JSONOut(capacity: request.origin.bytes + 4096))
        guard request.integrations.isEmpty else {
            throw GatewayError(
                code: .mcpDenied, message: "integrations: this server runs no MCP servers", param: "integrations")
        }
        try writer.refuse()
        if let answer = request.localAnswer {
            let context = ReplyContext(inputEstimate: TokenEstimate.of(request))
            return TranslatedRequest(body: ByteBuffer(), dropped: [], context: context, answer: answer)
        }
        try writer.write()
        return TranslatedRequest(
            body: writer.out.bytes, dropped: writer.draft.notes.names, context: writer.draft.context)
    }

    func part(of document: Document, in source: MediaSource) -> UpstreamPart? { nil }

    // MARK: - Sampling

    /// Writes those that client or configuration set.
    mutating func write(_ settings: [SamplingSetting]) {
        for setting in settings {
            guard let value = draft.value(of: setting) else { continue }
            out.key(named: setting.rawValue)
            out.value(value)
        }
    }

    mutating func writeTopK() throws(GatewayError) {
        if flags.topK {
            write([.topK])
        } else {
            try draft.drop([.topK])
        }
    }

    /// Where the API takes no more than 1, more becomes 1.
    ///
    /// - Returns: whether it was more.
    @discardableResult
    mutating func writeTemperatureUpToOne() -> Bool {
        guard let temperature = draft.value(of: .temperature)?.double, temperature > 1 else {
            write([.temperature])
            return false
        }
        out.key("temperature")
        out.value(1)
        return true
    }

    /// More than the upstream takes are looked for by the gateway itself.
    mutating func write(stops: [String], key: StaticString) {
        guard !stops.isEmpty else { return }
        if let limit = flags.stopLimit, stops.count > limit {
            draft.context.stops = stops
            return
        }
        out.key(key)
        out.openArray()
        for stop in stops { out.value(stop) }
        out.closeArray()
    }
}
