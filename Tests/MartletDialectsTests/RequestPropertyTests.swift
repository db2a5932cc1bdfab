import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Requests as a whole")
struct RequestPropertyTests {
    /// What an agent sends at its nth turn: everything so far, with a cache marker that moves and an accounting line
    /// that changes.
    func agentBody(turn: Int) -> String {
        var messages = [
            user(text("<system-reminder>be kind</system-reminder>"), text("do the work")),
            turn == 0
                ? ##"{"role":"system","content":[{"type":"text","text":"# Environment","cache_control":{"type":"ephemeral"}}],"output_config":{"effort":"medium"}}"##
                : ##"{"role":"system","content":"# Environment","output_config":{"effort":"medium"}}"##,
        ]
        for step in 0..<turn {
            let marker = step == turn - 1 ? #","cache_control":{"type":"ephemeral"}"# : ""
            messages.append(
                #"{"role":"assistant","content":[{"type":"thinking","thinking":"step \#(step)","signature":"gw1.x"},{"type":"text","text":"Step \#(step)."},{"type":"tool_use","id":"toolu_\#(step)a","name":"Bash","input":{"command":"ls \#(step)"}},{"type":"tool_use","id":"toolu_\#(step)b","name":"mcp.x/Read","input":{"path":"/a"}}]}"#
            )
            let shot = step % 5 == 3 ? #"[\#(text("shot")),\#(pixelBlock)]"# : #""out \#(step)""#
            messages.append(
                #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_\#(step)b","content":"B"},{"type":"tool_result","tool_use_id":"toolu_\#(step)a","content":\#(shot),"is_error":\#(step % 7 == 6)\#(marker)}]}"#
            )
            if step % 3 == 2 {
                messages.append(#"{"role":"system","content":"<total_tokens>\#(step)</total_tokens>"}"#)
            }
        }
        let tools =
            #"{"name":"Bash","input_schema":{"type":"object","properties":{"command":{"type":"string"}}}},{"name":"mcp.x/Read","input_schema":{"type":"object","properties":{}}}"#
        return
            #"{"model":"m","max_tokens":32000,"system":[{"type":"text","text":"x-anthropic-billing-header: cch=\#(turn);"},{"type":"text","text":"You code."}],"messages":[\#(messages.joined(separator: ","))],"tools":[\#(tools)],"thinking":{"type":"adaptive"},"stream":true}"#
    }

    /// The text of the messages, without the bracket that closes them.
    func messages(_ text: String) -> String? {
        guard let start = text.firstRange(of: #""messages":["#), let end = text.firstRange(of: #"],"tools":"#) else {
            return nil
        }
        return String(text[start.upperBound..<end.lowerBound])
    }

    @Test(
        "B3: over twenty turns of an agent each body's messages begin with those of the one before",
        arguments: [
            Capabilities.SystemForm.user, .keep,
        ])
    func prefix(_ form: Capabilities.SystemForm) throws {
        var before = ""
        var toolsBefore: JSON?
        for turn in 0..<20 {
            let made = try translatedToChat(body: agentBody(turn: turn)) {
                $0.systemLate = form
                $0.reasoningIn = .field("reasoning_content")
            }
            let now = try #require(messages(made.text))
            #expect(now.hasPrefix(before), "turn \(turn)")
            #expect(now.utf8.count > before.utf8.count)
            #expect(toolsBefore == nil || made.json["tools"] == toolsBefore)
            toolsBefore = made.json["tools"]
            before = now
            #expect(
                try translatedToChat(body: agentBody(turn: turn)) {
                    $0.systemLate = form; $0.reasoningIn = .field("reasoning_content")
                }.text == made.text)
        }
    }

    @Test("the same holds from Chat to Anthropic")
    func chatPrefix() throws {
        var log = [userHi]
        var before = ""
        for turn in 0..<20 {
            let made = try translatedToAnthropic(
                log.joined(separator: ","), #""tools":[{"type":"function","function":{"name":"f"}}]"#)
            let now = try #require(messages(made.text))
            #expect(now.hasPrefix(before), "turn \(turn)")
            before = now
            log.append(
                #"{"role":"assistant","content":null,"tool_calls":[{"id":"call.\#(turn)","type":"function","function":{"name":"f","arguments":"{\"n\":\#(turn)}"}}]}"#
            )
            log.append(#"{"role":"tool","tool_call_id":"call.\#(turn)","content":"out \#(turn)"}"#)
        }
    }

    @Test("F3: members and blocks nobody knows are never an error, wherever they stand", arguments: UInt64(1)...20)
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
                for (key, value) in members {
                    out.append(key, ["input", "input_schema", "arguments"].contains(key) ? value : try disturb(value))
                }
                return .object(out)
            case .array(let elements):
                var out = try elements.map(disturb)
                let holdsBlocks = elements.contains {
                    $0["type"]?.string != nil && $0["function"] == nil && $0["id"] == nil
                }
                if holdsBlocks, random.next() % 2 == 0 {
                    out.append(try JSON(parsing: #"{"type":"zz_block",\#(noise())}"#))
                }
                return .array(out)
            default: return json
            }
        }
        let body = try disturb(JSON(parsing: agentBody(turn: 6)))
        let made = try translatedToChat(body: body.text)
        #expect(!made.text.contains("zz_block"), "seed \(seed)")
        #expect(made.roles == (try translatedToChat(body: agentBody(turn: 6))).roles, "seed \(seed)")
    }

    @Test("any text of well-formed JSON is translated or refused, never worse", arguments: UInt64(1)...20)
    func garbage(_ seed: UInt64) throws {
        var random = Seeded(seed)
        let words = [
            "null", "true", "7", "-1", #""text""#, #""user""#, "{}", "[]", #"[{"type":"text","text":"x"}]"#,
            #"{"type":"tool","name":"f"}"#, #"[{"role":"user","content":"x"}]"#,
        ]
        let names = [
            "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "stop",
            "stop_sequences", "max_tokens", "stream", "metadata", "temperature", "response_format", "reasoning",
            "functions", "n",
        ]
        for _ in 0..<200 {
            let members = names.filter { _ in random.next() % 3 == 0 }.map {
                #""\#($0)":\#(words[Int(random.next() % UInt64(words.count))])"#
            }
            let body = "{\(members.joined(separator: ","))}"
            for translate in [{ try translatedToChat(body: body) }, { try translatedToAnthropic(body: body) }] {
                do {
                    _ = try translate()
                } catch let error as GatewayError {
                    #expect(error.code == .invalidRequest, "seed \(seed): \(body)")
                }
            }
        }
    }

    @Test(
        "what is answered here counts its prompt",
        arguments: [
            #""max_tokens":0"#, #""max_tokens":9,"tools":[{"type":"web_search_20250305","name":"web_search"}]"#,
        ])
    func countedPrompt(members: String) throws {
        let message = "{\"role\":\"user\",\"content\":\"\(String(repeating: "word ", count: 100))\"}"
        let made = try translatedToChat(body: "{\"model\":\"m\",\"messages\":[\(message)],\(members)}")
        #expect(made.request.answer != nil && made.request.context.inputEstimate > 100)
    }

    @Test("of more names than there is room for, a last one says so", arguments: [32, 33, 40])
    func manyDropped(count: Int) throws {
        let parts = (0..<count).map { "{\"type\":\"zz_\($0)\"}" } + ["{\"type\":\"text\",\"text\":\"hi\"}"]
        let dropped = try translatedToAnthropic("{\"role\":\"user\",\"content\":[\(parts.joined(separator: ","))]}")
            .request.dropped
        #expect(dropped.prefix(32) == (0..<32).map { "content.zz_\($0)" }[...])
        #expect(dropped.dropFirst(32) == (count > 32 ? ["..."] : []))
    }

    @Test("names of what was dropped are fit for a header")
    func headerNames() throws {
        let made = try translatedToChat(user(#"{"type":"a\r\nb: c,é"}"#, text("x")))
        #expect(made.request.dropped == ["content.a__b__c___"])
    }

    @Test("B21: the estimate counts tools, system text and images, and is high rather than low")
    func estimate() throws {
        let small = TokenEstimate.of(try anthropic(#"{"messages":[\#(userHi)]}"#))
        #expect(small > 0 && small < 20)
        let schema =
            #"{"type":"object","properties":{"p":{"type":"string","description":"\#(String(repeating: "word ", count: 2000))"}}}"#
        let tools = TokenEstimate.of(
            try anthropic(#"{"messages":[\#(userHi)],"tools":[{"name":"f","input_schema":\#(schema)}]}"#))
        #expect(tools - small > 10_000 / 4)
        let system = TokenEstimate.of(
            try anthropic(#"{"messages":[\#(userHi)],"system":"\#(String(repeating: "word ", count: 200))"}"#))
        #expect(system - small > 200)
        let image = TokenEstimate.of(try anthropic(#"{"messages":[\#(user(pixelBlock))]}"#))
        #expect(image >= 1600)
        // Escapes count as what they stand for.
        let escaped = TokenEstimate.of(
            try anthropic(#"{"messages":[{"role":"user","content":"\#(String(repeating: #"\u00e9"#, count: 320))"}]}"#))
        #expect(escaped < 400)
    }

    @Test("what the gateway answers itself, as events")
    func localAnswers() {
        let answer = LocalAnswer.unavailable(tool: "web_search", type: "web_search_20250305")
        let lines = answer.events(id: "msg_1", callID: "srvtoolu_1", model: "m", input: 9).map(describe)
        #expect(lines.first == "started msg_1 m")
        #expect(
            lines.contains {
                $0.contains(
                    #""type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":{"type":"web_search_tool_result_error","error_code":"unavailable"}"#
                )
            })
        #expect(Array(lines.suffix(2)) == ["finish 0 stop", "ended"])
        #expect(
            LocalAnswer.nothing.events(id: "i", callID: "c", model: "m", input: 9).map(describe) == [
                "started i m", "usage 9 - - 0 -", "finish 0 stop", "ended",
            ])
    }
}
