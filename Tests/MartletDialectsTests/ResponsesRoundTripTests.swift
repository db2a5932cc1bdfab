import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Sealed reasoning through clients of other dialects")
struct ResponsesRoundTripTests {
    /// With every byte base64 has, and an escape that must not be taken for a slash.
    static let seals = ["gAAAABl+/aZ09_-==", "gA\\\\/B\\\\u002bC".replacing("\\\\", with: "\\")]

    static func reasoning(_ summary: String, _ sealed: String) -> String {
        let list = summary.isEmpty ? "[]" : "[{'type':'summary_text','text':'\(summary)'}]"
        return json("{'id':'rs_1','type':'reasoning','summary':\(list),'encrypted_content':'") + sealed + json("'}")
    }

    /// Reasoning, text and a call.
    static func stream(_ summary: String, _ sealed: String) -> String {
        let delta =
            summary.isEmpty
            ? "" : RStream.delta("reasoning_summary_text", 0, "rs_1", summary, part: "summary_index")
        return RStream.created + delta + RStream.done(0, reasoning(summary, sealed)) + RStream.text("on it", 1)
            + RStream.done(2, RStream.call(2, "{}")) + RStream.end("completed", RStream.usage)
    }

    static func whole(_ summary: String, _ sealed: String) -> ByteBuffer {
        let output = "\(reasoning(summary, sealed)),\(json(RStream.message("on it"))),\(json(RStream.call(2, "{}")))"
        return ByteBuffer(
            string: json(RStream.response("completed")).replacing("\"output\":[]", with: "\"output\":[\(output)]"))
    }

    /// What goes back upstream when a client gives back what it got.
    func sentBack(_ content: JSON, id: String) throws -> Translation {
        let assistant: JSON = ["role": "assistant", "content": content]
        return try anthropicToResponses("\(userHi),\(assistant.text),\(user(result(id, "\"x\"")))")
    }

    func expectSealed(_ made: Translation, _ summary: String, _ sealed: String) {
        #expect(made.inputTypes == ["user", "reasoning", "assistant", "function_call", "function_call_output"])
        let list = summary.isEmpty ? "[]" : "[{'type':'summary_text','text':'\(summary)'}]"
        #expect(
            made.text.contains(json("{'type':'reasoning','summary':\(list),'encrypted_content':'") + sealed + "\"}"))
    }

    @Test("2.8: through an Anthropic client's stream, byte for byte", arguments: ["hm", ""], seals)
    func anthropicStream(summary: String, sealed: String) throws {
        for cut in [0, 1, 7] {
            let relayed = fromResponses(Self.stream(summary, sealed), to: .anthropic, cut: cut)
            let reader = StrictAnthropicReader(relayed.text)
            #expect(reader.faults == [])
            // The client keeps the bytes, too: a JSON library may write an escape as the character it stands for.
            let mark = "gw1.responses.encrypted." + sealed
            #expect(relayed.text.contains(mark))
            let id = try #require(reader.message["content"]?[2]?["id"]?.string)
            let kind = reader.message["content"]?[0]?["type"]
            #expect(kind == (summary.isEmpty ? "redacted_thinking" : "thinking"))
            let content = try #require(reader.message["content"])
            expectSealed(try sentBack(content, id: id), summary, JSON.string(unescaped(sealed)).text.inner)
            let bytes =
                summary.isEmpty
                ? #"{"type":"redacted_thinking","data":"\#(mark)"}"#
                : #"{"type":"thinking","thinking":"\#(summary)","signature":"\#(mark)"}"#
            let turn =
                #"{"role":"assistant","content":[\#(bytes),\#(text("on it")),{"type":"tool_use","id":"\#(id)","name":"f","input":{}}]}"#
            expectSealed(
                try anthropicToResponses("\(userHi),\(turn),\(user(result(id, "\"x\"")))"), summary, sealed)
        }
    }

    func unescaped(_ text: String) -> String { EscapedText(ByteBuffer(string: text)).unescaped() }

    @Test("through an Anthropic client's whole reply", arguments: ["hm", ""], seals)
    func anthropicWhole(summary: String, sealed: String) throws {
        let reply = try Dialects.translateWhole(
            Self.whole(summary, sealed), from: .responses, to: replyTarget(.anthropic))
        let message = try JSON(parsing: reply.pieces[0])
        #expect(reply.pieces[0].string.contains("gw1.responses.encrypted." + sealed))
        let content = try #require(message["content"])
        expectSealed(
            try sentBack(content, id: content[2]?["id"]?.string ?? ""), summary,
            JSON.string(unescaped(sealed)).text.inner)
    }

    @Test("through a Chat client that keeps thinking blocks", arguments: ["hm", ""])
    func chat(summary: String) throws {
        let sealed = Self.seals[0]
        let reply = try Dialects.translateWhole(
            Self.whole(summary, sealed), from: .responses, to: replyTarget(.chat, thinking: true))
        let message = try #require(try JSON(parsing: reply.pieces[0])["choices"]?[0]?["message"])
        let id = try #require(message["tool_calls"]?[0]?["id"]?.string)
        expectSealed(
            try chatToResponses(
                #"\#(userHi),\#(message.text),{"role":"tool","tool_call_id":"\#(id)","content":"x"}"#), summary, sealed)
        let stream = fromResponses(Self.stream(summary, sealed), to: .chat, thinking: true)
        #expect(stream.text.contains("gw1.responses.encrypted.\(sealed)"))
        let hidden = fromResponses(Self.stream(summary, sealed), to: .chat)
        #expect(!hidden.text.contains("gw1."))
    }

    @Test("D11, B17, B18: other upstreams' thinking never goes to this one, nor this one's to others")
    func foreign() throws {
        let thinking = { (signature: String) in
            #"{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"\#(signature)"},{"type":"redacted_thinking","data":"\#(signature)"},{"type":"tool_use","id":"a","name":"f","input":{}}]}"#
        }
        for signature in ["ErUB", "gw1.0123456789abcdef", "gw1.anthropic.signature.x", "gw1.responses.encrypted."] {
            let made = try anthropicToResponses("\(userHi),\(thinking(signature)),\(user(result("a", "\"x\"")))")
            #expect(made.inputTypes == ["user", "function_call", "function_call_output"], "\(signature)")
        }
        let ours = thinking("gw1.responses.encrypted.gA")
        let chat = try translatedToChat("\(userHi),\(ours),\(user(result("a", "\"x\"")))") {
            $0.reasoningIn = .field("reasoning_content")
        }
        #expect(!chat.text.contains("gA"))
        let body = #"{"messages":[\#(userHi),\#(ours)]}"#
        let repaired = try AnthropicRequest.repairedMessages(JSONDocument(checking: ByteBuffer(string: body)))
        #expect(
            repaired?.string
                == #"[\#(userHi),{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}]"#)
    }

    @Test("D27: reasoning that led to nothing is left out")
    func alone() throws {
        let thinking = #"{"type":"thinking","thinking":"t","signature":"gw1.responses.encrypted.gA"}"#
        let empty = #"{"role":"assistant","content":[\#(thinking)]}"#
        #expect(try anthropicToResponses("\(userHi),\(empty),\(userHi)").inputTypes == ["user", "user"])
        let blank = #"{"role":"assistant","content":[\#(thinking),\#(text(""))]}"#
        #expect(try anthropicToResponses("\(userHi),\(blank),\(userHi)").inputTypes == ["user", "user"])
        let behind = #"{"role":"assistant","content":[\#(text("a")),\#(thinking)]}"#
        #expect(try anthropicToResponses("\(userHi),\(behind),\(userHi)").inputTypes == ["user", "assistant", "user"])
        let twice = #"{"role":"assistant","content":[\#(thinking),\#(thinking),\#(text("a"))]}"#
        #expect(
            try anthropicToResponses("\(userHi),\(twice),\(userHi)").inputTypes
                == ["user", "reasoning", "reasoning", "assistant", "user"])
    }

    @Test("where reasoning is taken as text it goes back as text, in its place, the same each time")
    func asText() throws {
        let turn =
            #"{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"gw1.x"},\#(text("a"))]}"#
        let local = { (flags: inout Capabilities) in
            flags.sealedReasoning = false
            flags.reasoningIn = .field("reasoning")
        }
        let made = try anthropicToResponses("\(userHi),\(turn),\(userHi)", "", local)
        #expect(made.input[1]["content"] == [["type": "reasoning_text", "text": "t"]])
        #expect(made.input[1]["summary"] == [])
        #expect(made.input[1]["id"]?.string?.hasPrefix("rs_") == true)
        #expect(try anthropicToResponses("\(userHi),\(turn),\(userHi)", "", local).text == made.text)
        let none = try anthropicToResponses("\(userHi),\(turn),\(userHi)") { $0.sealedReasoning = false }
        #expect(none.inputTypes == ["user", "assistant", "user"])
    }
}

@Suite("Responses requests relayed to a Responses upstream")
struct ResponsesRequestRepairTests {
    func repaired(_ items: String...) throws -> String? {
        let body = json("{'model':'m','input':[\(items.joined(separator: ","))],'store':false}")
        return try ResponsesUpstreamRequest.repairedInput(JSONDocument(checking: ByteBuffer(string: body)))?.string
    }

    let said = "{'role':'user','content':'hi'}"
    let answer = "{'type':'message','role':'assistant','content':[{'type':'output_text','text':'a'}]}"
    let call = "{'type':'function_call','call_id':'c','name':'f','arguments':'{}'}"
    let output = "{'type':'function_call_output','call_id':'c','output':'x'}"

    func reasoning(_ sealed: String) -> String {
        "{'type':'reasoning','id':'rs','summary':[],'encrypted_content':'\(sealed)'}"
    }

    @Test("a conversation the API takes is not touched")
    func untouched() throws {
        #expect(
            try repaired(said, reasoning("gA"), answer, said, reasoning("gA"), reasoning("gB"), call, output) == nil)
        #expect(
            try repaired(said, "7", "{'type':'zz','call_id':7}", "{'type':'compaction','encrypted_content':'gA'}")
                == nil)
        for body in [#"{"input":"hi"}"#, "{}", #"{"input":[{"type":"reasoning","type":"x"}]}"#, "[]"] {
            let document = try JSONDocument(checking: ByteBuffer(string: body))
            #expect(try ResponsesUpstreamRequest.repairedInput(document) == nil)
        }
    }

    @Test("a reference is refused: what the API keeps under our key may be another client's")
    func references() {
        for reference in ["{'type':'item_reference','id':'msg_9'}", "{'id':'msg_9'}"] {
            let error = #expect(throws: GatewayError.self) { try repaired(said, reference) }
            #expect(error?.code == .notFound && error?.message.contains("msg_9") == true)
        }
    }

    @Test("of a conversation that is kept here go the ids and the reasoning that only the API's own store could tell")
    func keptHere() throws {
        let body = json(
            "{'input':[{'id':'msg_1','role':'user','content':'hi'},{'type':'reasoning','id':'rs_1','summary':[]},"
                + "\(reasoning("gA")),{'id':'fc_1',\(call.dropFirst()),{'id':'ws_1','type':'web_search_call'},\(answer)]}"
        )
        let document = try JSONDocument(checking: ByteBuffer(string: body))
        #expect(
            try ResponsesUpstreamRequest.repairedInput(document, isKeptHere: true)?.string
                == json("[\(said),\(reasoning("gA")),\(call),{'id':'ws_1','type':'web_search_call'},\(answer)]"))
        #expect(try ResponsesUpstreamRequest.repairedInput(document) == nil)
    }

    @Test("B18: what this gateway sealed for others goes, its own marks come off")
    func seals() throws {
        #expect(try repaired(said, reasoning("gw1.AAAA"), answer) == json("[\(said),\(answer)]"))
        #expect(
            try repaired(said, reasoning("gw1.responses.encrypted.gA"), answer)
                == json("[\(said),\(reasoning("gA")),\(answer)]"))
    }

    @Test("D27: reasoning without what it led to goes")
    func led() throws {
        #expect(try repaired(said, reasoning("gA"), said) == json("[\(said),\(said)]"))
        #expect(try repaired(call, reasoning("gA"), output, answer) == json("[\(call),\(output),\(answer)]"))
        #expect(try repaired(said, reasoning("gA"), reasoning("gB")) == json("[\(said)]"))
    }

    @Test("D13: ids too long are cut alike in call and result")
    func ids() throws {
        let long = String(repeating: "x", count: 65)
        let text = try #require(try repaired(call.with("'c'", "'\(long)'"), output.with("'c'", "'\(long)'")))
        let ids = try #require(try JSON(parsing: text).array).map { $0["call_id"]?.string }
        #expect(ids[0] == ids[1] && (ids[0]?.utf8.count ?? 99) <= 64)
        let most = String(repeating: "x", count: 64)
        #expect(try repaired(call.with("'c'", "'\(most)'")) == nil)
    }
}

extension String {
    /// Without its first and last character.
    fileprivate var inner: String { String(dropFirst().dropLast()) }
}
