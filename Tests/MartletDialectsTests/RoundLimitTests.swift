import MartletDialects
import MartletWire
import Testing

@Suite("What a reply in rounds may take")
struct RoundLimitTests {
    private static let call = Rounds.calling("lookup|{'q':'7'}")
    private static let two = Rounds.calling("lookup|{'q':'7'}", "lookup|{'q':'8'}")

    private static func responses(_ member: String) -> String {
        RoundsTests.request.replacing("'input'", with: "\(member),'input'")
    }

    /// The same stream of an upstream that counts nothing.
    private static func uncounted(_ stream: String) -> String {
        stream.replacing(
            ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12}", with: "")
    }

    @Test("The tokens that a client allows are for all rounds: each is given what is left of them")
    func tokens() throws {
        let rounds = try Rounds.play(
            Self.responses("'max_output_tokens':100"), from: .responses,
            [Self.call, Self.call, Rounds.answering("Paper.")])
        #expect(rounds.bodies.map { $0["max_tokens"] } == [100, 98, 96])
        let open = try Rounds.play(
            RoundsTests.request, from: .responses, [Self.call, Rounds.answering("Paper.")])
        #expect(open.bodies.allSatisfy { $0["max_tokens"] == nil })
        let estimated = try Rounds.play(
            Self.responses("'max_output_tokens':100"), from: .responses,
            [Self.uncounted(Self.call), Rounds.answering("Paper.")])
        #expect(estimated.bodies[1]["max_tokens"] == 95, "13 bytes with their escapes, 3.2 to a token")
    }

    @Test("Where too few are left to answer with, the calls are run, told, and the reply ends as cut off")
    func spent() throws {
        for streams in [true, false] {
            let body = Self.responses("'max_output_tokens':17").replacing("true", with: "\(streams)")
            let rounds = try Rounds.play(body, from: .responses, streams: streams, [Self.call])
            #expect(rounds.finding == .complete && rounds.calls.count == 1)
            let response =
                try streams ? StrictResponsesReader(rounds.text).response : JSON(parsing: rounds.text)
            #expect(response["status"] == "incomplete")
            #expect(response["incomplete_details"]?["reason"] == "max_output_tokens")
            #expect(response["output"]?[1]?["output"] == "paper")
        }
    }

    @Test("Where nobody would learn of them, they are not run")
    func spentHidden() throws {
        for end in ["data: [DONE]\n\n", ""] {
            let rounds = try Rounds.play(
                RoundsTests.chat.replacing("'model'", with: "'max_tokens':17,'model'"), from: .chat, hidden: true,
                [Self.call.replacing("data: [DONE]\n\n", with: end)])
            #expect(rounds.finding == .complete && rounds.calls.isEmpty)
            #expect(rounds.text.ranges(of: "\"finish_reason\":\"length\"").count == 1)
            #expect(!rounds.text.contains("\"finish_reason\":\"tool_calls\""))
            #expect(rounds.text.ranges(of: "[DONE]").count == 1)
        }
    }

    @Test("Calls beyond those that the client allows are ignored, over all rounds, and then none may be made")
    func calls() throws {
        let body = "{'model':'m','stream':true,'input':'hi','tools':[{'type':'mcp','server_label':'wiki'}],"
        let rounds = try Rounds.play(
            body + "'max_tool_calls':3}", from: .responses, [Self.two, Self.two, Rounds.answering("Paper.")])
        #expect(rounds.calls == [#"lookup {"q":"7"}"#, #"lookup {"q":"8"}"#, #"lookup {"q":"7"}"#])
        let reader = StrictResponsesReader(rounds.text)
        #expect(reader.faults == [])
        let output = reader.response["output"]?.array?.map { $0["type"]?.string }
        #expect(output == ["mcp_list_tools", "mcp_call", "mcp_call", "mcp_call", "message"])
        #expect(rounds.bodies.map { $0["tool_choice"] } == [nil, nil, "none"])
        #expect(rounds.bodies[2]["tools"] == rounds.bodies[0]["tools"], "the prompt begins as before")
        let turns = try #require(rounds.bodies[2]["messages"]?.array)
        #expect(turns.map { $0["role"]?.string } == ["user", "assistant", "tool", "tool", "assistant", "tool"])

        let none = try Rounds.play(body + "'max_tool_calls':0}", from: .responses, [Self.call])
        #expect(none.calls.isEmpty && none.finding == .complete)
        let response = StrictResponsesReader(none.text).response
        #expect(response["status"] == "completed" && response["output"]?.array?.count == 1)
    }

    @Test("The client's own calls are not counted, and may be made when no other may")
    func ownCalls() throws {
        let rounds = try Rounds.play(
            Self.responses("'max_tool_calls':1"), from: .responses,
            [Self.call, Rounds.calling("lookup|{'q':'8'}", "own|{}", id: "again")])
        #expect(rounds.calls == [#"lookup {"q":"7"}"#])
        #expect(rounds.bodies[1]["tool_choice"] == nil)
        let output = try #require(StrictResponsesReader(rounds.text).response["output"]?.array)
        #expect(output.map { $0["type"]?.string } == ["mcp_list_tools", "mcp_call", "function_call"])
    }

    @Test("Each round says what it took; what its upstream does not count is estimated, for the client as well")
    func counted() throws {
        let counted = try Rounds.play(
            RoundsTests.request, from: .responses, [Self.call, Rounds.answering("Paper.")])
        #expect(counted.tokens == [12])
        let rounds = try Rounds.play(
            RoundsTests.request, from: .responses, [Self.uncounted(Self.call), Rounds.answering("Paper.")])
        #expect(rounds.tokens[0] > 12)
        let usage = StrictResponsesReader(rounds.text).response["usage"]
        #expect(usage?["total_tokens"] == .int(rounds.tokens[0] + 12))
        let blind = try Rounds.play(
            RoundsTests.request, from: .responses, [Self.call, Self.uncounted(Rounds.answering("Paper."))])
        let input = StrictResponsesReader(blind.text).response["usage"]?["input_tokens"]?.int ?? 0
        #expect(input > 20, "the second prompt is longer than the first")
    }
}
