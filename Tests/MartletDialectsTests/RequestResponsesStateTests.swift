import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Responses requests: state, and requests as a whole")
struct RequestResponsesStateTests {
    func document(_ body: String) throws -> JSONDocument { try JSONDocument(checking: ByteBuffer(string: body)) }

    @Test("1.4.2: what a request asks of a store")
    func state() throws {
        let plain = try ResponsesState(document(#"{"input":"x"}"#))
        #expect(plain.previousID == nil && plain.isStored && !plain.isBackground)
        let body = try document(
            #"{"previous_response_id":"resp_1","store":false,"background":true,"stream":true,"conversation":{"id":"conv"},"prompt":{"id":"p"},"input":[{"type":"item_reference","id":"a"},{"id":"m","role":"user","content":"x"},{"id":"b","type":"item_reference"},{"id":"c"}]}"#
        )
        let full = try ResponsesState(body)
        #expect(full.previousID == "resp_1" && !full.isStored && full.isBackground && full.streams)
        #expect(full.conversation == "conv" && full.usesPrompt)
        #expect(try ResponsesRequest.references(body) == ["a", "b", "c"])
        let nulls = try ResponsesState(
            document(#"{"previous_response_id":null,"store":null,"background":null,"conversation":null,"prompt":null}"#)
        )
        #expect(nulls == ResponsesState())
    }

    @Test("D3, 3.2.3: that a prompt is too long is an event for who streams Responses, and a status for all others")
    func overflow() throws {
        let streamed = try document(#"{"model":"m","input":"x","stream":true,"store":true,"metadata":{"a":"b"}}"#)
        let error = GatewayError.contextOverflow(prompt: 9000, maximum: 4096)
        let target = replyTarget(.responses)
        let bytes = try #require(Dialects.streamedRefusal(error, of: streamed, to: target))
        let lines = bytes.string.split(separator: "\n").filter { $0.hasPrefix("data: {") }
        let events = try lines.map { try JSON(parsing: String($0.dropFirst(6))) }
        #expect(
            events.map { $0["type"]?.string } == [
                "response.created", "response.in_progress", "error", "response.failed",
            ])
        let failed = events[3]["response"]
        #expect(failed?["error"]?["code"] == "context_length_exceeded" && failed?["status"] == "failed")
        #expect(failed?["metadata"]?["a"] == "b" && failed?["store"] == false && failed?["model"] == "m")
        #expect(events[2]["error"]?["code"] == "context_length_exceeded")
        #expect(bytes.string.hasSuffix("data: [DONE]\n\n"))

        let whole = try document(#"{"model":"m","input":"x"}"#)
        #expect(Dialects.streamedRefusal(error, of: whole, to: target) == nil)
        #expect(Dialects.streamedRefusal(.closedEarly, of: streamed, to: target) == nil)
        for dialect in [DialectID.chat, .anthropic] {
            #expect(Dialects.streamedRefusal(error, of: streamed, to: replyTarget(dialect)) == nil)
        }
    }

    static let checks: [(String, Bool, Bool, String?)] = [
        (#"{"input":"x"}"#, false, false, nil), (#"{"previous_response_id":"r"}"#, true, false, nil),
        (#"{"previous_response_id":"r"}"#, false, false, "previous_response_id"),
        (#"{"background":true}"#, true, false, nil), (#"{"background":true}"#, false, false, "background"),
        (#"{"background":true,"store":false}"#, true, false, "background"),
        (#"{"conversation":"c"}"#, true, true, "conversation"),
        (#"{"conversation":"c","previous_response_id":"r"}"#, true, true, "conversation"),
        (#"{"prompt":{"id":"p"}}"#, true, false, "prompt"), (#"{"prompt":{"id":"p"}}"#, true, true, nil),
    ]

    @Test("1.4.2, 2.4.1: what nobody here does is refused by name", arguments: checks)
    func check(body: String, stores: Bool, takesPrompts: Bool, param: String?) throws {
        let state = try ResponsesState(document(body))
        do throws(GatewayError) {
            try state.check(stores: stores, takesPrompts: takesPrompts)
            #expect(param == nil)
        } catch {
            #expect(error.param == param && ErrorTable.status(error, for: .responses) == 400)
        }
    }

    @Test("2.9.6, D14: a response to continue from that nobody put in is unknown: 400 with its code")
    func unknownPrevious() throws {
        let error = refusal { try responsesToChat(#"{"input":"x","previous_response_id":"resp_9"}"#) }
        let body = ErrorTable.body(try #require(error), for: .responses, requestID: "")
        #expect(
            body.string
                == json(
                    "{'error':{'message':'Previous response with id ''resp_9'' not found.','type':'invalid_request_error','param':'previous_response_id','code':'previous_response_not_found'}}"
                ).replacing("\"\"resp_9\"\"", with: "'resp_9'"))
    }

    @Test("the items of an input are kept as they stand; a text is the message it is")
    func inputItems() throws {
        func items(_ body: String) throws -> [String] { try ResponsesRequest.inputItems(document(body)).map(\.string) }
        #expect(
            try items(#"{"input":"a\n\u00e9"}"#) == [
                #"{"type":"message","role":"user","content":[{"type":"input_text","text":"a\n\u00e9"}]}"#
            ])
        #expect(try items(#"{"input":[ {"a": 1.0} , {"b":"\/"} ]}"#) == [#"{"a": 1.0}"#, #"{"b":"\/"}"#])
        #expect(try items(#"{"input":""}"#) == [] && items(#"{}"#) == [] && items(#"{"input":null}"#) == [])
        var ids = IDSource(seed: 1)
        let named = try JSON(
            parsing: ResponsesRequest.identified(ByteBuffer(json: "{'role':'user','content':'x'}"), ids: &ids))
        #expect(named["id"]?.string?.wholeMatch(of: /msg_[0-9a-f]{48}/) != nil && named["type"] == "message")
        let untyped = try JSON(
            parsing: ResponsesRequest.identified(ByteBuffer(json: "{'id':'m','role':'user','content':'x'}"), ids: &ids))
        #expect(untyped["id"] == "m" && untyped["type"] == "message")
        let known = ByteBuffer(json: "{'id':'a','type':'reasoning'}")
        #expect(ResponsesRequest.identified(known, ids: &ids) == known)
    }

    @Test("D14: stored items go in before the new input, byte for byte, and nothing else changes")
    func expansion() throws {
        let stored = [
            ByteBuffer(json: "{'role':'user','content':'one'}"),
            ByteBuffer(json: "{'role':'assistant','content':'two'}"),
        ]
        func expand(_ body: String) throws -> String {
            try ResponsesRequest.expanded(
                document(body), with: stored, resolving: ["m1": ByteBuffer(json: "{'role':'user','content':'kept'}")]
            ).string
        }
        let before = json("[{'role':'user','content':'one'},{'role':'assistant','content':'two'}")
        #expect(
            try expand(#"{"model": "m","previous_response_id":"r", "input":"x","temperature":1.0}"#)
                == #"{"model": "m","input":\#(before),{"type":"message","role":"user","content":[{"type":"input_text","text":"x"}]}],"temperature":1.0}"#
        )
        #expect(try expand(#"{"input":[{"z":1}],"previous_response_id":"r"}"#) == #"{"input":\#(before),{"z":1}]}"#)
        #expect(try expand(#"{"input":[]}"#) == #"{"input":\#(before)]}"#)
        #expect(try expand(#"{"model":"m"}"#) == #"{"model":"m","input":\#(before)]}"#)
        let resolved = try expand(
            #"{"input":[{"type":"item_reference","id":"m1"},{"type":"item_reference","id":"m2"}]}"#)
        #expect(
            try expand(#"{"input":[{"id":"m1"}]}"#) == json("{'input':\(before),{'role':'user','content':'kept'}]}"))
        #expect(
            resolved
                == json("{'input':") + before
                + json(",{'role':'user','content':'kept'},{'type':'item_reference','id':'m2'}]}"))
    }

    @Test("D14: three turns with other instructions each: only the last stand, and the prefix stays")
    func chain() throws {
        var stored: [ByteBuffer] = []
        var before = ""
        for turn in 0..<3 {
            let body =
                #"{"instructions":"i\#(turn)","input":"q\#(turn)"\#(turn > 0 ? #","previous_response_id":"r\#(turn)""# : "")}"#
            let document = try document(body)
            let expanded = try ResponsesRequest.expanded(document, with: stored)
            let made = try responsesToChat(expanded.string)
            #expect(made.content(0) == "i\(turn)")
            #expect(made.messages.filter { $0["role"] == "system" }.count == 1)
            let rest = made.messages.dropFirst().map(\.text).joined(separator: ",")
            #expect(rest.hasPrefix(before))
            before = rest
            stored += try ResponsesRequest.inputItems(document)
            let reply = asResponses(
                ReplyAnthropicTests.text("a\(turn)") + finishStop + done, made.request.context)
            stored += StrictResponsesReader(reply.text).output.map(\.buffer)
        }
        #expect(before.contains("a0") && before.contains("a1"))
    }

    @Test("a reply to an expanded request names the response it continues")
    func continued() throws {
        var context = try responsesContext(#"{"input":"x"}"#)
        context.echo = context.echo?.with(previousID: "resp_1", isStored: false)
        let response = StrictResponsesReader(
            asResponses(ReplyAnthropicTests.text("a") + finishStop + done, context).text
        ).response
        #expect(response["previous_response_id"] == "resp_1" && response["store"] == false)
    }

    // MARK: - Agents

    /// What an agent sends at its nth turn, in the shapes Codex's traffic has.
    static func agentBody(turn: Int) -> String {
        var input = [
            #"{"type":"message","id":"msg_a","role":"developer","content":[{"type":"input_text","text":"You are a coding agent."}]}"#,
            #"{"type":"message","id":"msg_b","role":"developer","content":[{"type":"input_text","text":"<skills>"},{"type":"input_text","text":"<permissions>"}]}"#,
            #"{"type":"message","id":"msg_c","role":"user","content":[{"type":"input_text","text":"<environment_context/>"}]}"#,
            #"{"type":"message","id":"msg_d","role":"user","content":[{"type":"input_text","text":"hi"}]}"#,
        ]
        for step in 0..<turn {
            input += [
                #"{"type":"reasoning","id":"rs_\#(step)","summary":[{"type":"summary_text","text":"step \#(step)"}],"encrypted_content":"gw1.eyJ0IjoiYVxuYiJ9"}"#,
                #"{"type":"function_call","id":"fc_\#(step)","call_id":"call_\#(step)","name":"exec_command","arguments":"{\"cmd\":\"ls \#(step)\"}","status":"completed"}"#,
                #"{"type":"function_call","id":"fd_\#(step)","call_id":"spawn_\#(step)","namespace":"multi_agent_v1","name":"spawn_agent","arguments":"{}"}"#,
                #"{"type":"function_call_output","id":"fo_\#(step)","call_id":"call_\#(step)","output":"out \#(step)"}"#,
                #"{"type":"function_call_output","call_id":"spawn_\#(step)","output":"ok"}"#,
            ]
        }
        return
            #"{"model":"m","stream":true,"input":[\#(input.joined(separator: ","))],"tools":[{"type":"function","name":"exec_command","description":"Runs.","strict":false,"parameters":{"type":"object","properties":{"cmd":{"type":"string"}},"required":["cmd"]}},{"type":"namespace","name":"multi_agent_v1","description":"Agents.","tools":[{"type":"function","name":"spawn_agent","description":"Spawns.","strict":false,"parameters":{"type":"object","properties":{}}}]},{"type":"web_search","external_web_access":true}],"tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"summary":"auto"},"store":false,"include":["reasoning.encrypted_content"],"prompt_cache_key":"k\#(turn)","client_metadata":{"turn":"\#(turn)"}}"#
    }

    func messages(_ text: String) -> String? {
        guard let start = text.firstRange(of: #""messages":["#), let end = text.firstRange(of: #"],"tools":"#) else {
            return nil
        }
        return String(text[start.upperBound..<end.lowerBound])
    }

    @Test(
        "over twenty turns of an agent each body's messages begin with those of the one before",
        arguments: [true, false])
    func prefix(isChat: Bool) throws {
        var before = ""
        for turn in 0..<20 {
            let body = Self.agentBody(turn: turn)
            let made =
                try isChat
                ? responsesToChat(body) { $0.reasoningIn = .field("reasoning_content") } : responsesToAnthropic(body)
            let now = try #require(messages(made.text))
            #expect(now.hasPrefix(before), "turn \(turn)")
            #expect(now.utf8.count > before.utf8.count)
            before = now
            #expect(made.toolNames == ["exec_command", "multi_agent_v1__spawn_agent"])
            #expect(made.request.dropped == ["tools.web_search"])
        }
    }

    @Test(
        "F3: members, parts and items nobody knows are never an error, wherever they stand", arguments: UInt64(1)...20)
    func unknownThings(_ seed: UInt64) throws {
        var random = Seeded(seed)
        func noise() -> String {
            let values = ["1", "null", #""x""#, "[1,{}]", #"{"a":[null]}"#, "true", #"{"type":"zz"}"#]
            return #""zz_\#(random.next() % 1000)":\#(values[Int(random.next() % UInt64(values.count))])"#
        }
        func disturb(_ json: JSON) throws -> JSON {
            switch json {
            case .object(let members):
                var out = JSONObject()
                if random.next() % 2 == 0 {
                    for (key, value) in try JSON(parsing: "{\(noise())}").object ?? [:] { out.append(key, value) }
                }
                for (key, value) in members { out.append(key, key == "parameters" ? value : try disturb(value)) }
                return .object(out)
            case .array(let elements):
                var out = try elements.map(disturb)
                let holdsItems = elements.contains { $0["type"]?.string != nil && $0["parameters"] == nil }
                if holdsItems, random.next() % 2 == 0 {
                    out.append(try JSON(parsing: #"{"type":"zz_item",\#(noise())}"#))
                }
                return .array(out)
            default: return json
            }
        }
        let body = try disturb(JSON(parsing: Self.agentBody(turn: 6)))
        let made = try responsesToChat(body.text)
        #expect(made.roles == (try responsesToChat(Self.agentBody(turn: 6))).roles, "seed \(seed)")
    }

    @Test("any text of well-formed JSON is translated or refused, never worse", arguments: UInt64(1)...20)
    func garbage(_ seed: UInt64) throws {
        var random = Seeded(seed)
        let words = [
            "null", "true", "7", "-1", #""text""#, "{}", "[]", #"[{"role":"user","content":"x"}]"#,
            #"[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]"#, #"[{"type":"zz"}]"#,
            #"{"type":"function","name":"f"}"#, #"[{"type":"function","name":"f"}]"#,
            #"[{"type":"reasoning","summary":7}]"#,
            #"[{"type":"namespace","name":"n","tools":[{"type":"namespace"}]}]"#, #"{"format":{"type":"text"}}"#,
        ]
        let names = [
            "model", "input", "instructions", "tools", "tool_choice", "reasoning", "text", "include", "stream",
            "max_output_tokens", "temperature", "metadata", "truncation", "store", "parallel_tool_calls", "user",
        ]
        for _ in 0..<200 {
            let members = names.filter { _ in random.next() % 3 == 0 }.map {
                #""\#($0)":\#(words[Int(random.next() % UInt64(words.count))])"#
            }
            let body = "{\(members.joined(separator: ","))}"
            for translate in [{ try responsesToChat(body) }, { try responsesToAnthropic(body) }] {
                do {
                    _ = try translate()
                } catch let error as GatewayError {
                    #expect(error.code == .invalidRequest, "seed \(seed): \(body)")
                }
            }
        }
    }
}
