import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// What looks like a call and is none, or cannot be one as a whole, stays text as it came, and is counted (C11).
@Suite("Text that is no call")
struct CallsTextTests {
    static let call = "<tool_call>{'name':'get_time','arguments':{}}</tool_call>"

    /// With why it is none; empty where it never looked like one.
    static let kept: [(String, String)] = [
        ("```\n\(call)\n```\n", ""),
        ("~~~xml\n\(call)\n~~~", ""),
        ("````\n```\n\(call)\n````", ""),
        ("    \(call)", ""),
        ("Write `\(call)` for it.", ""),
        ("Write \(call) for it.", ""),
        ("> \(call)", ""),
        ("`[TOOL_CALLS]get_time[ARGS]{}`", ""),
        ("a '[TOOL_CALLS]get_time[ARGS]{}'", ""),
        ("a < b, c[0] and {d}", ""),
        ("<tool_call", ""),
        ("[TOOL_", ""),
        ("\n\n  ", ""),
        ("<tool_call>{'name':'delete_all','arguments':{}}</tool_call>", "hermes/unknown-name:1"),
        ("<tool_call>{'name':'get_time','argum", "hermes/cut-off:1"),
        ("<tool_call>{'name':'get_weather','arguments':{'city':'Par</tool_call>", "hermes/cut-off:1"),
        ("<tool_call>{'name':'get_time','city':1}</tool_call>", "hermes/malformed:1"),
        ("<tool_call>{'name':'get_time','arguments':[1]}</tool_call>", "hermes/malformed:1"),
        ("<tool_call>{'name':'get_weather','arguments':{'city':'a','city':'b'}}</tool_call>", "hermes/malformed:1"),
        ("<tool_call>call me</tool_call>", "glm/unknown-name:1"),
        ("<tool_call> tags are what the model writes.", "glm/unknown-name:1"),
        ("<tool_call>\n<function=get_weather>\n<parameter=city>\nPar", "qwen-xml/cut-off:1"),
        ("<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n", "qwen-xml/cut-off:1"),
        ("<function=nothing></function>", "qwen-xml/unknown-name:1"),
        ("<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>", "glm/cut-off:1"),
        ("[TOOL_CALLS] is a token.", "mistral/unknown-name:1"),
        ("[TOOL_CALLS][{'name':'get_time','arguments':{}}", "mistral/cut-off:1"),
        ("<|python_tag|>print(1)", "llama/unknown-name:1"),
        ("{'name':'Bob','age':3}", ""),
        ("{'name':'get_time'}", "llama/malformed:1"),
        ("{'name':'get_time','parameters':{}} is the call.", "llama/text-follows:1"),
        ("The call is {'name':'get_time','parameters':{}}", ""),
        ("[get_time()] it is", "pythonic/text-follows:1"),
        ("[get_weather('Paris')]", "pythonic/malformed:1"),
        ("[1] get_time()", ""),
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>nope<｜tool▁sep｜>{}<｜tool▁call▁end｜>", "deepseek/unknown-name:1"),
        ("<|tool_calls_section_begin|><|tool_call_begin|>functions.get_time:0", "kimi/cut-off:1"),
        ("<|channel|>commentary to=functions.nope<|message|>{}<|call|>", "harmony/unknown-name:1"),
        ("<|channel|>elsewhere<|message|>a", "harmony/malformed:1"),
        ("[TOOL_REQUEST]{'name':'nope','arguments':{}}[END_TOOL_REQUEST]", "lm-studio/unknown-name:1"),
    ]

    @Test("C11: it goes on byte for byte, counted and named, in any cut and whole", arguments: kept)
    func keeps(text: String, reason: String) throws {
        let text = json(text)
        let expected = Shown(blocks: text, end: "end_turn", tally: reason.isEmpty ? "" : "missed=" + reason)
        for pieces in [0, 1, 2, 3, 7, 20] {
            #expect(Calls.shown(Calls.stream(text, pieces: pieces)) == expected, "pieces of \(pieces)")
            #expect(Calls.shown(Calls.stream(text, pieces: pieces, escaped: true)) == expected, "pieces of \(pieces)")
        }
        #expect(try Calls.whole(text) == expected)
    }

    @Test("A10: a call cut off by the token limit is text, whole or not, and the reply says why it ended")
    func limit() throws {
        for text in [json(Self.call), json("<tool_call>{'name':'get_time'}")] {
            let given = String(text.dropLast(text.hasSuffix("</tool_call>") ? 12 : 0))
            let shown = Calls.shown(Calls.stream(given, pieces: 3, finish: "length"))
            #expect(shown == Shown(blocks: given, end: "max_tokens", tally: "missed=hermes/cut-off:1"))
            #expect(try Calls.whole(given, finish: "length") == shown)
        }
        // One that is whole is a call; the reply is still cut.
        let shown = Calls.shown(Calls.stream(json(Self.call) + "\nAnd", finish: "length"))
        #expect(shown == Shown(blocks: "get_time{}|And", end: "max_tokens", tally: "hermes=1"))
    }

    @Test("a broken call does not hide the one behind it")
    func behindBroken() {
        let text = json("<tool_call>{'name':'get_time',,}</tool_call>\n\(Self.call)")
        let shown = Calls.shown(Calls.stream(text, pieces: 4))
        #expect(shown.blocks == json("<tool_call>{'name':'get_time',,}</tool_call>\n|get_time{}"))
        #expect(shown.tally == "hermes=1; missed=hermes/malformed:1")
    }

    @Test("without tools, or when none may be called, nothing is looked for")
    func noTools() {
        let text = json(Self.call)
        let context = ReplyContext()
        #expect(Calls.shown(Calls.stream(text), context).blocks == text)
        var off = Calls.context
        off.findsCalls = false
        #expect(Calls.shown(Calls.stream(text), off).blocks == text)
    }

    @Test("a structured answer that looks like a bare call is an answer")
    func structured() {
        var context = Calls.context
        context.wantsJSON = true
        let text = json("{'name':'get_time','parameters':{}}")
        #expect(Calls.shown(Calls.stream(text), context) == Shown(blocks: text, end: "end_turn", tally: ""))
    }

    @Test("a name is the one the upstream was told, or the client's; a client gets its own")
    func names() {
        var context = ReplyContext(
            tools: OfferedTools([OfferedTools.Offer(name: "mcp_server_go", alias: "mcp.server/go")]))
        context.findsCalls = true
        for name in ["mcp_server_go", "mcp.server/go", "functions.mcp_server_go"] {
            let shown = Calls.shown(Calls.stream(json("<tool_call>{'name':'\(name)'}</tool_call>")), context)
            #expect(shown == Shown(blocks: "mcp_server_go{}", end: "tool_use", tally: "hermes=1"))
        }
    }

    @Test("text before a marker goes out at once, and only what may begin one waits")
    func holdsBack() {
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.anthropic), context: Calls.context)
        func send(_ text: String) -> String {
            var out = ByteBuffer()
            _ = pipe.pass(ByteBuffer(string: Calls.delta("content", text)), into: &out)
            return out.string
        }
        #expect(send("Hello\n<tool").contains("\"Hello\\n\""))
        #expect(send("s>").contains("\"s>\""))
        #expect(send(" x").contains("\" x\""))
        #expect(send("\n<tool_call>").contains("\"\\n\""))
        #expect(send("{\"name\":") == "")
        #expect(send("\"nope\"}").contains("nope"))
        #expect(send(" y").contains("\" y\""))
    }

    @Test("a reply without a marker has the bytes it has without the search", arguments: 0..<100)
    func untouched(seed: UInt64) {
        var random = Seeded(seed)
        let words = [
            "a", "{", "x = y[0]", "\n", "\n\n", " ", "```\n", "`a`", "\"q\"", "\\", "é", "日本", "</div>", "(1 < 2)",
            "\t",
        ]
        var stream = chunk("{'role':'assistant'}")
        if Bool.random(using: &random) { stream += Calls.delta("reasoning_content", "hm [x] <y>\n") }
        for _ in 0..<40 {
            let text = (0..<Int.random(in: 1...3, using: &random)).map { _ in words.randomElement(using: &random) ?? ""
            }
            stream += Calls.delta("content", text.joined(), Bool.random(using: &random))
        }
        stream += finishStop + done
        let size = Int.random(in: 0...90, using: &random)
        #expect(asAnthropic(stream, Calls.context, cut: size) == asAnthropic(stream), "seed \(seed)")
    }
}
