import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Conversations that are compacted")
struct ResponsesCompactionTests {
    static let ada = #"{"role":"user","content":"I am Ada."}"#
    static let hello = #"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello."}]}"#
    static let owls = #"{"type":"message","id":"msg_1","role":"user","content":[{"type":"input_text","text":"Owls?"}]}"#
    static let trigger = #"{"type":"compaction_trigger"}"#
    static let asks = "Stop here and write a summary"
    static let heading = "Summary of this conversation so far, in place of what was said:\n\n"

    static func summary(_ text: String, keeping kept: Int? = nil) -> String {
        let sealed = ReasoningSeal.plain.sealed(Reasoning(text: EscapedText(escaping: text)), keeping: kept)
        return #"{"type":"compaction","id":"cmp_1","encrypted_content":"\#(sealed.unescaped())"}"#
    }

    /// As its route asks for it.
    static func compacted(
        _ body: String, to upstream: UpstreamDialect = .chat, window: Int? = nil, replyLimit: Int? = nil
    ) throws -> Translation {
        let target = WriteTarget(
            model: "local", capabilities: upstream == .anthropic ? .anthropic : Capabilities(), streams: false,
            contextWindow: window, replyLimit: replyLimit)
        return try Translation(
            Dialects.translateRequest(
                JSONDocument(checking: ByteBuffer(string: body)), from: .responses, to: upstream, for: target,
                compacts: true))
    }

    // MARK: - Requests

    @Test("The model is asked for a summary at the end, may call nothing, and answers in no other form")
    func request() throws {
        let tools = #""tools":[{"type":"function","name":"f"}],"tool_choice":"required","parallel_tool_calls":true"#
        let form = #""text":{"format":{"type":"json_object"}},"reasoning":{"effort":"high"},"instructions":"brief""#
        let made = try Self.compacted(items("\(Self.ada),\(Self.hello)", "\(tools),\(form)"))
        #expect(made.roles == ["system", "user", "assistant", "user"])
        #expect(made.content(0) == "brief" && made.content(1) == "I am Ada." && made.content(2) == "Hello.")
        #expect(made.content(3)?.hasPrefix(Self.asks) == true)
        #expect(made.toolNames == ["f"] && made.json["tool_choice"] == "none")
        for name in ["response_format", "reasoning_effort", "parallel_tool_calls"] { #expect(made.json[name] == nil) }
        #expect(made.request.dropped == [])
        #expect(try Self.compacted(items(Self.ada)).json["tool_choice"] == nil)
    }

    @Test("The summary's length is bounded, by what the model can give too")
    func limits() throws {
        let body = items(Self.ada)
        #expect(try Self.compacted(body).json["max_tokens"] == 8192)
        #expect(try Self.compacted(body, window: 4096).json["max_tokens"] == 1024)
        let long = try Self.compacted(#"{"input":"\#(String(repeating: "word ", count: 2400))"}"#, window: 4096)
        #expect(long.json["max_tokens"] == 512 && long.request.dropped == [], "the limit is nothing that was asked for")
        #expect(try Self.compacted(body, to: .anthropic, replyLimit: 4096).json["max_tokens"] == 4096)
        #expect(try Self.compacted(items(Self.ada, #""max_output_tokens":700"#)).json["max_tokens"] == 8192)
        let triggered = "\(Self.ada),\(Self.trigger)"
        for (asked, limit) in [(700, 700), (9000, 8192), (0, 8192)] as [(Int, JSON)] {
            let made = try responsesToChat(items(triggered, #""max_output_tokens":\#(asked)"#))
            #expect(made.json["max_tokens"] == limit)
        }
    }

    @Test(
        "Where nothing has been said there is nothing to compact",
        arguments: [
            items(""), items(#"{"role":"system","content":"x"}"#), #"{"model":"m","instructions":"x"}"#,
            items(#"{"type":"compaction","encrypted_content":"of another"}"#), #"{"model":"m"}"#,
        ])
    func nothing(body: String) {
        let error = #expect(throws: GatewayError.self) { try Self.compacted(body) }
        #expect(error?.code == .invalidRequest && error?.param == "input")
    }

    @Test("A trigger at the end of the input asks for the same; elsewhere it is left out")
    func trigger() throws {
        let made = try responsesToChat(items("\(Self.ada),\(Self.trigger)"))
        #expect(made.request.context.compaction == .item(kept: 1) && made.request.dropped == [])
        #expect(made.messages.count == 1 && made.content(0)?.hasPrefix("I am Ada.\n\n\(Self.asks)") == true)
        let other = try responsesToChat(items("\(Self.ada),\(Self.trigger),\(Self.owls)"))
        #expect(other.request.context.compaction == nil && other.request.dropped == ["input.compaction_trigger"])
        #expect(other.content(0) == "I am Ada.\n\nOwls?")
        #expect(throws: GatewayError.self) { try responsesToChat(items(Self.trigger)) }
        for input in ["[]", #""hi""#] {
            let told = #"{"model":"m","input":\#(input),"instructions":[\#(Self.ada),\#(Self.trigger)]}"#
            #expect(try responsesToChat(told).request.context.compaction == nil, "it is no item of the input")
        }
    }

    @Test("Behind a summary goes on as much of what the user said as there was room for when it was made")
    func room() throws {
        let long = #"{"role":"user","content":"\#(String(repeating: "word ", count: 600))"}"#
        let made = try Self.compacted(items("\(long),\(Self.hello),\(long),\(Self.owls)"), window: 5000)
        guard case .conversation(let kept) = made.request.context.compaction else { Issue.record("\(made)"); return }
        #expect(kept.count == 2, "a quarter of the window")
        let wish = #""context_management":[{"type":"compaction","compact_threshold":2600}]"#
        #expect(try Self.kept(items("\(long),\(long),\(Self.owls)", wish)).count == 2, "half of the threshold")
        let triggered = try Self.compacted(items("\(Self.ada),\(Self.trigger)"))
        #expect(triggered.request.context.compaction?.kept == 1)
        let said = [Self.ada, Self.hello, Self.owls, Self.summary("first", keeping: 1), Self.hello, Self.ada]
        #expect(try responsesToChat(items(said.joined(separator: ","))).content(0) == "Owls?\n\nfirst")
        let again = said + [Self.summary("second", keeping: 0)]
        #expect(try responsesToChat(items(again.joined(separator: ","))).content(0) == "second")
        let body = ByteBuffer(string: "{\"input\":[\(again.dropLast().joined(separator: ","))]}")
        let relayed = try ResponsesUpstreamRequest.repairedInput(JSONDocument(checking: body), isKeptHere: false)
        #expect(relayed?.string.contains("Owls?") == true && relayed?.string.hasPrefix("[\(Self.owls)") == true)
    }

    @Test("A summary stands for what the model said before it, and for summaries before it")
    func superseded() throws {
        let call = RequestResponsesTests.call("c") + "," + RequestResponsesTests.output("c", #""x""#)
        let system = #"{"role":"system","content":"Birds only."}"#
        let before = [system, Self.ada, Self.hello, Self.summary("first"), call, Self.owls, Self.trigger]
        let made = try responsesToChat(
            items((before + [Self.summary("second"), Self.hello, Self.ada]).joined(separator: ",")))
        #expect(made.request.dropped == [], "the trigger has been answered")
        #expect(made.roles == ["system", "user", "assistant", "user"])
        #expect(made.content(1) == "I am Ada.\n\nOwls?\n\nsecond" && made.content(2) == "Hello.")
    }

    @Test("A relay gets our summary as a message, and of what it stands for the user's words")
    func relayed() throws {
        func repaired(_ items: String..., isKeptHere: Bool = false) throws -> String? {
            let body = ByteBuffer(string: "{\"input\":[\(items.joined(separator: ","))]}")
            return try ResponsesUpstreamRequest.repairedInput(
                JSONDocument(checking: body), isKeptHere: isKeptHere)?.string
        }
        let message =
            #"{"type":"message","role":"user","content":[{"type":"input_text","text":"second"}]}"#
        let tools = #"{"type":"additional_tools","role":"developer","tools":[]}"#
        #expect(
            try repaired(
                tools, Self.ada, Self.hello, Self.summary("first"), Self.owls, Self.summary("second"), Self.hello,
                Self.trigger) == "[\(tools),\(Self.ada),\(Self.owls),\(message),\(Self.hello),\(Self.trigger)]")
        let theirs = #"{"type":"compaction","id":"cmp_1","encrypted_content":"gAAA"}"#
        #expect(try repaired(Self.ada, Self.hello, theirs) == nil)
        #expect(try repaired(Self.ada, Self.trigger, theirs, Self.hello) == nil, "the client's own words")
        #expect(
            try repaired(Self.ada, Self.trigger, theirs, Self.trigger, isKeptHere: true)
                == "[\(Self.ada),\(theirs),\(Self.trigger)]")
    }

    // MARK: - What is kept

    static func kept(_ body: String, window: Int? = nil) throws -> [JSON] {
        guard case .conversation(let items) = try compacted(body, window: window).request.context.compaction else {
            return []
        }
        return try items.map { try JSON(parsing: $0) }
    }

    @Test("The user's messages stay, each as a finished item")
    func keptMessages() throws {
        let words = #"{"type":"function_call_output","call_id":"c","output":"x"}"#
        let kept = try Self.kept(
            items(
                [Self.ada, Self.hello, RequestResponsesTests.call("c"), words, Self.owls, Self.summary("a")]
                    .joined(separator: ","))
        )
        #expect(
            kept == [
                [
                    "role": "user", "content": [["type": "input_text", "text": "I am Ada."]], "type": "message",
                    "status": "completed",
                ],
                [
                    "type": "message", "id": "msg_1", "role": "user",
                    "content": [["type": "input_text", "text": "Owls?"]], "status": "completed",
                ],
            ])
        #expect(try Self.kept(#"{"model":"m","input":"hi"}"#).first?["content"]?[0]?["text"] == "hi")
    }

    @Test("Of more than fits beside the summary, the newest stay, the last always; a picture costs as much as ever")
    func keptBound() throws {
        let long = { (mark: String) in
            #"{"role":"user","content":"\#(mark)\#(String(repeating: "word ", count: 400))"}"#
        }
        let body = items([long("a"), long("b"), Self.ada].joined(separator: ","))
        #expect(try Self.kept(body).count == 3)
        #expect(try Self.kept(body, window: 4096).map { $0["content"]?[0]?["text"]?.string?.first } == ["b", "I"])
        #expect(try Self.kept(body, window: 2048).count == 1)
        #expect(try Self.kept(items("\(Self.ada),\(long("c"))"), window: 2048).count == 1, "what is to be answered")
        let picture = String(repeating: "A", count: 400_000)
        let shown =
            #"{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,\#(picture)"}]}"#
        #expect(try Self.kept(items("\(shown),\(Self.ada)")).count == 2)
    }

    // MARK: - Replies

    static func context(_ compaction: Compaction = .item(kept: 0)) -> ReplyContext {
        var context = ReplyContext()
        context.compaction = compaction
        return context
    }

    /// The summary in an item, as a later request has it.
    static func opened(_ item: JSON?) throws -> String? {
        let text = try #require(item?["encrypted_content"]?.string)
        return ReasoningSeal.plain.opened(EscapedText(escaping: text))?.text.unescaped()
    }

    static let finishLength = chunk("{}", finish: "\"length\"")

    @Test(
        "A stream tells the summary as one item: no reasoning, no text, no call; cut off, it is one all the same",
        arguments: [finishStop, finishLength])
    func stream(finish: String) throws {
        let stream =
            ReplyAnthropicTests.think("hm") + ReplyAnthropicTests.text("Ada ")
            + ReplyAnthropicTests.call(0, "call_1", "f", "{}") + ReplyAnthropicTests.text("\ncounts é.") + finish
            + done
        let relayed = asResponses(stream, Self.context())
        for cut in [1, 7] { #expect(asResponses(stream, Self.context(), cut: cut) == relayed) }
        let reader = StrictResponsesReader(relayed.text)
        #expect(reader.faults == [] && relayed.finding == .complete, "\(relayed.text)")
        #expect(reader.types.first == "created" && reader.types.last == "completed")
        #expect(
            Set(reader.types.dropFirst(2).dropLast())
                == ["output_item.added[0]", "compaction.compacting[0]", "output_item.done[0]"])
        #expect(reader.response["status"] == "completed" && reader.output.count == 1)
        #expect(reader.output[0]["id"]?.string?.hasPrefix("cmp_") == true)
        let text = try #require(try Self.opened(reader.output[0]))
        #expect(text == "\(Self.heading)Ada \n\n\ncounts é." && !relayed.text.contains("Ada"))
    }

    @Test(
        "A reply without a text is no summary",
        arguments: [ReplyAnthropicTests.text(" \n"), ReplyAnthropicTests.think("a"), ""])
    func empty(_ said: String) throws {
        let relayed = asResponses(said + finishStop + done, Self.context())
        guard case .failed(let error) = relayed.finding else {
            Issue.record("taken: \(relayed.text)")
            return
        }
        #expect(error.code == .upstreamBadReply && StrictResponsesReader(relayed.text).response["status"] == "failed")
        let whole = ByteBuffer(string: #"{"choices":[{"message":{"role":"assistant","content":" "}}]}"#)
        #expect(throws: GatewayError.self) {
            try Dialects.translateWhole(whole, from: .chat, to: responsesTarget(), context: Self.context())
        }
    }

    @Test("A refusal is no summary")
    func refused() {
        let stream = ReplyAnthropicTests.text("I cannot.") + chunk("{}", finish: "\"content_filter\"") + done
        let relayed = asResponses(stream, Self.context())
        guard case .failed(let error) = relayed.finding else {
            Issue.record("taken: \(relayed.text)")
            return
        }
        #expect(error.message.contains("refused"))
        let choice = json("{'message':{'role':'assistant','content':'No.'},'finish_reason':'content_filter'}")
        let thrown = #expect(throws: GatewayError.self) {
            try Dialects.translateWhole(
                ByteBuffer(string: "{\"choices\":[\(choice)]}"), from: .chat, to: responsesTarget(),
                context: Self.context())
        }
        #expect(thrown?.message.contains("refused") == true)
    }

    /// A whole reply of an upstream.
    static func reply(_ text: String, from upstream: UpstreamDialect) -> ByteBuffer {
        guard upstream == .responses else {
            let message = #"{"role":"assistant","content":"\#(text)"}"#
            let usage = #"{"prompt_tokens":9,"completion_tokens":4}"#
            return ByteBuffer(
                string: #"{"choices":[{"message":\#(message),"finish_reason":"stop"}],"usage":\#(usage)}"#)
        }
        let content = #"[{"type":"output_text","text":"\#(text)"}]"#
        let message = #"{"type":"message","id":"a","role":"assistant","content":\#(content)}"#
        let usage = #"{"input_tokens":9,"output_tokens":4}"#
        let head = #""object":"response","status":"completed","model":"m""#
        return ByteBuffer(string: #"{\#(head),"output":[\#(message)],"usage":\#(usage)}"#)
    }

    @Test("The route answers with the user's messages and the summary", arguments: [UpstreamDialect.chat, .responses])
    func whole(upstream: UpstreamDialect) throws {
        let kept =
            #"{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}],"status":"completed"}"#
        let reply = try Dialects.translateWhole(
            Self.reply("Birds.", from: upstream), from: upstream, to: responsesTarget(),
            context: Self.context(.conversation([ByteBuffer(string: kept)])))
        let made = try JSON(parsing: #require(reply.pieces.first))
        guard case .object(let members) = made else { throw JSONError(.notThisType, at: 0) }
        #expect(Set(members.map(\.key)) == ["id", "object", "created_at", "output", "usage"])
        #expect(made["object"] == "response.compaction" && made["created_at"] == 7)
        #expect(made["output"]?[0]?["id"]?.string?.hasPrefix("msg_") == true)
        #expect(made["output"]?[0]?["content"]?[0]?["text"] == "hi" && made["output"]?.array?.count == 2)
        #expect(try Self.opened(made["output"]?[1]) == "\(Self.heading)Birds.")
        #expect(made["usage"]?["total_tokens"] == 13)
    }

    // MARK: - Before the answer

    @Test(
        "A summary that was made before the answer is the first item of it",
        arguments: [UpstreamDialect.chat, .responses])
    func leading(upstream: UpstreamDialect) throws {
        let item = #"{"id":"cmp_9","type":"compaction","encrypted_content":"gw1.x"}"#
        var context = ReplyContext()
        context.summary = ByteBuffer(string: item)
        let whole = try Dialects.translateWhole(
            Self.reply("Seven.", from: upstream), from: upstream, to: responsesTarget(), context: context)
        let made = try JSON(parsing: #require(whole.pieces.first))
        #expect(
            made["output"]?[0] == (try JSON(parsing: item)) && made["output"]?[1]?["content"]?[0]?["text"] == "Seven.")
        #expect(StrictResponsesReader.faults(of: made) == [])
        guard upstream == .chat else { return }
        let stream = ReplyAnthropicTests.text("Se") + ReplyAnthropicTests.text("ven.") + finishStop + done
        let reader = StrictResponsesReader(asResponses(stream, context).text)
        #expect(reader.faults == [] && reader.output.count == 2)
        #expect(
            reader.types.prefix(5) == [
                "created", "in_progress", "output_item.added[0]", "output_item.done[0]", "output_item.added[1]",
            ])
    }

    @Test("What goes on behind a summary: what the model is told to be and to have, and the conversation that is left")
    func continued() throws {
        let system = #"{"role":"developer","content":"Birds only."}"#
        let tools = #"{"type":"additional_tools","tools":[{"type":"function","name":"f"}]}"#
        let document = try JSONDocument(
            checking: ByteBuffer(string: items([Self.ada, system, Self.hello, tools].joined(separator: ","))))
        let compaction = #"{"id":"resp_1","output":[\#(Self.ada),\#(Self.summary("s"))],"usage":null}"#
        let (body, summary) = try ResponsesRequest.continued(document, from: ByteBuffer(string: compaction))
        #expect(body.string == items([system, tools, Self.ada, Self.summary("s")].joined(separator: ",")))
        #expect(summary.string == Self.summary("s"))
    }

    @Test("The threshold is that of the compaction; what else context management may be is no error")
    func threshold() throws {
        func threshold(_ value: String) throws -> Int? {
            try ResponsesState(JSONDocument(checking: ByteBuffer(string: #"{"context_management":\#(value)}"#)))
                .compactThreshold
        }
        #expect(
            try threshold(#"[{"type":"zz","compact_threshold":1},{"type":"compaction","compact_threshold":9}]"#) == 9)
        for value in ["null", "[]", "{}", #""auto""#, #"[1,{"type":"compaction"}]"#] {
            #expect(try threshold(value) == nil)
        }
        #expect(throws: GatewayError.self) { try threshold(#"[{"type":"compaction","compact_threshold":"9"}]"#) }
    }

    @Test("A compaction that the upstream made goes on as it is; what is none is an error")
    func theirs() throws {
        let output = #"[\#(Self.owls),{"type":"compaction","id":"c","encrypted_content":"gA"}]"#
        let usage = #"{"input_tokens":9,"output_tokens":4,"total_tokens":13}"#
        let head = #""id":"resp_1","object":"response.compaction","created_at":1.0"#
        let body = ByteBuffer(string: #"{\#(head),"output":\#(output),"usage":\#(usage)}"#)
        let reply = try Dialects.translateWhole(
            body, from: .responses, to: responsesTarget(), context: Self.context(.relayed))
        #expect(reply.pieces == [body] && reply.summary.usage.input == 9 && reply.summary.usage.output == 4)
        for other in ["{}", "[]", #"{"error":{"message":"no"}}"#] {
            #expect(throws: GatewayError.self, "\(other)") {
                try Dialects.translateWhole(
                    ByteBuffer(string: other), from: .responses, to: responsesTarget(), context: Self.context(.relayed))
            }
        }
    }
}
