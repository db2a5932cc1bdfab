import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// A Chat client on a Chat upstream: frames go on as they come until a call is found in the text.
@Suite("Calls in relayed text")
struct CallsRelayTests {
    static let call = json("<tool_call>{'name':'get_weather','arguments':{'city':'Paris'}}</tool_call>")

    func relayed(
        _ stream: String, _ context: ReplyContext = Calls.context, usage: ChatFrameEdit.UsagePlacement = .hidden,
        cut: Int = 0
    ) -> Relayed {
        run(
            Dialects.pipe(from: .chat, to: replyTarget(.chat, usage: usage), context: context), reads(stream, of: cut))
    }

    /// What a strict client makes of it.
    func message(_ text: String) -> String {
        var content = ""
        var reasoning = ""
        var calls: [(id: String, name: String, arguments: String)] = []
        var finish = ""
        for line in text.split(separator: "\n\n") where line.hasPrefix("data: {") {
            guard let choice = (try? JSON(parsing: String(line.dropFirst(6))))?["choices"]?[0] else { continue }
            let delta = choice["delta"]
            content += delta?["content"]?.string ?? ""
            reasoning += delta?["reasoning_content"]?.string ?? ""
            finish += choice["finish_reason"]?.string ?? ""
            for call in delta?["tool_calls"]?.array ?? [] {
                let index = call["index"]?.int ?? -1
                if index == calls.count {
                    calls.append((call["id"]?.string ?? "", call["function"]?["name"]?.string ?? "", ""))
                }
                if calls.indices.contains(index) {
                    calls[index].arguments += call["function"]?["arguments"]?.string ?? ""
                }
            }
        }
        let called = calls.map { "\($0.name)\($0.arguments)" + ($0.id.isEmpty ? "!" : "") }
        return ([reasoning, content] + called + [finish]).joined(separator: "|")
    }

    @Test("a call found in the text becomes one, in any cut of the text and of the bytes", arguments: [0, 1, 2, 5, 30])
    func found(pieces: Int) {
        let stream = Calls.stream("I look.\n\(Self.call)", pieces: pieces, reasoning: "Hm.")
        let whole = relayed(stream)
        #expect(message(whole.text) == json("Hm.|I look.\n|get_weather{'city':'Paris'}|tool_calls"))
        #expect(strictFaults(whole.text) == [])
        #expect(whole.tally.toolCalls == 1 && whole.tally.finishReason == .toolCalls)
        for cut in [1, 7, 64, 300] { #expect(relayed(stream, cut: cut) == whole) }
    }

    @Test("a client keeps the stream's id and creation time, and gets its role once")
    func keepsHead() {
        let text = relayed(Calls.stream("I look.\n\(Self.call)", pieces: 4)).text
        let chunks = text.split(separator: "\n\n").compactMap { try? JSON(parsing: String($0.dropFirst(6))) }
        #expect(Set(chunks.compactMap { $0["id"]?.string }) == ["c"])
        #expect(Set(chunks.compactMap { $0["created"]?.int }) == [1])
        #expect(chunks.filter { $0["choices"]?[0]?["delta"]?["role"] != nil }.count == 1)
    }

    @Test("without a call every byte is what it is without the search", arguments: 0..<60)
    func untouched(seed: UInt64) {
        var random = Seeded(seed)
        let words = [
            "a", "<", "<tool", "_call", "[TOOL_", "{\"name\":", "\n", " ", "```\n", "`", "|", "<|", "x\n<t", "[", "é",
            "\\",
            "<think>", "</think>", "\n\n",
        ]
        var stream = chunk("{'role':'assistant','content':''}")
        var text = ""
        for _ in 0..<30 {
            let member = Int.random(in: 0..<9, using: &random) == 0 ? "reasoning_content" : "content"
            let word = words.randomElement(using: &random) ?? ""
            if member == "content" { text += word }
            stream += Calls.delta(member, word, Bool.random(using: &random))
        }
        stream += chunk("{}", finish: "'stop'", more: ",'usage':{'prompt_tokens':1,'completion_tokens':2}") + done
        let usage: [ChatFrameEdit.UsagePlacement] = [.hidden, .asked, .finalChunk]
        for usage in usage {
            let plain = relayed(stream, ReplyContext(), usage: usage)
            let cut = Int.random(in: 0...90, using: &random)
            #expect(relayed(stream, usage: usage, cut: cut) == plain, "seed \(seed)")
            guard !text.drop(while: \.isWhitespace).hasPrefix("<think>") else { continue }
            #expect(relayed(stream, Self.splitting(), usage: usage, cut: cut) == plain, "seed \(seed)")
        }
    }

    @Test("of several choices the first is searched, and the others stay")
    func choices() throws {
        func choice(_ index: Int) -> JSON {
            ["index": .int(index), "message": ["content": .string(Self.call)], "finish_reason": "stop"]
        }
        let body: JSON = ["id": "c", "choices": [choice(0), choice(1)]]
        let whole = try Dialects.translateWhole(
            body.buffer, from: .chat, to: replyTarget(.chat), context: Calls.context)
        let said = try JSON(parsing: whole.pieces.map { String(buffer: $0) }.joined())["choices"]
        #expect(said?[0]?["message"]?["tool_calls"]?[0]?["function"]?["name"] == "get_weather")
        #expect(said?[1]?["message"]?["content"] == .string(Self.call))
    }

    @Test("usage nobody gave is estimated where the client wants it", arguments: ["Hi", "I look.\n" + call])
    func estimated(_ text: String) throws {
        var context = Calls.context
        context.inputEstimate = 425
        for usage in ["", ",'usage':{'prompt_tokens':null}"] {
            let stream = Calls.delta("content", text) + chunk("{}", finish: "'stop'", more: usage) + done
            let last = relayed(stream, context, usage: .asked).text.split(separator: "\n\n").dropLast().last
            let chunk = try JSON(parsing: String((last ?? "").dropFirst(6)))
            #expect(chunk["choices"] == [] && chunk["usage"]?["prompt_tokens"] == 425)
            #expect(!relayed(stream, context, usage: .hidden).text.contains("prompt_tokens\":425"))
            #expect((chunk["usage"]?["completion_tokens"]?.int ?? 0) > 0)
        }
    }

    @Test("every choice that has begun ends, also one the upstream has forgotten")
    func forgottenChoice() throws {
        let pipe = Dialects.pipe(from: .completions, to: replyTarget(.chat), context: ReplyContext())
        let said = run(
            pipe, reads(json("data: {'choices':[{'index':1,'text':'a','finish_reason':'stop'}]}\n\n") + done, of: 0))
        let ends = said.text.split(separator: "\n\n").compactMap { line -> Int? in
            let choice = (try? JSON(parsing: String(line.dropFirst(6))))?["choices"]?[0]
            return choice?["finish_reason"]?.string == "stop" ? choice?["index"]?.int : nil
        }
        #expect(ends.sorted() == [0, 1])
    }

    @Test("a relay's prompt is estimated by what is said in it, not by its bytes")
    func estimatedRelay() throws {
        let picture = String(repeating: "A", count: 400_000)
        let part = #"{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(picture)"}}"#
        for (dialect, body) in [
            (DialectID.chat, #"{"messages":[{"role":"user","content":[\#(part)]}]}"#),
            (.completions, #"{"prompt":"\#(String(repeating: "word ", count: 800))"}"#),
        ] {
            var context = ReplyContext()
            context.relayed = RelayedRequest(dialect: dialect, body: ByteBuffer(string: body))
            let target = replyTarget(dialect, usage: .asked)
            let word = dialect == .chat ? Calls.delta("content", "Hi") : json("data: {'choices':[{'text':'Hi'}]}\n\n")
            let upstream: UpstreamDialect = dialect == .chat ? .chat : .completions
            let said = run(
                Dialects.pipe(from: upstream, to: target, context: context),
                reads(
                    word + json("data: {'choices':[{'index':0,'delta':{},'finish_reason':'stop'}]}\n\n") + done, of: 0))
            let last = said.text.split(separator: "\n\n").dropLast().last
            let count = try JSON(parsing: String((last ?? "").dropFirst(6)))["usage"]?["prompt_tokens"]?.int ?? 0
            #expect((1000..<2500).contains(count), "\(dialect)")
        }
    }

    @Test(
        "a whole reply's thinking is kept, whatever stands where the upstream would have put it",
        arguments: ["", ",'reasoning_content':null", ",'reasoning':null,'reasoning_content':null"])
    func wholeThinking(_ more: String) throws {
        func said(_ text: String) throws -> JSON? {
            let body = json(
                "{'id':'c','choices':[{'index':1,'message':{'content':'B'}},"
                    + "{'index':0,'message':{'role':'assistant','content':\(text)\(more)},'finish_reason':'stop'}]}")
            let whole = try Dialects.translateWhole(
                ByteBuffer(string: body), from: .chat, to: replyTarget(.chat), context: Self.splitting())
            return try JSON(parsing: whole.pieces.map { String(buffer: $0) }.joined())["choices"]?[1]?["message"]
        }
        #expect(try said("'<think>ok</think>A'") == said("[{'type':'text','text':'<think>ok</think>A'}]"))
        let message = try said("'<think>ok</think>A'")
        #expect(message?["content"] == "A" && message?["reasoning_content"] == "ok")
        #expect(try said("'<think>never closed'")?["reasoning_content"] == "never closed")
    }

    static let tagged = ["<think>a b</think>\n\nHi", " \n<think>a b</think>Hi", "<think>a b</think>Hi\n" + call]

    static func splitting(_ tools: OfferedTools? = nil) -> ReplyContext {
        var context = ReplyContext(tools: tools)
        context.splitsThinking = true
        return context
    }

    @Test("thinking in tags at the beginning is split off, in any cut of the text and of the bytes", arguments: tagged)
    func thinking(_ text: String) throws {
        for context in [Self.splitting(offered()), Self.splitting()] {
            let isCall = text.hasSuffix(Self.call) && context.tools != nil
            let rest =
                isCall
                ? "Hi\n|" + json("get_weather{'city':'Paris'}|tool_calls")
                : text.contains("\n\n") || !text.hasSuffix(Self.call) ? "Hi|stop" : "Hi\n\(Self.call)|stop"
            for pieces in [0, 1, 2, 5, 30] {
                let whole = relayed(Calls.stream(text, pieces: pieces), context)
                #expect(message(whole.text) == "a b|" + rest)
                #expect(strictFaults(whole.text) == [])
                for cut in [1, 7, 64, 300] {
                    #expect(relayed(Calls.stream(text, pieces: pieces), context, cut: cut) == whole)
                }
            }
            let body: JSON = [
                "id": "c",
                "choices": [["index": 0, "message": ["content": .string(text), "x": 1], "finish_reason": "stop"]],
            ]
            let whole = try Dialects.translateWhole(body.buffer, from: .chat, to: replyTarget(.chat), context: context)
            let said = try JSON(parsing: whole.pieces.map { String(buffer: $0) }.joined())["choices"]?[0]?["message"]
            #expect(said?["reasoning_content"] == "a b" && said?["x"] == 1)
            #expect(said?["content"]?.string?.hasPrefix("Hi") == true)
            #expect((said?["tool_calls"] != nil) == isCall)
            var exact = replyTarget(.chat)
            exact.mode = .exact
            let same = try Dialects.translateWhole(body.buffer, from: .chat, to: exact, context: context)
            #expect(try JSON(parsing: same.pieces.map { String(buffer: $0) }.joined())["choices"] == body["choices"])
        }
    }

    @Test("frames wait for a tag only where a text begins")
    func tagWaits() {
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.chat), context: Self.splitting())
        func send(_ text: String) -> String {
            var out = ByteBuffer()
            _ = pipe.pass(ByteBuffer(string: Calls.delta("content", text)), into: &out)
            return out.string
        }
        #expect(send("\n") == "" && send("<thin") == "")
        #expect(send("gs>") == ["\n", "<thin", "gs>"].map { Calls.delta("content", $0) }.joined())
        for text in ["<", "\n<think>", "</think>"] { #expect(send(text) == Calls.delta("content", text)) }
    }

    @Test("frames that may begin a marker wait, and no others")
    func waits() {
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.chat), context: Calls.context)
        func send(_ text: String) -> String {
            var out = ByteBuffer()
            _ = pipe.pass(ByteBuffer(string: Calls.delta("content", text)), into: &out)
            return out.string
        }
        #expect(send("Hi") == Calls.delta("content", "Hi"))
        #expect(send(" you") == Calls.delta("content", " you"))
        #expect(send("\n<to") == "")
        #expect(send("ol") == "")
        #expect(send("s>") == ["\n<to", "ol", "s>"].map { Calls.delta("content", $0) }.joined())
    }

    @Test("a broken call is text, and counted")
    func broken() {
        let text = json("a\n<tool_call>{'name':'nope'}</tool_call>")
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.chat), context: Calls.context)
        var out = ByteBuffer()
        for read in reads(Calls.stream(text, pieces: 3), of: 50) { _ = pipe.pass(read, into: &out) }
        #expect(pipe.finish(into: &out) == .complete)
        #expect(message(out.string) == "|\(text)|stop")
        #expect(pipe.callTally.line == "missed=hermes/unknown-name:1")
    }

    @Test("a native call relayed before keeps its arguments; the one in the text is the next")
    func behindNative() {
        let stream =
            ReplyAnthropicTests.call(0, "c1", "get_weather", json("{'city'"))
            + ReplyAnthropicTests.more(0, json(":'a'}")) + Calls.delta("content", json("<tool_call>{'name':'get_time'"))
            + Calls.delta("content", "}</tool_call>") + finishStop + done
        let text = relayed(stream).text
        #expect(message(text) == json("||get_weather{'city':'a'}|get_time{}|tool_calls"))
        #expect(strictFaults(text) == [])
    }

    @Test(
        "usage comes where the client wants it", arguments: [ChatFrameEdit.UsagePlacement.asked, .finalChunk, .hidden])
    func usage(_ placement: ChatFrameEdit.UsagePlacement) {
        let stream =
            Calls.delta("content", Self.call) + finishStop
            + json(head + "'choices':[],'usage':{'prompt_tokens':5,'completion_tokens':7,'total_tokens':12}}\n\n")
            + done
        let relayed = relayed(stream, usage: placement)
        #expect(relayed.tally.usage.input == 5)
        #expect(relayed.text.contains(json("'prompt_tokens':5,'completion_tokens':7")) == (placement != .hidden))
        if placement != .finalChunk { #expect(strictFaults(relayed.text) == []) }
    }

    @Test("an exact relay, and one whose upstream is not known for it, are left alone")
    func leftAlone() {
        var context = Calls.context
        context.findsCalls = false
        let stream = Calls.stream(Self.call, pieces: 3)
        #expect(relayed(stream, context) == relayed(stream, ReplyContext()))
        var target = replyTarget(.chat)
        target.mode = .exact
        let exact = run(Dialects.pipe(from: .chat, to: target, context: Calls.context), reads(stream, of: 9))
        #expect(exact.text == stream)
    }

    @Test("a whole reply: the call is taken out, what is not known stays")
    func whole() throws {
        let body: JSON = [
            "id": "c", "model": "up", "created": 1, "object": "chat.completion", "timings": ["a": 1],
            "choices": [
                [
                    "index": 0, "finish_reason": "stop", "logprobs": nil,
                    "message": ["role": "assistant", "content": .string("I look.\n\(Self.call)"), "x": 1],
                ]
            ],
        ]
        let reply = try Dialects.translateWhole(
            body.buffer, from: .chat, to: replyTarget(.chat), context: Calls.context)
        let shown = try JSON(parsing: reply.pieces[0])
        let message = shown["choices"]?[0]?["message"]
        #expect(shown["timings"] == ["a": 1] && message?["x"] == 1 && message?["content"] == "I look.\n")
        #expect(shown["choices"]?[0]?["finish_reason"] == "tool_calls")
        #expect(message?["tool_calls"]?[0]?["function"]?["arguments"]?.string == json("{'city':'Paris'}"))
        #expect(message?["tool_calls"]?[0]?["id"]?.string?.hasPrefix("call_") == true)
        #expect(reply.summary.callTally.line == "hermes=1" && reply.summary.toolCalls == 1)
        let plain = try Dialects.translateWhole(body.buffer, from: .chat, to: replyTarget(.chat))
        #expect(plain.summary.callTally.isEmpty && plain.summary.toolCalls == 0)
    }

    @Test(
        "messages of Harmony's without a call are taken apart in a whole reply as in a stream",
        arguments: [
            ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello", "Hm.|Hello"),
            ("<|channel|>final<|message|>Hello<|return|>", "|Hello"),
            ("<tool_call>{'name':'nobody'}</tool_call>", "|<tool_call>{'name':'nobody'}</tool_call>"),
        ])
    func wholeMessages(text: String, shown: String) throws {
        let body: JSON = [
            "id": "c", "model": "up", "created": 1, "object": "chat.completion",
            "choices": [
                [
                    "index": 0, "finish_reason": "stop",
                    "message": ["role": "assistant", "content": .string(json(text))],
                ]
            ],
        ]
        let whole = try Dialects.translateWhole(
            body.buffer, from: .chat, to: replyTarget(.chat), context: Calls.context)
        let given = try JSON(parsing: whole.pieces.map(\.string).joined())["choices"]?[0]?["message"]
        #expect("\(given?["reasoning_content"]?.string ?? "")|\(given?["content"]?.string ?? "")" == json(shown))
        #expect(message(relayed(Calls.stream(json(text), pieces: 3)).text) == json("\(shown)|stop"))
    }

    @Test("the tools of a Chat request are read when they are needed; none may be called where the request says so")
    func offeredTools() throws {
        let tools = json("[{'type':'function','function':{'name':'get_weather','parameters':{'type':'object'}}}]")
        func offered(_ more: String) throws -> OfferedTools? {
            try ChatRequest.offeredTools(
                JSONDocument(checking: ByteBuffer(string: "{\"messages\":[],\"tools\":\(tools)\(json(more))}")))
        }
        var context = ReplyContext(tools: try offered(""))
        #expect(message(relayed(Calls.stream(Self.call), context).text).contains("get_weather{"))
        context.tools = try offered(",'tool_choice':'none'")
        #expect(context.tools == nil)
        let none = try JSONDocument(checking: ByteBuffer(string: "{\"tools\":[]}"))
        #expect(try ChatRequest.offeredTools(none) == nil)
    }
}
