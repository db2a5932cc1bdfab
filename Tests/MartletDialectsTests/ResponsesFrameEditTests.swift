import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Relays of Responses streams")
struct ResponsesFrameEditTests {
    /// A stream as OpenAI sends it, every member in its place.
    static func full(model: String = "up", named: Bool = true, terminal: String = "completed") -> String {
        var number = -1
        func event(_ data: String) -> String {
            number += 1
            let head = data.replacing("{'type':", with: "{'sequence_number':\(number),'type':", maxReplacements: 1)
            return responsesEvent(head, named: named)
        }
        let rest = UpstreamResponsesGrammar.members.dropFirst(9).map { "'\($0)':\(values[$0] ?? "null")" }
            .joined(separator: ",")
        func response(_ status: String, _ output: String, _ usage: String) -> String {
            "{'id':'resp_1','object':'response','created_at':5,'completed_at':null,'status':'\(status)','error':null,"
                + "'incomplete_details':null,'model':'\(model)','output':[\(output)],"
                + rest.replacing("'usage':null", with: "'usage':\(usage)") + ",'zz_new':{'a':[1.0]}}"
        }
        let part = "{'type':'output_text','text':'','annotations':[],'logprobs':[]}"
        let place = "'item_id':'msg_1','output_index':0,'content_index':0"
        let usage =
            "{'input_tokens':9,'input_tokens_details':{'cached_tokens':4},'output_tokens':3,"
            + "'output_tokens_details':{'reasoning_tokens':0},'total_tokens':12}"
        let item = RStream.message("Hi you").with("'annotations':[]", "'annotations':[],'logprobs':[]")
        return [
            event("{'type':'response.created','response':\(response("in_progress", "", "null"))}"),
            event("{'type':'response.in_progress','response':\(response("in_progress", "", "null"))}"),
            event("{'type':'response.output_item.added','output_index':0,'item':\(RStream.message)}"),
            event("{'type':'response.content_part.added',\(place),'part':\(part)}"),
            event("{'type':'response.output_text.delta',\(place),'delta':'Hi','logprobs':[],'obfuscation':'xy'}"),
            event("{'type':'response.output_text.delta',\(place),'delta':' ','logprobs':[],'obfuscation':'q'}"),
            event("{'type':'response.output_text.delta',\(place),'delta':'you','logprobs':[],'obfuscation':''}"),
            event("{'type':'response.output_text.done',\(place),'text':'Hi you','logprobs':[]}"),
            event("{'type':'response.content_part.done',\(place),'part':\(part.with("'text':''", "'text':'Hi you'"))}"),
            event("{'type':'response.output_item.done','output_index':0,'item':\(item)}"),
            event("{'type':'response.\(terminal)','response':\(response(terminal, item, usage))}"),
        ].joined() + done
    }

    static let values: [String: String] = [
        "tools": "[]", "tool_choice": "'auto'", "parallel_tool_calls": "true", "truncation": "'disabled'",
        "text": "{'format':{'type':'text'}}", "reasoning": "{'effort':null,'summary':null}", "metadata": "{}",
        "service_tier": "'default'", "store": "false", "background": "false", "temperature": "1.0", "top_p": "1",
        "presence_penalty": "0", "frequency_penalty": "0", "top_logprobs": "0",
    ]

    @Test("F4: an exact relay changes nothing but the model", arguments: [0, 1, 3, 7, 64, 1000])
    func exact(cut: Int) {
        for stream in [Self.full(), Self.full(named: false), Self.full(model: "m")] {
            let relayed = relayResponses(stream, .exact, cut: cut)
            #expect(relayed.text == stream.replacing(#""model":"up""#, with: #""model":"m""#))
            #expect(relayed.finding == .complete)
            #expect(relayed.tally.usage == Usage(input: 9, cacheRead: 4, output: 3, reasoning: 0))
            #expect(relayed.tally.model == (stream.contains("\"up\"") ? "up" : "m"))
        }
        #expect(UpstreamResponsesGrammar(Self.full()).faults == [])
    }

    @Test("an exact relay without [DONE], and with it missing after what else comes")
    func exactWithoutDone() {
        let stream = String(Self.full(model: "m").dropLast(done.count))
        #expect(relayResponses(stream, .exact).text == stream)
        #expect(relayResponses(stream, .exact).finding == .complete)
        #expect(relayResponses(stream + ": bye\n\n" + done, .exact).text == stream + ": bye\n\n" + done)
    }

    @Test("a number no stream gets to is none", arguments: [ChatFrameEdit.Mode.exact, .repair])
    func hugeNumbers(mode: ChatFrameEdit.Mode) {
        for number in ["9223372036854775807", "-9223372036854775808", "1e300", "\"1\""] {
            let stream = Self.full().replacing("\"sequence_number\":0,", with: "\"sequence_number\":\(number),")
            #expect(stream.contains(number))
            #expect(relayResponses(stream, mode).finding == .complete)
            let torn = relayResponses(String(stream.prefix(stream.utf8.count / 2)), mode)
            #expect(torn.finding == .failed(.closedEarly) && torn.text.contains("response.failed"))
        }
    }

    @Test("repair leaves a stream that is right as it is, fast and slow", arguments: [0, 1, 3, 7, 64])
    func nothingToRepair(cut: Int) {
        let stream = Self.full(model: "m")
        #expect(relayResponses(stream, .repair, cut: cut).text == stream)
        #expect(relayResponses(String(stream.dropLast(done.count)), .repair, cut: cut).text == stream)
        // Numbers at the end of their events, as other servers write them.
        let behind = stream.replacing(/"sequence_number":(\d+),("type".*)\}\n/) {
            "\($0.output.2),\"sequence_number\":\($0.output.1)}\n"
        }
        #expect(behind.contains(#""obfuscation":"q","sequence_number":5}"#))
        #expect(relayResponses(behind, .repair, cut: cut).text == behind)
    }

    static let broken: [(String, @Sendable (String) -> String)] = [
        ("event lines", { $0.replacing(/event: [^\n]*\n/, with: "") }),
        ("[DONE]", { String($0.dropLast(done.count)) }),
        ("numbers", { $0.replacing(/"sequence_number":\d+,/, with: "") }),
        (
            "numbers from 1",
            { $0.replacing(/"sequence_number":(\d+)/) { "\"sequence_number\":\((Int($0.output.1) ?? 0) + 1)" } }
        ),
        ("all numbers 0", { $0.replacing(/"sequence_number":\d+/, with: "\"sequence_number\":0") }),
        ("lists of log probabilities", { $0.replacing(#","logprobs":[]"#, with: "") }),
        ("places", { $0.replacing(#","output_index":0,"content_index":0"#, with: "") }),
        ("numbers of items", { $0.replacing(#""output_index":0,"#, with: "") }),
        ("ids of items in events", { $0.replacing(#""item_id":"msg_1","#, with: "") }),
        ("ids of their own in events", { $0.replacing(#""item_id":"msg_1""#, with: #""item_id":"x""#) }),
        ("settings", { $0.replacing(#""temperature":1.0,"top_p":1,"#, with: #""temperature":null,"#) }),
        ("most members", { $0.replacing(/"usage":null,.*"zz_new"/, with: "\"zz_new\"") }),
        (
            "details of usage",
            {
                $0.replacing(/,"(in|out)put_tokens_details":\{[^}]*\}/, with: "").replacing(
                    #","total_tokens":12"#, with: "")
            }
        ),
        ("types", { $0.replacing(/"type":"response\.[a-z_.]*",/, with: "") }),
        ("the blank line at the end", { String($0.dropLast(done.count + 1)) }),
    ]

    @Test("repair puts back what is missing", arguments: broken.indices, [0, 1, 7])
    func repaired(_ place: Int, cut: Int) {
        let (name, breaking) = Self.broken[place]
        let stream = breaking(Self.full())
        #expect(stream != Self.full())
        let relayed = relayResponses(stream, .repair, cut: cut)
        let grammar = UpstreamResponsesGrammar(relayed.text)
        #expect(grammar.faults == [], "\(name)")
        #expect(grammar.types == UpstreamResponsesGrammar(Self.full()).types, "\(name)")
        #expect(grammar.final["model"] == "m" && grammar.final["zz_new"] == ["a": [1.0]], "\(name)")
        #expect(grammar.final["output"]?[0]?["content"]?[0]?["text"] == "Hi you", "\(name)")
        #expect(relayed.finding == .complete)
    }

    @Test("D1, D25: a call whose id is only its call's gets one id everywhere")
    func callIDs() {
        let item = "{'type':'function_call','status':'in_progress','call_id':'fc_x','name':'f','arguments':''}"
        let stream =
            RStream.created + responsesEvent("{'type':'response.output_item.added','item':\(item)}")
            + responsesEvent("{'type':'response.function_call_arguments.delta','item_id':'fc_x','delta':'{}'}")
            + responsesEvent(
                "{'type':'response.function_call_arguments.done','item_id':'fc_x','arguments':'{}'}")
            + responsesEvent("{'type':'response.output_item.done','item':\(item.with("''", "'{}'"))}")
            + RStream.end("completed").with("'output':[]", "'output':[\(item.with("''", "'{}'"))]")
        let grammar = UpstreamResponsesGrammar(relayResponses(stream).text)
        #expect(grammar.faults == [])
        #expect(grammar.final["output"]?[0]?["call_id"] == "fc_x")
        #expect(grammar.final["output"]?[0]?["id"]?.string?.hasPrefix("fc_") == true)
    }

    @Test("D2: [DONE] without a terminal event gets one, with the items that were done")
    func owed() {
        let stream =
            RStream.created + RStream.added(0, RStream.message) + RStream.text("Hi")
            + RStream.done(0, RStream.message("Hi")) + done
        let grammar = UpstreamResponsesGrammar(relayResponses(stream).text)
        #expect(grammar.faults == [])
        #expect(grammar.types.last == "response.completed")
        #expect(grammar.final["status"] == "completed")
        #expect(grammar.final["output"]?[0]?["content"]?[0]?["text"] == "Hi")
    }

    static let failures: [String] = [
        "", responsesEvent("{'type':'error','message':'boom'}"),
        RStream.end("failed", ",'error':{'code':'server_error','message':'boom'}"),
        responsesEvent("{'type':'error','error':{'message':'boom'}}")
            + RStream.end("failed", ",'error':{'code':'server_error','message':'boom'}"),
        "data: not json\n\n",
    ]

    @Test(
        "D2, D3, D21: a repaired relay fails in both forms, numbered on, with the Response so far", arguments: failures)
    func failsRepaired(end: String) {
        let relayed = relayResponses(RStream.created + RStream.text("Hi") + end)
        let grammar = UpstreamResponsesGrammar(relayed.text)
        #expect(Array(grammar.types.suffix(2)) == ["error", "response.failed"])
        #expect(grammar.faults.filter { !$0.contains("item") } == [])
        #expect(grammar.final["id"] == "resp_1" && grammar.final["model"] == "m")
        #expect(grammar.final["error"]?["code"] == "server_error")
        guard case .failed(let error) = relayed.finding else { return #expect(Bool(false)) }
        #expect(grammar.final["error"]?["message"]?.string == error.message)
        #expect(
            relayed.text.contains(#""code":"server_error","message":"\#(error.message)","param":null,"error":{"type":"#)
        )
    }

    @Test("a repaired relay that fails has the items that were done")
    func failsWithItems() {
        let error = responsesEvent("{'type':'error','message':'boom'}")
        let stream = Self.full(model: "m").components(before: "event: response.completed") + error
        let final = UpstreamResponsesGrammar(relayResponses(stream).text).final
        #expect(final["status"] == "failed" && final["output"]?.array?.isEmpty == false)
    }

    @Test("an exact relay passes the upstream's failure on as it is, and says its own where there is none")
    func failsExact() {
        let start = Self.full(model: "m").components(before: "event: response.output_text.done")
        let failed = RStream.end("failed", ",'error':{'code':'server_error','message':'boom'}")
        let put = failed.replacing("\"up\"", with: "\"m\"")
        #expect(relayResponses(start + failed, .exact).text == start + put)
        let error = responsesEvent("{'type':'error','sequence_number':7,'message':'boom'}")
        #expect(relayResponses(start + error + failed, .exact).text == start + error + put)
        let torn = relayResponses(start, .exact)
        #expect(UpstreamResponsesGrammar(torn.text).faults == [])
        #expect(UpstreamResponsesGrammar(torn.text).final["error"]?["message"] == "upstream closed the stream early")
        let half = relayResponses(start + error, .exact)
        #expect(half.text.components(separatedBy: "event: error").count == 2)
        #expect(UpstreamResponsesGrammar(half.text).faults == [])
        #expect(relayResponses(start + "event: x\ndata: {\"a", .exact).text == torn.text)
    }

    @Test("what cannot be read goes on in an exact relay")
    func unreadable() {
        let stream =
            Self.full(model: "m").replacing(": bye", with: "").components(before: done) + "data: oops\n\n" + done
        #expect(relayResponses(stream, .exact).text == stream)
    }

    @Test("keep-alives are comments")
    func keepAlive() {
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            var edit = ResponsesFrameEdit(mode: mode, model: "m", ids: IDSource(seed: 1))
            var out = ByteBuffer()
            edit.keepAlive(into: &out)
            #expect(out.string == ": keepalive\n\n")
        }
    }

    @Test("a whole reply where a relayed stream was asked for is one", arguments: [ChatFrameEdit.Mode.exact, .repair])
    func wholeAsStream(mode: ChatFrameEdit.Mode) throws {
        let grammar = UpstreamResponsesGrammar(Self.full(model: "m"))
        let output =
            "\(ResponsesRoundTripTests.reasoning("hm", "gA")),\(grammar.final["output"]?[0]?.text ?? ""),"
            + "\(json(RStream.call(2, "{}")).dropLast()),\"status\":\"completed\"}"
        var whole = grammar.final
        whole["output"] = try JSON(parsing: "[\(output)]")
        let relayed = relayResponses(whole.text, mode)
        let said = UpstreamResponsesGrammar(relayed.text)
        #expect(said.faults == [])
        #expect(said.types.filter { $0 == "response.output_item.done" }.count == 3)
        #expect(said.types.contains("response.function_call_arguments.delta"))
        #expect(said.types.contains("response.reasoning_summary_part.added"))
        #expect(said.final["output"]?.array?.count == 3)
        #expect(fromResponses(whole.text, to: .anthropic) == fromResponses(relayed.text, to: .anthropic))
        #expect(relayResponses("{\"error\":{\"message\":\"no\"}}", mode).finding != .complete)
    }

    @Test("whole replies: the model put back, or all that is missing, or the end of a stream")
    func whole() throws {
        let grammar = UpstreamResponsesGrammar(Self.full())
        let body = ByteBuffer(string: grammar.final.text)
        func edited(_ body: ByteBuffer, _ mode: ChatFrameEdit.Mode) throws -> String {
            var target = replyTarget(.responses)
            target.mode = mode
            return try Dialects.translateWhole(body, from: .responses, to: target).pieces.map(\.string).joined()
        }
        let spliced = body.string.replacing(#""model":"up""#, with: #""model":"m""#)
        #expect(try edited(body, .exact) == spliced)
        #expect(try edited(body, .repair) == spliced)
        let bare = ByteBuffer(
            json: "{'id':'r','model':'up','output':[\(RStream.message("Hi"))],'usage':{'input_tokens':1}}")
        let repaired = try JSON(parsing: try edited(bare, .repair))
        for name in UpstreamResponsesGrammar.members { #expect(repaired[name] != nil, "\(name)") }
        #expect(repaired["status"] == "completed" && repaired["usage"]?["total_tokens"] == 1)
        #expect(try edited(bare, .exact) == bare.string.replacing("up", with: "m"))
        #expect(try JSON(parsing: edited(ByteBuffer(string: Self.full()), .exact)) == JSON(parsing: spliced))
        #expect(throws: GatewayError.self) { try edited(ByteBuffer(json: "{'error':{'message':'no'}}"), .exact) }
    }
}

extension String {
    /// What stands before the first of these.
    fileprivate func components(before mark: String) -> String {
        firstRange(of: mark).map { String(self[..<$0.lowerBound]) } ?? self
    }

    fileprivate func components(separatedBy mark: String) -> [Substring] { split(separator: mark) }
}
