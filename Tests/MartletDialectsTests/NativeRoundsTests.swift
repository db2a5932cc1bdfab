import MartletDialects
import MartletWire
import Testing

@Suite("Replies in rounds, as LM Studio's own API tells them")
struct NativeRoundsTests {
    static let body = "{'model':'m','stream':true,'input':'hi','integrations':['mcp/wiki']}"

    @Test("A client reads each call as it is begun, made and done, and the whole at the end")
    func calls() throws {
        let streams = [
            Rounds.calling("lookup|{'q':'7'}", "serch|{}", saying: "Let me see."), Rounds.answering("Paper."),
        ]
        let rounds = try Rounds.play(Self.body, from: .lmstudio, streams)
        #expect(rounds.finding == .complete)
        let prompt = ["prompt_processing.start", "prompt_processing.end"]
        #expect(
            rounds.text.events == ["chat.start"] + prompt + [
                "message.start", "message.delta", "message.end", "tool_call.start", "tool_call.arguments",
                "tool_call.success", "tool_call.start", "tool_call.failure",
            ] + prompt + ["message.start", "message.delta", "message.end", "chat.end"])
        let last = try #require(rounds.text.split(separator: "\n").last { $0.hasPrefix("data: ") })
        let result = try #require(try JSON(parsing: String(last.dropFirst(6)))["result"])
        let kinds = ["message", "tool_call", "invalid_tool_call", "message"]
        #expect(result["output"]?.array?.map { $0["type"]?.string } == kinds)
        #expect(result["output"]?[1]?["provider_info"]?["plugin_id"] == "mcp/wiki")
        #expect(result["output"]?[1]?["output"]?.string?.contains("paper") == true)
        #expect(result["output"]?[2]?["metadata"]?["type"] == "invalid_name")
        #expect(result["stats"]?["total_output_tokens"] == 4)
        let whole = try Rounds.play(
            Self.body.replacing("true", with: "false"), from: .lmstudio, streams: false, streams)
        #expect(try JSON(parsing: whole.text)["output"] == result["output"])
    }

    @Test("A client is told what a tool is run with before it is run, and of a call that is not run nothing more")
    func order() throws {
        let call = ["tool_call.start", "tool_call.arguments"]
        let two = [Rounds.calling("lookup|{'q':'7'}", "lookup|{'q':'8'}"), Rounds.answering("Paper.")]
        let good = try Rounds.play(Self.body, from: .lmstudio, two)
        let prompt = ["chat.start", "prompt_processing.start", "prompt_processing.end"]
        #expect(good.before.map(\.events) == [prompt + call])
        let made = call + ["tool_call.success"] + call + ["tool_call.success"]
        #expect(good.text.events.filter { $0.hasPrefix("tool_call") } == made)
        #expect(StrictNativeReader(good.text).faults == [])
        let wrong = try Rounds.play(Self.body, from: .lmstudio, [Rounds.calling("lookup|{}"), Rounds.answering("Hm.")])
        #expect(wrong.before.map(\.events) == [prompt + ["tool_call.start"]])
        let refused = try Rounds.play(Self.body, from: .lmstudio, two) { tool, _ in
            ToolRun(.invalidArguments("not these"), by: tool.integration.provider)
        }
        let failed = call + ["tool_call.failure"]
        #expect(refused.text.events.filter { $0.hasPrefix("tool_call") } == failed + failed)
        #expect(StrictNativeReader(refused.text).faults == [])
    }
}
