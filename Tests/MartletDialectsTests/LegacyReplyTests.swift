import MartletDialects
import MartletWire
import NIOCore
import Synchronization
import Testing

/// What replies of LM Studio's older API hold beside those of OpenAI's, as its documentation has it.
@Suite("Replies of LM Studio's older API")
struct LegacyReplyTests {
    static let ms: UInt64 = 1_000_000

    /// Sent at 100 ms, the first token at 180 ms, the end at 230 ms; of a reply that comes whole the end only.
    static func target(
        _ dialect: DialectID = .chat, usage: ChatFrameEdit.UsagePlacement = .hidden, window: Int? = 16384,
        isLimited: Bool = true, hasStops: Bool = false,
        card: ModelCard = ModelCard(architecture: "qwen3", quantisation: "Q4_K_M"),
        version: String? = "2.1.0", streams: Bool = true, mode: ChatFrameEdit.Mode = .repair
    ) -> ReplyTarget {
        let times = Clock(streams ? [180 * ms, 230 * ms] : [230 * ms])
        let legacy = LegacyReply(
            card: card, window: window, runtime: ModelRuntime(name: "llama.cpp", version: version, formats: ["gguf"]),
            isLimited: isLimited, hasStops: hasStops, stopwatch: Stopwatch(since: { 100 * ms }, now: { times.next() }))
        return ReplyTarget(
            dialect: dialect, model: "local", usage: usage, mode: mode, created: 7, ids: IDSource(seed: 1),
            legacy: legacy)
    }

    static let modelInfo: JSON = [
        "arch": "qwen3", "quant": "Q4_K_M", "format": "gguf", "context_length": 16384,
    ]
    static let runtime: JSON = ["name": "llama.cpp", "version": "2.1.0", "supported_formats": ["gguf"]]
    static let head = "{'id':'c','object':'chat.completion.chunk','created':1,'model':'up','choices':[{'index':0,"
    static let usage = "'usage':{'prompt_tokens':12,'completion_tokens':3,'total_tokens':15}"

    static func stream(finish: String = "'stop'", more: String = "", last: String = ",'choices':[],\(usage)") -> String
    {
        [
            head + "'delta':{'role':'assistant','content':'Hel'},'finish_reason':null}]}",
            head + "'delta':{'content':'lo.'},'finish_reason':null}]}",
            head + "'delta':{},'finish_reason':\(finish)\(more)}]}",
            "{'id':'c','object':'chat.completion.chunk','created':1,'model':'up'\(last)}",
        ].map { "data: \(json($0))\n\n" }.joined() + "data: [DONE]\n\n"
    }

    /// What the client gets, chunk by chunk.
    func chunks(
        _ stream: String, to target: ReplyTarget, from upstream: UpstreamDialect = .chat,
        _ context: ReplyContext = ReplyContext()
    ) throws -> [JSON] {
        var pipe = Dialects.pipe(from: upstream, to: target, context: context)
        var out = ByteBuffer()
        let finding = pipe.pass(ByteBuffer(string: stream), into: &out)
        #expect(finding == .complete)
        return try out.string.components("\n\n").filter { $0.hasPrefix("data: {") }.map {
            try JSON(parsing: String($0.dropFirst(6)))
        }
    }

    func whole(_ body: String, to target: ReplyTarget) throws -> JSON {
        let reply = try Dialects.translateWhole(ByteBuffer(json: body), from: .chat, to: target)
        return try JSON(parsing: reply.pieces.map(\.string).joined())
    }

    static func body(_ more: String = "", finish: String = "'stop'") -> String {
        "{'id':'c','object':'chat.completion','created':1,'model':'up','choices':[{'index':0,'message':{'role':'assistant','content':'Hello.'},'finish_reason':\(finish)}],\(usage)\(more)}"
    }

    // MARK: Where they stand

    @Test("a whole reply has them at its end, and is the same but for them")
    func wholeReply() throws {
        let reply = try whole(Self.body(), to: Self.target(streams: false))
        #expect(
            reply.object?.keys == ["id", "object", "created", "model", "choices", "usage"] + LegacyReplyTests.names)
        #expect(
            reply["stats"] == [
                "tokens_per_second": .double(3 / 0.13), "time_to_first_token": 0.13, "generation_time": 0.13,
                "stop_reason": "eosFound",
            ])
        #expect(reply["model_info"] == Self.modelInfo && reply["runtime"] == Self.runtime)
        #expect(reply["choices"]?[0]?["message"]?["content"] == "Hello.")
    }

    static let names = ["stats", "model_info", "runtime"]

    @Test(
        "of a stream they are in the last chunk, whichever that is, and in no other",
        arguments: [ChatFrameEdit.UsagePlacement.hidden, .asked, .finalChunk], [false, true])
    func stream(_ usage: ChatFrameEdit.UsagePlacement, isTranslated: Bool) throws {
        var context = ReplyContext()
        context.wantsJSON = isTranslated
        context.misplacesJSON = isTranslated
        let chunks = try chunks(Self.stream(), to: Self.target(usage: usage), context)
        #expect(chunks.dropLast().allSatisfy { chunk in Self.names.allSatisfy { chunk[$0] == nil } })
        let last = try #require(chunks.last)
        #expect(
            last["stats"] == [
                "tokens_per_second": .double(3 / 0.05), "time_to_first_token": 0.08, "generation_time": 0.05,
                "stop_reason": "eosFound",
            ])
        #expect(last["model_info"] == Self.modelInfo && last["runtime"] == Self.runtime)
        #expect(last["usage"]?["completion_tokens"]?.int == (usage == .hidden ? nil : 3))
        #expect(last["choices"]?.array?.count == (usage == .asked ? 0 : 1))
        #expect(chunks.filter { $0["choices"]?[0]?["finish_reason"] == "stop" }.count == 1)
        let text = chunks.compactMap { $0["choices"]?[0]?["delta"]?["content"]?.string }.joined()
        #expect(text == "Hello.")
    }

    @Test("legacy Completions have them too", arguments: [UpstreamDialect.completions, .chat])
    func completions(_ upstream: UpstreamDialect) throws {
        let chunk = { (text: String, finish: String) in
            "data: "
                + json(
                    upstream == .chat
                        ? Self.head + "'delta':{'content':'\(text)'},'finish_reason':\(finish)}]}"
                        : "{'id':'c','object':'text_completion','created':1,'model':'up','choices':[{'index':0,'text':'\(text)','logprobs':null,'finish_reason':\(finish)}]}"
                ) + "\n\n"
        }
        let stream = chunk("one", "null") + chunk("", "'length'") + "data: [DONE]\n\n"
        let chunks = try chunks(stream, to: Self.target(.completions), from: upstream)
        #expect(chunks.last?["stats"]?["stop_reason"] == "maxPredictedTokensReached")
        #expect(chunks.filter { $0["stats"] != nil }.count == 1)
        #expect(chunks.last?["model_info"] == Self.modelInfo)
    }

    @Test("embeddings tell what made them and how long that took")
    func embeddings() throws {
        let document = try JSONDocument(checking: ByteBuffer(json: "{'model':'m','input':'a'}"))
        var flags = Capabilities()
        flags.embeddings = .text
        let task = try VectorTask.embeddings.prepare(document, edit: JSONEdit(), for: flags, repairs: true)
        let body = ByteBuffer(
            json:
                "{'object':'list','data':[{'object':'embedding','index':0,'embedding':[1,2]}],'model':'m','usage':{'prompt_tokens':2,'total_tokens':2}}"
        )
        let reply = try JSON(
            parsing: try task.reply(body, for: Self.target(streams: false)).pieces.map(\.string).joined())
        #expect(reply["stats"] == ["time_to_first_token": 0.13, "generation_time": 0.13])
        #expect(reply["model_info"] == Self.modelInfo && reply["runtime"] == Self.runtime)
        #expect(reply["data"]?.array?.count == 1)
    }

    @Test("a client of another API gets none of them")
    func others() throws {
        #expect(try whole(Self.body(), to: replyTarget(.chat))["stats"] == nil)
        #expect(try chunks(Self.stream(), to: replyTarget(.chat)).allSatisfy { $0["stats"] == nil })
    }

    // MARK: What they say

    @Test("Where the request has stop strings and nobody says whether one of them was met, no reason is made up")
    func unknownStop() throws {
        #expect(try whole(Self.body(), to: Self.target(hasStops: true))["stats"]?["stop_reason"] == nil)
        let length = try whole(Self.body(finish: "'length'"), to: Self.target(hasStops: true))
        #expect(length["stats"]?["stop_reason"] == "maxPredictedTokensReached")
        let body = Self.body().replacing("'finish_reason'", with: "'stop_reason':'END','finish_reason'")
        #expect(try whole(body, to: Self.target(hasStops: true))["stats"]?["stop_reason"] == "stopStringFound")
    }

    @Test(
        "why it ended",
        arguments: [
            ("'stop'", "", 16384, true, "eosFound"), ("'stop'", ",'stop_reason':'END'", 16384, true, "stopStringFound"),
            ("'length'", "", 16384, true, "maxPredictedTokensReached"),
            ("'length'", "", 15, true, "contextLengthReached"),
            ("'length'", "", 16384, false, "contextLengthReached"),
            ("'content_filter'", "", 16384, true, "failed"),
        ])
    func reasons(_ finish: String, _ more: String, _ window: Int, _ isLimited: Bool, _ word: String) throws {
        let target = Self.target(window: window, isLimited: isLimited)
        let streamed = try chunks(Self.stream(finish: finish, more: more), to: target)
        #expect(streamed.last?["stats"]?["stop_reason"]?.string == word)
        let whole = try whole(
            Self.body(finish: finish + more), to: Self.target(window: window, isLimited: isLimited, streams: false))
        #expect(whole["stats"]?["stop_reason"]?.string == word)
    }

    @Test("it ended with calls")
    func endedWithCalls() throws {
        let calls =
            Self.head
            + "'delta':{'tool_calls':[{'index':0,'id':'a','function':{'name':'f','arguments':'{}'}}]},'finish_reason':'tool_calls'}]}"
        let chunks = try chunks("data: \(json(calls))\n\ndata: [DONE]\n\n", to: Self.target())
        #expect(chunks.last?["stats"]?["stop_reason"] == "toolCalls")
    }

    @Test("what the upstream tells stands: llama.cpp's times, drafts and build")
    func llama() throws {
        let last =
            ",'system_fingerprint':'b6710-0a1','choices':[],\(Self.usage),'timings':{'prompt_ms':80,'predicted_ms':50,'predicted_per_second':60.5,'draft_n':5,'draft_n_accepted':2}"
        for usage in [ChatFrameEdit.UsagePlacement.asked, .hidden] {
            let chunks = try chunks(Self.stream(last: last), to: Self.target(usage: usage, version: nil))
            #expect(
                chunks.last?["stats"] == [
                    "tokens_per_second": 60.5, "time_to_first_token": 0.08, "generation_time": 0.05,
                    "stop_reason": "eosFound", "total_draft_tokens_count": 5, "accepted_draft_tokens_count": 2,
                    "rejected_draft_tokens_count": 3, "ignored_draft_tokens_count": 0,
                ])
            #expect(chunks.last?["runtime"]?["version"]?.string == (usage == .asked ? "b6710-0a1" : ""))
        }
    }

    @Test("what LM Studio tells by itself stands, also where its last chunk is not the client's")
    func own() throws {
        let own =
            "'stats':{'tokens_per_second':51.0,'stop_reason':'eosFound'},'model_info':{'arch':'x'},'runtime':{'name':'r'}"
        let last = ",'choices':[],\(Self.usage),\(own)"
        for usage in [ChatFrameEdit.UsagePlacement.asked, .hidden] {
            let chunks = try chunks(Self.stream(last: last), to: Self.target(usage: usage))
            #expect(chunks.last?["stats"] == ["tokens_per_second": 51.0, "stop_reason": "eosFound"])
            #expect(chunks.last?["model_info"] == ["arch": "x"] && chunks.last?["runtime"] == ["name": "r"])
        }
        let whole = try whole(Self.body(",\(own)"), to: Self.target(streams: false))
        #expect(whole["runtime"] == ["name": "r"])
        let empty = try self.whole(Self.body(",'stats':{}"), to: Self.target(streams: false))
        #expect(empty["stats"]?["stop_reason"] == "eosFound")
    }

    @Test("of a model nobody knows the members are there all the same")
    func unknown() throws {
        let target = Self.target(window: nil, card: ModelCard(), version: nil, streams: false)
        let reply = try whole(Self.body(), to: target)
        #expect(reply["model_info"] == ["arch": "", "quant": "", "format": "gguf"])
        #expect(reply["runtime"]?["version"] == "")
    }

    @Test("errors are words alone")
    func errors() throws {
        let error = GatewayError(code: .modelNotFound, message: "there is no \"x\"", param: "model")
        #expect(ErrorTable.bareBody(error).string == #"{"error":"there is no \"x\""}"#)
    }
}

/// A clock that says what it was told to, in order.
private final class Clock: Sendable {
    private let times: Mutex<[UInt64]>
    init(_ times: [UInt64]) { self.times = Mutex(times) }
    func next() -> UInt64 { times.withLock { $0.removeFirst() } }
}

extension String {
    fileprivate func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
