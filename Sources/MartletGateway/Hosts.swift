package import MartletDialects
package import NIOCore

/// What the gateway needs from the rest of the program. The wiring hands over real ones, tests ten-line fakes.

/// Makes models of this machine ready.
package protocol ModelHost: Sendable {
    /// Waits until the model's engine listens, and counts one user of it until `release`. A caller that is cancelled is no
    /// longer waited for; a load that nobody waits for is stopped.
    func acquire(_ model: String) async throws(GatewayError) -> Origin
    func release(_ model: String)
    /// Why the model's engine has ended, for an exchange whose connection to it broke just now. Waits a moment until that is
    /// known; nil when the engine did not end.
    func lastWords(of model: String) async -> GatewayError?
}

/// Answers everything that is not a completion.
package protocol ControlRoutes: Sendable {
    func answer(_ request: InboundRequest, in snapshot: Snapshot) async -> ControlReply
    /// Whether the prompt fits: `complete` unless it is certain that it fits nowhere. Answers within about a second.
    func weigh(_ plan: Plan) async -> Decision
    /// Reads the upstreams' model lists anew, at most every few seconds, within a second.
    func refreshCatalog() async
}

/// Keeps replies of Responses, and finds them again.
package protocol ResponseKeeper: Sendable {
    /// The plan with what it continues from before its own input; a refusal where that is not there, not this client's, or
    /// nothing can be kept now.
    func recall(_ plan: Plan) async -> Decision
    /// - Parameter object: the reply's whole Response.
    /// - Throws: `storeUnavailable`.
    func keep(_ object: ByteBuffer, of plan: Plan) async throws(GatewayError)
}

/// Where nothing is kept.
package struct NoResponses: ResponseKeeper {
    package init() {}

    package func recall(_ plan: Plan) async -> Decision {
        .refuse(GatewayError(code: .storeUnavailable, message: "this server keeps no responses"))
    }

    package func keep(_ object: ByteBuffer, of plan: Plan) async throws(GatewayError) {}
}

/// Keeps the record of an exchange. Called on the loop: must not wait.
package protocol RecordSink: Sendable {
    func keep(_ record: ExchangeRecord, of request: InboundRequest, usage: Usage?)
}
