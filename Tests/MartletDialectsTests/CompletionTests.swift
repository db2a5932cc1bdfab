import Foundation
import MartletDialects
import MartletWire
import NIOCore
import Testing

func completionTarget(
    _ mode: ChatFrameEdit.Mode = .repair, usage: ChatFrameEdit.UsagePlacement = .hidden
) -> ReplyTarget {
    ReplyTarget(dialect: .completions, model: "local", usage: usage, mode: mode, created: 7, ids: IDSource(seed: 1))
}

/// What is wrong with a stream of legacy Completions, as strictly as its clients read it, and the text of each choice.
struct StrictCompletionReader {
    private(set) var faults: [String] = []
    private(set) var texts: [Int: String] = [:]
    private(set) var finishes: [Int: String] = [:]
    private(set) var usage: JSON?

    init(_ stream: String) {
        if !stream.hasSuffix(done) { faults.append("no [DONE] at the end") }
        var ids: Set<String> = []
        for data in stream.dropLast(done.count).split(separator: "\n\n") where data != ":" {
            guard data.hasPrefix("data: "), let chunk = try? JSON(parsing: String(data.dropFirst(6))) else {
                faults.append("no chunk: \(data)")
                continue
            }
            ids.insert(chunk["id"]?.string ?? "")
            if chunk["object"] != "text_completion" || chunk["model"] != "local" || chunk["created"]?.int == nil {
                faults.append("head: \(data)")
            }
            let choices = chunk["choices"]?.array ?? []
            if choices.isEmpty {
                usage = chunk["usage"]
            } else if chunk["usage"]?.isNull == false {
                faults.append("usage beside choices")
            }
            for choice in choices { read(choice) }
        }
        if ids.count != 1 || ids == [""] { faults.append("ids: \(ids)") }
        if Set(texts.keys) != Set(finishes.keys) { faults.append("ends: \(finishes)") }
    }

    private mutating func read(_ choice: JSON) {
        guard let index = choice["index"]?.int, let text = choice["text"]?.string else {
            return faults.append("choice: \(choice)")
        }
        if finishes[index] != nil { faults.append("behind the end of \(index)") }
        texts[index, default: ""] += text
        if let finish = choice["finish_reason"]?.string { finishes[index] = finish }
        guard let logprobs = choice["logprobs"], !logprobs.isNull else { return }
        let lists = ["tokens", "token_logprobs", "top_logprobs", "text_offset"].map { logprobs[$0]?.array?.count }
        if Set(lists).count != 1 || lists[0] == nil { faults.append("logprobs: \(logprobs)") }
    }
}

/// `Transcripts/completions/<case>/reply.sse` is what the upstream sent; beside it `as-completions.sse`, what a client that did
/// not ask for usage gets from a repairing relay. With `MARTLET_REWRITE_GOLDENS=1` they are written anew.
@Suite("Legacy Completions, relayed")
struct CompletionRelayTests {
    static let folder = TranscriptTests.folder.deletingLastPathComponent().appending(path: "completions")
    static let cases = ["llama-server", "llama-server-prompts", "odd-end"]

    private func stream(_ name: String) throws -> String {
        try String(contentsOf: Self.folder.appending(path: "\(name)/reply.sse"), encoding: .utf8)
    }

    private func relay(
        _ stream: String, _ target: ReplyTarget = completionTarget(), cut: Int = 0
    ) -> Relayed {
        run(Dialects.pipe(from: .completions, to: target), reads(stream, of: cut))
    }

    @Test("a transcript is repaired as its golden says, and a strict reader accepts it", arguments: cases)
    func repaired(name: String) throws {
        let file = Self.folder.appending(path: "\(name)/as-completions.sse")
        let hidden = relay(try stream(name))
        if TranscriptTests.rewrites { try hidden.text.write(to: file, atomically: true, encoding: .utf8) }
        #expect(try hidden.text == String(contentsOf: file, encoding: .utf8))
        let reader = StrictCompletionReader(hidden.text)
        #expect(reader.faults == [] && reader.usage == nil && hidden.finding == .complete)
        let asked = StrictCompletionReader(relay(try stream(name), completionTarget(usage: .asked)).text)
        #expect(asked.faults == [] && asked.texts == reader.texts)
        #expect(asked.usage?["total_tokens"]?.int ?? 0 > 0)
        #expect(hidden.tally.usage.output ?? 0 > 0, "usage is known to the record, asked for or not")
    }

    @Test("any cut of the bytes gives the same output", arguments: cases, [1, 2, 3, 7, 64])
    func cuts(name: String, size: Int) throws {
        let stream = try stream(name)
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            let whole = relay(stream, completionTarget(mode))
            #expect(relay(stream, completionTarget(mode), cut: size) == whole)
        }
    }

    @Test("an exact relay changes nothing but the model", arguments: cases)
    func exact(name: String) throws {
        let stream = try stream(name)
        let relayed = relay(stream, completionTarget(.exact))
        #expect(relayed.text == stream.replacing(/"model":"[^"]*"/, with: "\"model\":\"local\""))
        #expect(relayed.finding == .complete)
    }

    @Test("each of several prompts has a choice of its own")
    func prompts() throws {
        let reader = StrictCompletionReader(relay(try stream("llama-server-prompts")).text)
        #expect(
            reader.texts.keys.sorted() == [0, 1, 2] && Set(reader.finishes.values).isSubset(of: ["stop", "length"]))
    }

    @Test("a stream that breaks off is no end")
    func broken() throws {
        let stream = try stream("llama-server")
        let relayed = relay(String(stream.prefix(stream.count / 2)))
        #expect(relayed.finding == .failed(.closedEarly))
        #expect(!relayed.text.contains("[DONE]"))
    }

    @Test("an error inside the stream is told in OpenAI's form")
    func failed() {
        let relayed = relay(json("data: {'error':{'message':'out of memory','type':'server_error'}}\n\n"))
        #expect(relayed.text.contains(json("data: {'error':{'message':'out of memory'")))
    }

    private func whole(_ body: String, _ mode: ChatFrameEdit.Mode = .repair) throws -> JSON {
        let reply = try Dialects.translateWhole(ByteBuffer(json: body), from: .completions, to: completionTarget(mode))
        return try JSON(parsing: reply.pieces.map(\.string).joined())
    }

    @Test("a whole reply keeps its bytes but for what is wrong in it")
    func wholeReply() throws {
        let usual =
            "{'id':'cmpl-1','object':'text_completion','created':1,'model':'up','choices':[{'text':'a','index':0,"
            + "'logprobs':null,'finish_reason':'stop'}],'usage':{'prompt_tokens':1,'completion_tokens':1,'x':1.50}}"
        #expect(try whole(usual) == JSON(parsing: json(usual.replacing("'up'", with: "'local'"))))
        let odd = try whole("{'model':'up','choices':[{'text':'a','finish_reason':'eos'},{'text':null}]}")
        #expect(odd["object"] == "text_completion" && odd["id"]?.string?.hasPrefix("cmpl-") == true)
        #expect(odd["created"] == 7 && odd["model"] == "local")
        #expect(odd["choices"]?[0]?["finish_reason"] == "stop" && odd["choices"]?[1]?["index"] == 1)
        #expect(odd["choices"]?[1]?["text"] == "" && odd["choices"]?[1]?["finish_reason"] == "stop")
    }

    @Test("log probabilities in the form of Chat become lists, with the place of each token in the text")
    func logprobs() throws {
        let content =
            "[{'token':'é','logprob':-0.10,'top_logprobs':[{'token':'é','logprob':-0.10},{'token':'e','logprob':-2}]},"
            + "{'token':' b','logprob':-1e-3,'top_logprobs':[]}]"
        let reply = try whole(
            "{'model':'up','choices':[{'text':'é b','index':0,'logprobs':{'content':\(content)},'finish_reason':'stop'}]}"
        )
        #expect(
            reply["choices"]?[0]?["logprobs"]
                == (try JSON(
                    parsing: json(
                        "{'tokens':['é',' b'],'token_logprobs':[-0.10,-1e-3],"
                            + "'top_logprobs':[{'é':-0.10,'e':-2},{}],'text_offset':[0,1]}"))))
        let own = "{'tokens':['a'],'token_logprobs':[-1],'top_logprobs':null,'text_offset':[0]}"
        let kept = try whole(
            "{'model':'up','choices':[{'text':'a','index':0,'logprobs':\(own),'finish_reason':'stop'}]}")
        #expect(kept["choices"]?[0]?["logprobs"] == (try JSON(parsing: json(own))))
    }

    @Test("a 200 with an error in it is one, and a reply without choices is none")
    func wholeErrors() {
        for body in ["{'error':'busy'}", "{'object':'text_completion','choices':[]}"] {
            #expect(throws: GatewayError.self) { try whole(body) }
        }
    }

    @Test("a whole reply where a stream was asked for becomes one")
    func wholeForStream() {
        let relayed = relay(
            json(
                "{'id':'cmpl-1','object':'text_completion','created':1,'model':'up','choices':[{'text':'hi','index':0,"
                    + "'logprobs':null,'finish_reason':'length'}]}"))
        let reader = StrictCompletionReader(relayed.text)
        #expect(reader.faults == [] && reader.texts == [0: "hi"] && reader.finishes == [0: "length"])
    }
}

@Suite("Legacy Completions before upstreams without them")
struct CompletionTranslationTests {
    private func translate(
        _ request: String, to upstream: UpstreamDialect = .chat, _ flags: Capabilities = Capabilities()
    ) throws -> (body: JSON, dropped: [String]) {
        let target = WriteTarget(model: "up", capabilities: flags, streams: false, defaults: .init(maxTokens: 100))
        let translated = try Dialects.translateRequest(
            JSONDocument(checking: ByteBuffer(json: request)), from: .completions, to: upstream, for: target)
        return (try JSON(parsing: translated.body), translated.dropped)
    }

    private func parsed(_ text: String) throws -> JSON { try JSON(parsing: json(text)) }

    @Test("the prompt becomes what a user says, and settings stay settings")
    func toChat() throws {
        let (body, dropped) = try translate(
            "{'model':'m','prompt':'Once \\u00e9','max_tokens':5,'temperature':0.70,'top_p':1,'stop':['a','b'],'seed':3,"
                + "'presence_penalty':0.5,'frequency_penalty':0,'logit_bias':{},'echo':false,'suffix':null,'best_of':1,'n':1,"
                + "'user':'u'}")
        #expect(
            body
                == (try parsed(
                    "{'model':'up','messages':[{'role':'user','content':'Once é'}],'max_tokens':5,'temperature':0.70,"
                        + "'top_p':1,'presence_penalty':0.5,'frequency_penalty':0,'seed':3,'stop':['a','b']}")))
        #expect(dropped == [])
    }

    @Test("what Anthropic's API has no member for is named")
    func toAnthropic() throws {
        let (body, dropped) = try translate(
            "{'model':'m','prompt':['Hi'],'seed':3,'presence_penalty':0.5,'frequency_penalty':0,'logit_bias':{'1':2}}",
            to: .anthropic, .anthropic)
        #expect(body["messages"] == (try parsed("[{'role':'user','content':[{'type':'text','text':'Hi'}]}]")))
        #expect(Set(dropped) == ["seed", "presence_penalty", "logit_bias"])
    }

    @Test("a Responses upstream gets the same")
    func toResponses() throws {
        let (body, dropped) = try translate(
            "{'model':'m','prompt':'Hi','max_tokens':50,'seed':3}", to: .responses, .responses)
        #expect(body["input"]?[0]?["content"]?[0]?["text"] == "Hi" && body["max_output_tokens"] == 50)
        #expect(dropped == ["seed"])
    }

    static let refused: [(member: String, String)] = [
        ("prompt", "'prompt':[1,2]"), ("prompt", "'prompt':[[1,2]]"), ("prompt", "'prompt':['a','b']"),
        ("prompt", "'prompt':[]"), ("prompt", "'prompt':{}"), ("prompt", "'user':'u'"),
        ("echo", "'prompt':'a','echo':true"), ("suffix", "'prompt':'a','suffix':'b'"),
        ("n", "'prompt':'a','n':2"), ("best_of", "'prompt':'a','best_of':2"),
        ("logprobs", "'prompt':'a','logprobs':0"), ("n", "'prompt':'a','n':'two'"),
        ("temperature", "'prompt':'a','temperature':7"), ("stop", "'prompt':'a','stop':3"),
    ]

    @Test("what no conversation can honour is refused by its name", arguments: refused)
    func refusals(member: String, request: String) throws {
        let error = #expect(throws: GatewayError.self) { _ = try translate("{'model':'m',\(request)}") }
        #expect(error?.param?.prefix { $0 != "[" } == member[...])
        #expect(error.map { ErrorTable.status($0, for: .completions) } == 400)
        #expect(error?.message.contains(member) == true)
    }

    private static let reply =
        chunk("{'role':'assistant','content':''}") + chunk("{'reasoning_content':'hm'}") + chunk("{'content':'one '}")
        + chunk("{'content':'tw\\u006f'}") + chunk("{}", finish: "'length'")
        + json("data: {'id':'c','choices':[],'usage':{'prompt_tokens':4,'completion_tokens':3}}\n\n") + done

    @Test("a Chat upstream's stream is its visible text", arguments: [0, 1, 7])
    func stream(cut: Int) {
        let pipe = Dialects.pipe(from: .chat, to: completionTarget())
        let relayed = run(pipe, reads(Self.reply, of: cut))
        let reader = StrictCompletionReader(relayed.text)
        #expect(reader.faults == [] && reader.texts == [0: "one two"] && reader.finishes == [0: "length"])
        #expect(reader.usage == nil && !relayed.text.contains("hm"))
        let asked = StrictCompletionReader(
            run(Dialects.pipe(from: .chat, to: completionTarget(usage: .asked)), reads(Self.reply, of: cut)).text)
        #expect(asked.faults == [] && asked.usage?["total_tokens"] == 7)
    }

    @Test("so is an Anthropic upstream's, and the end has the dialect's own word")
    func anthropicStream() {
        let stream =
            ReplyChatTests.start + ReplyChatTests.text(0, "ab", "cd") + ReplyChatTests.end("stop_sequence")
        let relayed = run(Dialects.pipe(from: .anthropic, to: completionTarget()), reads(stream, of: 0))
        let reader = StrictCompletionReader(relayed.text)
        #expect(reader.faults == [] && reader.texts == [0: "abcd"] && reader.finishes == [0: "stop"])
    }

    @Test("a whole reply says what the stream says")
    func whole() throws {
        let body = ByteBuffer(
            json: "{'id':'c','object':'chat.completion','created':1,'model':'up','choices':[{'index':0,'message':"
                + "{'role':'assistant','content':'one two','reasoning_content':'hm'},'finish_reason':'length'}],"
                + "'usage':{'prompt_tokens':4,'completion_tokens':3,'total_tokens':7}}")
        let reply = try Dialects.translateWhole(body, from: .chat, to: completionTarget())
        let written = try JSON(parsing: reply.pieces.map(\.string).joined())
        #expect(written["id"]?.string?.hasPrefix("cmpl-") == true)
        #expect(written["object"] == "text_completion" && written["model"] == "local" && written["created"] == 7)
        #expect(
            written["choices"]
                == (try parsed("[{'text':'one two','index':0,'logprobs':null,'finish_reason':'length'}]")))
        #expect(written["usage"]?["total_tokens"] == 7)
    }

    @Test("a failure later is an error event, and no end behind it")
    func failure() {
        let cut = chunk("{'content':'one'}")
        let relayed = run(Dialects.pipe(from: .chat, to: completionTarget()), reads(cut, of: 0))
        #expect(relayed.text.contains("data: {\"error\":") && !relayed.text.contains("[DONE]"))
    }
}

@Suite("Legacy Completions before upstreams that do less")
struct CompletionRepairTests {
    private func repair(_ request: String, _ features: Set<CompletionFeature>) throws -> String {
        let document = try JSONDocument(checking: ByteBuffer(json: request))
        var edit = JSONEdit()
        try CompletionRequest.repair(document, for: features, with: &edit)
        return edit.applied(to: document.bytes).string
    }

    @Test("members that ask for nothing are taken out where the server has none of them")
    func neutral() throws {
        let request = "{'prompt':['a'],'best_of':1,'echo':false,'suffix':null,'n':1,'logprobs':null,'x':1.0}"
        #expect(try repair(request, []) == json("{'prompt':'a','x':1.0}"))
        #expect(try repair(request, Set(CompletionFeature.allCases)) == json(request))
        #expect(
            try repair(request, [.prompts, .echo, .choices])
                == json("{'prompt':['a'],'echo':false,'n':1,'x':1.0}"))
    }

    @Test("what the server does goes through, what it does not is refused by its name")
    func features() throws {
        let asking: [CompletionFeature: String] = [
            .prompts: "'prompt':['a','b']", .tokens: "'prompt':[1,2]", .echo: "'prompt':'a','echo':true",
            .suffix: "'prompt':'a','suffix':'b'", .choices: "'prompt':'a','n':2",
            .bestOf: "'prompt':'a','best_of':2", .logprobs: "'prompt':'a','logprobs':true",
        ]
        #expect(asking.count == CompletionFeature.allCases.count)
        for (feature, members) in asking {
            #expect(try repair("{\(members)}", [feature]) == json("{\(members)}"))
            let error = #expect(throws: GatewayError.self) { try repair("{\(members)}", []) }
            #expect(error?.code == .unsupportedParameter && error?.param == feature.member)
        }
        let both = #expect(throws: GatewayError.self) { try repair("{'prompt':[[1],[2]]}", [.tokens]) }
        #expect(both?.param == "prompt")
        #expect(try repair("{'prompt':[[1],[2]]}", [.tokens, .prompts]) == json("{'prompt':[[1],[2]]}"))
    }
}
