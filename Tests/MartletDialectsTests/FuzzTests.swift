import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Mutated requests, streams and replies: none brings the process down, hangs it or makes it grow, what comes out does not
/// depend on how the bytes were cut, and clients get what their decoders understand. See `Fuzz` for how long.
@Suite("Fuzzing the dialects", .serialized)
struct FuzzTests {
    @Test(
        "a request is translated, the same each time, or refused as the client's mistake",
        arguments: [
            (FuzzTarget.chatRequests, DialectID.chat), (.completionsRequests, .completions),
            (.anthropicRequests, .anthropic),
            (.responsesRequests, .responses), (.lmstudioRequests, .lmstudio),
        ])
    func requests(target: FuzzTarget, client: DialectID) {
        let fault = Fuzz(target).run(FuzzCorpus.requests(client), count: 200) { bytes, random in
            FuzzCheck.request(bytes, client, &random)
        }
        #expect(fault == nil)
    }

    @Test("what is looked at or mended in a relayed request stays JSON, and is mended once")
    func relayedRequests() {
        let corpus = DialectID.allCases.flatMap(FuzzCorpus.requests)
        let fault = Fuzz(.relayedRequests).run(corpus, count: 200) { bytes, random in
            guard let document = try? JSONDocument(checking: ByteBuffer(bytes: bytes)) else { return nil }
            if let fault = Self.repairFault(document) { return fault }
            do throws(GatewayError) {
                for name in ["messages", "tools"] {
                    guard let member = try? document.member(name), member.kind == .array else { continue }
                    let value = document.slice(member.value)
                    if name == "tools" {
                        try ChatRequestKinds.check(tools: value)
                    } else {
                        _ = try ChatRequestKinds.check(
                            messages: value, takesImages: random.below(2) == 0, takesAudio: random.below(2) == 0)
                    }
                }
                _ = try ResponsesState(document)
                let items = try ResponsesRequest.inputItems(document)
                _ = try ResponsesRequest.references(document)
                let expanded = try ResponsesRequest.expanded(document, with: items)
                if !expanded.isJSON { return "expanded: no JSON" }
            } catch {
                return FuzzCheck.refusal(error, .chat)
            }
            for rung in SchemaRung.all(naming: "f") {
                for member in (try? ChatRequest.refitted(document, rung, .llamacpp)) ?? []
                where !member.value.isJSON {
                    return "\(rung): \(member.name) is no JSON"
                }
            }
            return nil
        }
        #expect(fault == nil)
    }

    private static func repairFault(_ document: JSONDocument) -> String? {
        let repairs: [(String, (JSONDocument) -> ByteBuffer?)] = [
            ("messages", AnthropicRequest.repairedMessages),
            ("input", { try? ResponsesUpstreamRequest.repairedInput($0, isKeptHere: true) }),
        ]
        for (name, repair) in repairs {
            guard let value = repair(document) else { continue }
            guard value.isJSON else { return "\(name): no JSON" }
            guard let again = try? JSONDocument(checking: ByteBuffer(string: #"{"\#(name)":\#(value.string)}"#)) else {
                return "\(name): cannot stand in a request"
            }
            if let more = repair(again), more != value { return "\(name): mended twice: \(more.string)" }
        }
        return nil
    }

    @Test(
        "a stream gives the same in any cut, and the client's decoder understands it",
        arguments: [
            (FuzzTarget.chatStreams, DialectID.chat), (.anthropicStreams, .anthropic), (.responsesStreams, .responses),
            (.completionsStreams, .completions), (.lmstudioStreams, .lmstudio),
        ] as [(FuzzTarget, DialectID)])
    func streams(target: FuzzTarget, dialect: DialectID) {
        let upstream = UpstreamDialect(dialect)
        let corpus = FuzzCorpus.streams(upstream) + FuzzCorpus.wholes(dialect)
        let fault = Fuzz(target).run(corpus, count: 100) { bytes, random in
            let context = FuzzCheck.context(&random)
            return FuzzCheck.stream(bytes, from: upstream, context, &random)
        }
        #expect(fault == nil)
    }

    @Test("calls left in the text are found or left in any cut")
    func calls() {
        let fault = Fuzz(.calls).run(FuzzCorpus.files("calls", "reply.sse"), count: 60) { bytes, random in
            FuzzCheck.stream(bytes, from: .chat, CallsTranscriptTests.context, &random)
        }
        #expect(fault == nil)
    }

    @Test("a whole reply is one for every client, or an error with words")
    func wholeReplies() {
        let corpus = DialectTableTests.conversations.flatMap {
            FuzzCorpus.wholes($0) + FuzzCorpus.streams(UpstreamDialect($0))
        }
        let fault = Fuzz(.wholeReplies).run(corpus, count: 200) { bytes, random in FuzzCheck.whole(bytes, &random) }
        #expect(fault == nil)
    }

    static let errors: [[UInt8]] = [
        #"{"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
        #"{"error":"context length is 4096 tokens, and the prompt has 9000"}"#,
        #"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
        #"{"object":"error","message":"maximum context length is 8192 tokens. However, you requested 9000 tokens","code":400}"#,
        #"{"detail":[{"loc":["body","model"],"msg":"field required"}]}"#, "<html><body>Bad gateway</body></html>",
        #"{"error":{"code":400,"message":"the request exceeds the available context size","n_ctx":4096,"n_prompt_tokens":5000}}"#,
    ].map { Array($0.utf8) }

    @Test("any error body gives a status and words, in every dialect")
    func errorBodies() {
        let fault = Fuzz(.errors).run(Self.errors, count: 1000) { bytes, random in
            let status = random.pick([400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529])
            let error = Dialects.readError(status: status, body: ByteBuffer(bytes: bytes))
            for client in DialectID.allCases {
                if !(400...599).contains(ErrorTable.status(error, for: client)) { return "status" }
                let body = ErrorTable.body(error, for: client, requestID: "r")
                if !body.isJSON { return "no JSON: \(body.string)" }
                if body.readableBytes > FuzzCheck.most(bytes.count) { return "\(body.readableBytes) bytes" }
            }
            return error.message.isEmpty ? "no words" : nil
        }
        #expect(fault == nil)
    }
}
