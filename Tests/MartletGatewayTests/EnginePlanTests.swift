import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Our own engine gets what is listed, other servers what the client says")
struct EnginePlanTests {
    /// The places of a request for `m`: a llama-server, and our engine.
    private func plan(_ members: String, _ client: DialectID = .chat) throws -> Plan {
        let routes = RouteTable(
            upstreams: [Make.upstream("far", .llamaCpp), Make.upstream("local", .engine, location: .hosted)],
            served: ["far": ServedModels(ids: ["m"]), "local": ServedModels(ids: ["m"])],
            aliases: [(pattern: "m", targets: ["far/m", "local/m"])])
        let request = InboundRequest(
            id: "r1", method: "POST", path: "/v1/completions", endpoint: .completion(client), dialect: client,
            body: ByteBuffer(string: "{\"model\":\"m\",\(members)}"))
        guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false) else {
            throw GatewayError(code: .internalError, message: "refused")
        }
        return plan
    }

    private func sent(_ plan: Plan, _ place: Int) throws -> (body: String, dropped: [String], pieces: Int) {
        let request = try plan.request(for: plan.candidates[place])
        return (request.body.map { String(buffer: $0) }.joined(), request.dropped, request.body.count)
    }

    @Test("What is not listed is left out of what the engine gets, and named")
    func leftOut() throws {
        let plan = try plan("\"id_slot\":1,\"top_k\":5,\(Make.messages),\"samplers\":[\"top_k\"],\"lora\":[]")
        let far = try sent(plan, 0)
        #expect(far.body.contains("\"id_slot\":1") && far.body.contains("\"samplers\"") && far.dropped.isEmpty)
        let own = try sent(plan, 1)
        #expect(own.body == "{\"model\":\"m\",\"top_k\":5,\(Make.messages)}")
        #expect(own.dropped == ["id_slot", "samplers"])
    }

    @Test("A request of listed members goes as it came")
    func untouched() throws {
        let members = "\"temperature\":0.5,\"min_p\":0.1,\"stop\":[\"a\"],\"user\":\"u\",\(Make.messages)"
        let own = try sent(plan(members), 1)
        #expect(own.body == "{\"model\":\"m\",\(members)}" && own.pieces == 1 && own.dropped.isEmpty)
    }

    @Test("It is left out, too, where the rest is fitted to the engine")
    func fitted() throws {
        let tools = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
        let choice = "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"
        let own = try sent(
            plan("\"n_keep\":1,\(tools),\(choice),\"mirostat_mode\":2,\(Make.messages),\"n_discard\":1"), 1)
        #expect(own.body == "{\"model\":\"m\",\(tools),\"tool_choice\":\"required\",\"mirostat\":2,\(Make.messages)}")
        #expect(own.dropped == ["n_keep", "n_discard"])
    }

    @Test("A value beyond its range is refused before the engine is asked for")
    func refused() throws {
        for (members, client) in [(Make.messages, DialectID.chat), ("\"prompt\":\"x\"", .completions)] {
            let plan = try plan("\"dry_penalty_last_n\":300000000,\(members)", client)
            #expect(try sent(plan, 0).body.contains("300000000"))
            let error = #expect(throws: GatewayError.self) { try sent(plan, 1) }
            #expect(error?.param == "dry_penalty_last_n" && error?.code == .invalidRequest)
        }
    }

    @Test("Completions are sifted as Chat is")
    func completions() throws {
        let own = try sent(
            plan("\"prompt\":\"x\",\"return_tokens\":true,\"logprobs\":2,\"echo\":false", .completions), 1)
        #expect(own.body == "{\"model\":\"m\",\"prompt\":\"x\",\"logprobs\":2}" && own.dropped == ["return_tokens"])
    }

    @Test("How a model is to be loaded is read for this machine's, and left to other servers")
    func wish() throws {
        #expect(
            try plan("\"ttl\":5,\"context_length\":1024,\(Make.messages)").wish
                == LoadWish(ttl: .seconds(5), contextLength: 1024))
        let far = RouteTable(upstreams: [Make.upstream("far", .lmStudio)], served: ["far": ServedModels(ids: ["m"])])
        let body = "{\"model\":\"m\",\"ttl\":0,\(Make.messages)}"
        guard case .complete(let plan) = Decider.decide(Make.request(body), in: Make.snapshot(far), mayRefresh: false)
        else {
            Issue.record("refused")
            return
        }
        #expect(plan.wish == LoadWish())
        #expect(throws: GatewayError.self) { try self.plan("\"ttl\":0,\(Make.messages)") }
    }
}
