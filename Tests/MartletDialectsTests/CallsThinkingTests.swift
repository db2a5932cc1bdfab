import MartletDialects
import MartletWire
import Testing

/// The rule for calls in thinking: one that ends it, and the reply, is a call; one the model thought on from, or answered
/// behind, was only considered. Both are reported of servers that know only one of them (lmstudio-bug-tracker#1592,
/// #1528, #942).
@Suite("Calls in thinking")
struct CallsThinkingTests {
    static let call = "<tool_call>{'name':'get_time','arguments':{}}</tool_call>"

    struct Case: Sendable {
        var reasoning: String
        var text: String
        var shown: String
        var end = "end_turn"
        var tally = ""
    }

    static let fields: [Case] = [
        Case(reasoning: "Hm.\n\(call)", text: "", shown: "[Hm.\n]|get_time{}", end: "tool_use", tally: "hermes=1"),
        Case(
            reasoning: "\(call)\n\(call)\n", text: "\n\n", shown: "get_time{}|get_time{}", end: "tool_use",
            tally: "hermes=2"),
        Case(
            reasoning: "I could\n\(call)\nbut no.", text: "Hi", shown: "[I could\n\(call)\nbut no.]|Hi",
            tally: "missed=hermes/thought:1"),
        Case(
            reasoning: "I could\n\(call)", text: "Hi", shown: "[I could\n\(call)]|Hi", tally: "missed=hermes/thought:1"),
        Case(
            reasoning: "I could\n\(call)", text: call, shown: "[I could\n\(call)]|get_time{}", end: "tool_use",
            tally: "hermes=1; missed=hermes/thought:1"),
        Case(
            reasoning: "Hm.\n<tool_call>{'name':'get_time'}", text: "", shown: "[Hm.\n]|get_time{}", end: "tool_use",
            tally: "hermes=1"),
        Case(
            reasoning: "Hm.\n<tool_call>{'name'", text: "", shown: "[Hm.\n<tool_call>{'name']",
            tally: "missed=hermes/cut-off:1"),
        Case(reasoning: "Hm.", text: call, shown: "[Hm.]|get_time{}", end: "tool_use", tally: "hermes=1"),
        Case(
            reasoning:
                "Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{}<|call|>",
            text: "", shown: "[Hm.]|get_time{}", end: "tool_use", tally: "harmony=1"),
    ]

    @Test("in a field of its own", arguments: fields)
    func field(_ given: Case) throws {
        let expected = Shown(blocks: json(given.shown), end: given.end, tally: given.tally)
        for pieces in [0, 1, 3, 8] {
            let stream = Calls.stream(json(given.text), pieces: pieces, reasoning: json(given.reasoning))
            #expect(Calls.shown(stream) == expected, "pieces of \(pieces)")
        }
        #expect(try Calls.whole(json(given.text), reasoning: json(given.reasoning)) == expected)
    }

    static let tags: [Case] = [
        Case(
            reasoning: "", text: "<think>Hm.\n\(call)\nno</think>Hi", shown: "[Hm.\n\(call)\nno]|Hi",
            tally: "missed=hermes/thought:1"),
        Case(
            reasoning: "", text: "<think>Hm.</think>\(call)", shown: "[Hm.]|get_time{}", end: "tool_use",
            tally: "hermes=1"),
        Case(
            reasoning: "", text: "<think>Hm.</think>\n\n\(call)", shown: "[Hm.]|get_time{}", end: "tool_use",
            tally: "hermes=1"),
        Case(
            reasoning: "", text: "<think>Hm.\n\(call)", shown: "[Hm.\n]|get_time{}", end: "tool_use", tally: "hermes=1"),
        Case(
            reasoning: "", text: "<think>Hm.\n\(call)</think>\n", shown: "[Hm.\n]|get_time{}", end: "tool_use",
            tally: "hermes=1"),
    ]

    @Test("in tags that are split off", arguments: tags)
    func split(_ given: Case) throws {
        var context = Calls.context
        context.reasoningOut = .thinkTags
        let expected = Shown(blocks: json(given.shown), end: given.end, tally: given.tally)
        for pieces in [0, 1, 3, 8] {
            #expect(
                Calls.shown(Calls.stream(json(given.text), pieces: pieces), context) == expected, "pieces of \(pieces)")
        }
        #expect(try Calls.whole(json(given.text), context) == expected)
    }

    static let kept: [Case] = [
        Case(
            reasoning: "", text: "<think>Hm.\n\(call)\nno</think>Hi", shown: "<think>Hm.\n\(call)\nno</think>Hi",
            tally: "missed=hermes/thought:1"),
        Case(
            reasoning: "", text: "<think>Hm.\n\(call)</think>Hi", shown: "<think>Hm.\n\(call)</think>Hi",
            tally: "missed=hermes/thought:1"),
        Case(
            reasoning: "", text: "<think>```\nHm.</think>\(call)", shown: "<think>```\nHm.</think>|get_time{}",
            end: "tool_use", tally: "hermes=1"),
        Case(
            reasoning: "", text: "Hm.</think>\(call)", shown: "Hm.</think>|get_time{}", end: "tool_use",
            tally: "hermes=1"),
        Case(
            reasoning: "", text: "<think>Hm.\n\(call)\n</think>\n", shown: "<think>Hm.\n|get_time{}|\n</think>\n",
            end: "tool_use", tally: "hermes=1"),
    ]

    @Test("in tags that stay in the text", arguments: kept)
    func tagged(_ given: Case) throws {
        let expected = Shown(blocks: json(given.shown), end: given.end, tally: given.tally)
        for pieces in [0, 1, 3, 8] {
            #expect(Calls.shown(Calls.stream(json(given.text), pieces: pieces)) == expected, "pieces of \(pieces)")
        }
        #expect(try Calls.whole(json(given.text)) == expected)
    }

    @Test("a limit in thinking makes no call")
    func limit() {
        let reasoning = json("Hm.\n\(Self.call)")
        let shown = Calls.shown(Calls.stream("", pieces: 5, reasoning: reasoning, finish: "length"))
        #expect(shown == Shown(blocks: "[\(reasoning)]", end: "max_tokens", tally: "missed=hermes/thought:1"))
    }

    @Test("a native call behind one in thinking: that was only considered")
    func native() {
        let reasoning = json("Hm.\n\(Self.call)")
        let stream =
            ReplyAnthropicTests.think("Hm.") + Calls.delta("reasoning_content", String(reasoning.dropFirst(3)))
            + ReplyAnthropicTests.call(0, "c1", "get_time", "{}") + ReplyAnthropicTests.finishCalls + done
        #expect(Calls.shown(stream).blocks == "[\(reasoning)]|get_time{}")
    }

    @Test("a native call and one in the text are two, and both get their arguments")
    func both() {
        let stream =
            ReplyAnthropicTests.call(0, "c1", "get_weather", json("{'city'"))
            + ReplyAnthropicTests.more(0, json(":'a'}")) + Calls.delta("content", json(Self.call)) + finishStop + done
        #expect(Calls.shown(stream).blocks == json("get_weather{'city':'a'}|get_time{}"))
        let other =
            Calls.delta("content", json(Self.call)) + ReplyAnthropicTests.call(0, "c1", "get_weather", json("{'city'"))
            + ReplyAnthropicTests.more(0, json(":'a'}")) + finishStop + done
        #expect(Calls.shown(other).blocks == json("get_time{}|get_weather{'city':'a'}"))
    }
}
