import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Replies for clients of LM Studio's own API, against streams written after its documentation.
@Suite("Replies for clients of LM Studio's own API")
struct LMStudioClientReplyTests {
    static func target(stored: Bool = false, load: Duration? = nil) -> ReplyTarget {
        var target = replyTarget(.lmstudio, model: "alias")
        target.instance = "acme/writer-8b"
        target.clock = { 9 }
        target.loadTime = load
        if stored { target.label = ResponseLabel(id: "resp_0f", previousID: "resp_0e") }
        return target
    }

    /// The events a client gets, one a line, as `name data`.
    static func lines(_ text: String) -> [String] {
        text.split(separator: "\n\n").map { frame in
            let parts = frame.split(separator: "\n")
            let name = parts.first?.dropFirst("event: ".count) ?? ""
            return "\(name) \(parts.last?.dropFirst("data: ".count) ?? "")"
        }
    }

    static func event(_ name: String, _ more: String = "") -> String {
        json("\(name) {'type':'\(name)'\(more.isEmpty ? "" : ",\(more)")}")
    }

    static let instance = "'model_instance_id':'acme/writer-8b'"

    static func stats(_ input: Int, _ output: Int, _ reasoning: Int = 0, load: String = "") -> String {
        "'stats':{'input_tokens':\(input),'total_output_tokens':\(output),'reasoning_output_tokens':\(reasoning),"
            + "'tokens_per_second':0.0,'time_to_first_token_seconds':0.0\(load)}"
    }

    static let stream =
        chunk("{'reasoning_content':'h'}") + chunk("{'reasoning_content':'m'}") + chunk("{'content':'Hi '}")
        + chunk("{'content':'you.'}") + chunk("{}", finish: "'stop'")
        + json(
            "data: {'id':'c','choices':[],'usage':{'prompt_tokens':20,'completion_tokens':9,'completion_tokens_details':{'reasoning_tokens':4}}}\n\n"
        )
        + done

    static let output = "{'type':'reasoning','content':'hm'},{'type':'message','content':'Hi you.'}"

    @Test("a reply is told in the documented order, cut however it is", arguments: [0, 1, 7])
    func order(cut: Int) {
        let relayed = run(Dialects.pipe(from: .chat, to: Self.target()), reads(Self.stream, of: cut))
        #expect(relayed.finding == .complete)
        #expect(
            Self.lines(relayed.text) == [
                Self.event("chat.start", Self.instance), Self.event("prompt_processing.start"),
                Self.event("prompt_processing.end"), Self.event("reasoning.start"),
                Self.event("reasoning.delta", "'content':'h'"), Self.event("reasoning.delta", "'content':'m'"),
                Self.event("reasoning.end"), Self.event("message.start"),
                Self.event("message.delta", "'content':'Hi '"), Self.event("message.delta", "'content':'you.'"),
                Self.event("message.end"),
                Self.event("chat.end", "'result':{\(Self.instance),'output':[\(Self.output)],\(Self.stats(20, 9, 4))}"),
            ])
        #expect(StrictNativeReader(relayed.text).faults == [])
    }

    @Test("what is stored says by which id it can be continued, and is kept as a Response")
    func stored() throws {
        var pipe = Dialects.pipe(from: .chat, to: Self.target(stored: true))
        var out = ByteBuffer()
        _ = pipe.pass(ByteBuffer(string: Self.stream), into: &out)
        #expect(StrictNativeReader(out.string).result["response_id"] == "resp_0f")
        let kept = try JSON(parsing: #require(pipe.finalObject))
        #expect(kept["id"] == "resp_0f" && kept["object"] == "response" && kept["status"] == "completed")
        #expect(kept["output"]?[0]?["content"]?[0]?["text"] == "hm")
        #expect(kept["output"]?[1]?["content"]?[0]?["text"] == "Hi you.")
        // It could not be stored after all: nothing to continue from is promised.
        pipe.takeBackEnd(from: &out)
        pipe.fail(GatewayError(code: .storeUnavailable, message: "the disk is full"), into: &out)
        let read = StrictNativeReader(out.string)
        #expect(read.faults == [] && read.types.suffix(2) == ["error", "chat.end"])
        #expect(read.result["response_id"] == nil && read.result["output"]?.array?.count == 2)
    }

    @Test("a whole reply is the result of its stream")
    func whole() throws {
        let body = ByteBuffer(
            json:
                "{'id':'c','choices':[{'index':0,'message':{'role':'assistant','content':'Hi you.','reasoning_content':'hm'},'finish_reason':'stop'}],'usage':{'prompt_tokens':20,'completion_tokens':9,'completion_tokens_details':{'reasoning_tokens':4}}}"
        )
        let whole = try Dialects.translateWhole(
            body, from: .chat, to: Self.target(stored: true, load: .milliseconds(3200)))
        #expect(
            whole.pieces.map(\.string).joined()
                == json(
                    "{\(Self.instance),'output':[\(Self.output)],"
                        + "\(Self.stats(20, 9, 4, load: ",'model_load_time_seconds':3.2")),'response_id':'resp_0f'}"))
        let kept = try JSON(parsing: #require(whole.kept))
        #expect(kept["id"] == "resp_0f" && kept["output"]?.array?.count == 2)
        #expect(try Dialects.translateWhole(body, from: .chat, to: Self.target()).kept == nil)
    }

    @Test("load and reading of the prompt are told as they go on")
    func progress() {
        var pipe = Dialects.pipe(from: .chat, to: Self.target())
        var out = ByteBuffer()
        pipe.tell(Progress(.load, fraction: nil, elapsed: .seconds(1)), into: &out)
        pipe.tell(Progress(.load, fraction: 0.5, elapsed: .seconds(2)), into: &out)
        pipe.tell(Progress(.load, fraction: 1, elapsed: .milliseconds(2500)), into: &out)
        let prompt = json(
            "data: {'id':'c','choices':[],'prompt_progress':{'total':100,'cache':0,'processed':25,'time_ms':9}}\n\n")
        _ = pipe.pass(ByteBuffer(string: prompt + Self.stream), into: &out)
        #expect(
            Self.lines(out.string).prefix(9) == [
                Self.event("chat.start", Self.instance), Self.event("model_load.start", Self.instance),
                Self.event("model_load.progress", "\(Self.instance),'progress':0.5"),
                Self.event("model_load.progress", "\(Self.instance),'progress':1.0"),
                Self.event("model_load.end", "\(Self.instance),'load_time_seconds':2.5"),
                Self.event("prompt_processing.start"), Self.event("prompt_processing.progress", "'progress':0.25"),
                Self.event("prompt_processing.end"), Self.event("reasoning.start"),
            ])
        let read = StrictNativeReader(out.string)
        #expect(read.faults == [] && read.result["stats"]?["model_load_time_seconds"] == 2.5)
    }

    @Test("an error within a stream is followed by its end, with what there is of the reply")
    func failure() {
        var pipe = Dialects.pipe(from: .chat, to: Self.target(stored: true))
        var out = ByteBuffer()
        _ = pipe.pass(ByteBuffer(string: chunk("{'content':'Hi '}")), into: &out)
        pipe.fail(GatewayError(code: .upstreamFailed, message: "it broke"), into: &out)
        #expect(
            Self.lines(out.string).suffix(3) == [
                Self.event("message.end"),
                Self.event(
                    "error", "'error':{'type':'internal_error','message':'it broke','code':'upstream_error'}"),
                Self.event(
                    "chat.end",
                    "'result':{\(Self.instance),'output':[{'type':'message','content':'Hi '}],\(Self.stats(0, 1))}"),
            ])
        #expect(StrictNativeReader(out.string).faults == [] && pipe.finalObject == nil)
        var none = ByteBuffer()
        ErrorTable.writeInStream(
            GatewayError(code: .internalError, message: "x"), for: .lmstudio, requestID: "", into: &none)
        #expect(Self.lines(none.string).map { $0.prefix { $0 != " " } } == ["error", "chat.end"])
    }

    @Test("keep-alives begin the stream, and are comments afterwards")
    func keepAlive() {
        var pipe = Dialects.pipe(from: .chat, to: Self.target())
        var out = ByteBuffer()
        pipe.keepAlive(into: &out)
        #expect(Self.lines(out.string) == [Self.event("chat.start", Self.instance)])
        pipe.keepAlive(into: &out)
        #expect(out.string.hasSuffix(": keepalive\n\n"))
    }

    @Test("calls of the client's tools are items without an output, told one after another", arguments: [0, 1])
    func calls(cut: Int) {
        let calls =
            ReplyAnthropicTests.call(0, "c1", "f", "") + ReplyAnthropicTests.call(1, "c2", "g", "{\"b\"")
            + ReplyAnthropicTests.more(0, "{\"a\":1}") + ReplyAnthropicTests.more(1, ":2}")
        let stream = chunk("{'content':'Look: '}") + calls + ReplyAnthropicTests.finishCalls + done
        let text = run(Dialects.pipe(from: .chat, to: Self.target()), reads(stream, of: cut)).text
        func call(_ name: String, _ id: String, _ arguments: String) -> String {
            "'tool':'\(name)'\(arguments),'provider_info':{'type':'caller'},'call_id':'\(id)'"
        }
        #expect(
            Self.lines(text).dropFirst(6).prefix(4) == [
                Self.event("tool_call.start", call("f", "c1", "")),
                Self.event("tool_call.arguments", call("f", "c1", ",'arguments':{'a':1}")),
                Self.event("tool_call.start", call("g", "c2", "")),
                Self.event("tool_call.arguments", call("g", "c2", ",'arguments':{'b':2}")),
            ])
        let read = StrictNativeReader(text)
        #expect(read.faults == [])
        #expect(read.result["output"]?[1]?["type"] == "tool_call" && read.result["output"]?[1]?["output"] == nil)
    }

    @Test("a call nobody can make is told as one")
    func invalidCall() {
        let stream = ReplyAnthropicTests.call(0, "c1", "f", "{\"a\": tru}") + ReplyAnthropicTests.finishCalls + done
        let text = run(Dialects.pipe(from: .chat, to: Self.target()), reads(stream, of: 0)).text
        let read = StrictNativeReader(text)
        #expect(read.faults == [] && read.types.contains("tool_call.failure"))
        #expect(read.result["output"]?[0]?["type"] == "invalid_tool_call")
        #expect(read.result["output"]?[0]?["metadata"]?["type"] == "invalid_arguments")
        #expect(read.result["output"]?[0]?["metadata"]?["tool_name"] == "f")
    }

    @Test("a call that a token limit cut off is told with the end that it gets, in its event and in the result")
    func cutCall() {
        let stream = ReplyAnthropicTests.call(0, "c1", "f", "{\"a") + chunk("{}", finish: "'length'") + done
        let read = StrictNativeReader(run(Dialects.pipe(from: .chat, to: Self.target()), reads(stream, of: 0)).text)
        #expect(read.faults == [])
        #expect(read.result["output"]?[0]?["type"] == "tool_call")
        #expect(read.result["output"]?[0]?["arguments"] == ["a": .null])
    }

    /// Two rounds of a reply: what a tool here gave, one that there is not, and the answer.
    static let rounds: [ReplyEvent] = {
        func at(_ index: Int) -> BlockID { BlockID(choice: 0, index: index) }
        func call(_ name: String, _ provider: ToolProvider?) -> BlockKind {
            .toolCall(ToolCallHead(id: "c", name: name, kind: .hosted(provider)))
        }
        return [
            .started(id: "", model: "u"), .opened(at(0), call("lookup", .ephemeral(label: "wiki"))),
            .delta(at(0), EscapedText(escaping: "{\"q\":7}")), .closed(at(0)),
            .opened(at(1), call("serch", nil)), .closed(at(1)),
            .ran(at(0), ToolRun(.output("[{\"type\":\"text\",\"text\":\"r\"}]"), by: .ephemeral(label: "wiki"))),
            .ran(at(1), ToolRun(.invalidName("Cannot find tool with name serch."), by: nil)),
            .started(id: "", model: "u"), .opened(at(2), .text),
            .delta(at(2), EscapedText(escaping: "Recycled paper.")),
            .closed(at(2)), .usage(Usage(input: 5, output: 6)), .finished(choice: 0, .stop, matchedStop: nil), .ended,
        ]
    }()

    static let success =
        "'tool':'lookup','arguments':{'q':7},'output':'[{\\'type\\':\\'text\\',\\'text\\':\\'r\\'}]','provider_info':{'type':'ephemeral_mcp','server_label':'wiki'}"

    @Test("calls that are run here are told with what they gave, and the prompt is read anew behind them")
    func hosted() {
        let text = Dialects.writeLocal(Self.rounds, to: Self.target(), streams: true).string
        let read = StrictNativeReader(text)
        #expect(read.faults == [], "\(text)")
        #expect(
            read.types == [
                "chat.start", "prompt_processing.start", "prompt_processing.end", "tool_call.start",
                "tool_call.arguments", "tool_call.success", "tool_call.start", "tool_call.failure",
                "prompt_processing.start", "prompt_processing.end", "message.start", "message.delta", "message.end",
                "chat.end",
            ])
        #expect(Self.lines(text).contains(Self.event("tool_call.success", Self.success)))
        let whole = Dialects.writeLocal(Self.rounds, to: Self.target(), streams: false).string
        #expect(
            whole
                == json(
                    "{\(Self.instance),'output':[{'type':'tool_call',\(Self.success)},"
                        + "{'type':'invalid_tool_call','reason':'Cannot find tool with name serch.','metadata':{'type':'invalid_name','tool_name':'serch'}},"
                        + "{'type':'message','content':'Recycled paper.'}],\(Self.stats(5, 6))}"))
    }

    @Test("an upstream of this API is told again with an id and an end of ours")
    func relayed() throws {
        let upstream = [
            "{'type':'chat.start','model_instance_id':'acme/writer-8b:2'}",
            "{'type':'model_load.start','model_instance_id':'acme/writer-8b:2'}",
            "{'type':'model_load.progress','model_instance_id':'acme/writer-8b:2','progress':0.5}",
            "{'type':'model_load.end','model_instance_id':'acme/writer-8b:2','load_time_seconds':1.5}",
            "{'type':'prompt_processing.start'}", "{'type':'prompt_processing.progress','progress':0.5}",
            "{'type':'prompt_processing.end'}", "{'type':'message.start'}", "{'type':'message.delta','content':'Hi'}",
            "{'type':'message.end'}",
            "{'type':'chat.end','result':{'model_instance_id':'acme/writer-8b:2','output':[{'type':'message','content':'Hi'}],'stats':{'input_tokens':3,'total_output_tokens':2,'reasoning_output_tokens':0},'response_id':'resp_theirs'}}",
        ].map { event in json("event: \(event.split(separator: "'")[2])\ndata: \(event)\n\n") }.joined()
        var target = Self.target(stored: true)
        target.instance = nil
        let relayed = run(Dialects.pipe(from: .lmstudio, to: target), reads(upstream, of: 7))
        let read = StrictNativeReader(relayed.text)
        #expect(relayed.finding == .complete && read.faults == [])
        #expect(
            read.types == [
                "chat.start", "model_load.start", "model_load.progress", "model_load.end", "prompt_processing.start",
                "prompt_processing.progress", "prompt_processing.end", "message.start", "message.delta", "message.end",
                "chat.end",
            ])
        #expect(read.result["model_instance_id"] == "acme/writer-8b:2" && read.result["response_id"] == "resp_0f")
        #expect(read.result["stats"]?["model_load_time_seconds"] == 1.5)
    }
}
