package import MartletDialects
package import NIOCore

/// What the gateway needs from the rest of the program. The wiring hands over real ones, tests ten-line fakes.

/// Makes models of this machine ready.
package protocol ModelHost: Sendable {
    /// Waits until the model's engine listens, and counts one user of it until `release`. A caller that is cancelled is
    /// no longer waited for; a load that nobody waits for is stopped.
    /// - Parameters:
    ///   - wish: how the model is to be loaded, should it be loaded for this request.
    ///   - onProgress: what is waited for, as it goes on; not called where the model is ready. Must not wait.
    func acquire(
        _ model: String, wish: LoadWish, onProgress: @escaping @Sendable (Progress) -> Void
    ) async throws(GatewayError) -> Origin
    /// Whether the engine that `acquire` gave, and whose use has not ended, can be used for another round of the same reply.
    /// - Throws: where it was ended in spite of that use.
    func keeps(_ model: String, at origin: Origin) async throws(GatewayError) -> Bool
    /// Ends the use of the engine that `acquire` gave.
    /// - Parameter served: the engine answered well, and to the end; one that has proved itself is loaded at once again.
    func release(_ model: String, at origin: Origin, served: Bool)
    /// Why the engine has ended that `acquire` gave, for an exchange whose connection to it broke just now. Waits a moment
    /// until that is known; nil when the engine did not end.
    func lastWords(of model: String, at origin: Origin) async -> GatewayError?
}

/// Tools of MCP servers that are asked for, and those among them that may not be run.
package struct ListedTools: Sendable {
    package var served: [ServedTool]
    package var blocked: [BlockedTool]

    package init(_ served: [ServedTool] = [], blocked: [BlockedTool] = []) {
        self.served = served
        self.blocked = blocked
    }
}

/// Lists and runs tools of MCP servers.
package protocol ToolHost: Sendable {
    /// The tools of all these servers, in their order, each narrowed to what is allowed of it. Whoever is
    /// cancelled is no longer waited for.
    /// - Parameter owner: whose request it is; empty where nobody is asked for a token.
    /// - Throws: `mcpDenied` with the grant that is missing, `mcpUnknown` for a server that nobody has configured,
    ///   `mcpFailed` for one that cannot be had.
    func tools(
        of integrations: [Integration], for owner: KeyTable.Digest
    ) async throws(GatewayError) -> ListedTools
    /// The same for a request that has not asked for them: what cannot be had, may not be run,
    /// or is not there within a few seconds, is left out.
    func attachedTools(of integrations: [Integration], for owner: KeyTable.Digest) async -> [ServedTool]
    /// Runs one call. Cancelled with its task; whatever goes wrong is an outcome.
    /// - Parameters:
    ///   - arguments: the text of a JSON object, which fits the tool's schema.
    ///   - owner: as for `tools`: owners do not share a server that their requests bring along.
    func call(_ tool: ServedTool, _ arguments: ByteBuffer, for owner: KeyTable.Digest) async -> ToolRun
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
    /// The plan with what it continues from before its own input; a refusal where that is not there, not this
    /// client's, or nothing can be kept now.
    func recall(_ plan: Plan) async -> Decision
    /// - Parameter object: the reply's whole Response.
    /// - Throws: `storeUnavailable`.
    func keep(_ object: ByteBuffer, of plan: Plan) async throws(GatewayError)
    /// Makes room for a reply that is made in the background; it is found from here on.
    /// - Throws: `queueFull`, `storeUnavailable`, what is wrong with the request.
    func queue(_ plan: Plan) async throws(GatewayError) -> (QueuedResponse, ControlReply)
}

/// A response that is made in the background: its id, and where its reply goes.
package struct QueuedResponse: Sendable {
    package var id: String
    /// Seconds since 1970.
    package var created: Int
    package var reply: any BackgroundReply
    /// It is looked at as a whole before anything of it is told; else it is told as it comes.
    package var isWhole: Bool

    package init(id: String, created: Int, reply: any BackgroundReply, isWhole: Bool = false) {
        self.id = id
        self.created = created
        self.reply = reply
        self.isWhole = isWhole
    }
}

/// Takes the reply of a response that is made in the background. Called on the loop: must not wait.
package protocol BackgroundReply: AnyObject, Sendable {
    /// - Parameter stop: ends what is under way; to be called from anywhere.
    func began(stop: @escaping @Sendable () -> Void)
    /// Bytes of its stream, in whatever pieces. False when it has become too long before its reply was kept: nothing
    /// more is taken.
    func append(_ piece: ByteBuffer) -> Bool
    /// There will be no reply.
    func fail(_ error: GatewayError)
    /// The last call.
    func end()
}

/// A reply that is still being made, for whoever reads along.
package protocol EventSource: AnyObject, Sendable {
    /// Waits until there is an event from `place` on, or none will come. Ends early when the task is cancelled.
    func events(from place: Int) async -> EventBatch
}

/// Events of a stream, ready to be sent, and where it goes on; nil when that was all.
package struct EventBatch: Sendable {
    package var bytes: ByteBuffer
    package var rest: Following?

    package init(bytes: ByteBuffer, rest: Following?) {
        self.bytes = bytes
        self.rest = rest
    }
}

/// A stream to be read along, and the next event of it that is wanted.
package struct Following: Sendable {
    package var source: any EventSource
    package var place: Int

    package init(source: any EventSource, place: Int) {
        self.source = source
        self.place = place
    }
}

/// Where no tools are run.
package struct NoTools: ToolHost {
    package init() {}

    package func tools(
        of integrations: [Integration], for owner: KeyTable.Digest
    ) async throws(GatewayError) -> ListedTools {
        guard let first = integrations.first else { return ListedTools() }
        throw GatewayError(
            code: .mcpDenied,
            message:
                "this server runs no MCP servers, and the request asks for the tools of \"\(first.label.prefix(128))\"; "
                + "its configuration (mcp) turns them on")
    }

    package func attachedTools(of integrations: [Integration], for owner: KeyTable.Digest) async -> [ServedTool] { [] }

    package func call(_ tool: ServedTool, _ arguments: ByteBuffer, for owner: KeyTable.Digest) async -> ToolRun {
        ToolRun(.failed("this server runs no MCP servers"), by: tool.integration.provider)
    }
}

/// Where nothing is kept.
package struct NoResponses: ResponseKeeper {
    package init() {}

    package func recall(_ plan: Plan) async -> Decision {
        .refuse(GatewayError(code: .storeUnavailable, message: "this server keeps no responses"))
    }

    package func keep(_ object: ByteBuffer, of plan: Plan) async throws(GatewayError) {}

    package func queue(_ plan: Plan) async throws(GatewayError) -> (QueuedResponse, ControlReply) {
        throw GatewayError(code: .storeUnavailable, message: "this server keeps no responses")
    }
}

/// Is shown each request as it is sent. Called on the loop: must not wait.
package protocol PromptWatch: Sendable {
    func sent(_ request: UpstreamRequest, to candidate: Candidate, id: String)
}

/// Keeps the record of an exchange. Called on the loop: must not wait.
package protocol RecordSink: Sendable {
    func keep(_ record: ExchangeRecord, of request: InboundRequest, usage: Usage?)
}
