import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("What stands between reader and writer")
struct ReplyFilterTests {
    static let think = ReplyContext(reasoningOut: .thinkTags)

    /// `thinking|text` of what the client gets, for text that comes in pieces of so many characters.
    func shown(_ text: String, _ context: ReplyContext, pieces: Int, reasoning: String = "", escaped: Bool = false)
        -> String
    {
        let characters = Array(text)
        var stream = reasoning.isEmpty ? "" : ReplyAnthropicTests.think(reasoning)
        for start in stride(from: 0, to: characters.count, by: pieces) {
            let piece = ReplyAnthropicTests.text(String(characters[start..<min(start + pieces, characters.count)]))
            stream += escaped ? piece.replacing("<", with: "\\u003c").replacing(">", with: "\\u003E") : piece
        }
        let reader = StrictAnthropicReader(asAnthropic(stream + finishStop + done, context).text)
        #expect(reader.faults == [])
        let blocks = reader.message["content"]?.array ?? []
        return blocks.map { $0["thinking"]?.string.map { "[\($0)]" } ?? $0["text"]?.string ?? "?" }.joined(
            separator: "|")
    }

    static let splits: [(String, String)] = [
        ("<think>a b</think>\n\nc", "[a b]|c"),
        ("<think>\na</think>c", "[a]|c"),
        ("\n <think>a</think>c", "[a]|c"),
        ("<thinking>a</thinking>c", "[a]|c"),
        ("<think></think>\nc", "c"),
        ("<think>a", "[a]"),
        ("<think>a</thi", "[a</thi]"),
        ("<think>a < b </ c</think>d<think>e</think>", "[a < b </ c]|d<think>e</think>"),
        ("x<think>a</think>", "x<think>a</think>"),
        ("<thin", "<thin"),
        ("<thin air>", "<thin air>"),
        ("plain", "plain"),
        ("  ", "  "),
        ("<think>é😀</think>ü", "[é😀]|ü"),
    ]

    @Test("C14: tags are split off at the start only, and nothing is swallowed, in any cut", arguments: splits)
    func split(text: String, expected: String) {
        for pieces in [1, 2, 3, 5, 100] {
            #expect(shown(text, Self.think, pieces: pieces) == expected)
            #expect(shown(text, Self.think, pieces: pieces, escaped: true) == expected)
        }
        #expect(shown(text, ReplyContext(), pieces: 3) == text)
    }

    @Test("white space without end does not wait for a tag")
    func blank() {
        let space = String(repeating: "\n", count: 1025)
        let said = asAnthropic(ReplyAnthropicTests.text(space), Self.think)
        #expect(StrictAnthropicReader(said.text).message["content"]?[0]?["text"]?.string == space)
        #expect(shown(space + "<think>a</think>", Self.think, pieces: 7) == space + "<think>a</think>")
    }

    @Test("thinking that was never closed ends with its block: a later text is text")
    func unclosed() {
        let stream =
            ReplyAnthropicTests.text("<think>a") + ReplyAnthropicTests.think("r") + ReplyAnthropicTests.text("b")
        let reader = StrictAnthropicReader(asAnthropic(stream + finishStop + done, Self.think).text)
        #expect(reader.faults == [])
        let blocks = reader.message["content"]?.array ?? []
        #expect(blocks.last?["text"] == "b")
    }

    @Test("C14: without being told of tags, only <think> at the very beginning is one", arguments: splits)
    func byDefault(text: String, expected: String) throws {
        let expected = text.contains("<thinking>") ? text : expected
        var context = ReplyContext()
        context.splitsThinking = true
        for pieces in [1, 2, 3, 5, 100] {
            #expect(shown(text, context, pieces: pieces) == expected)
            #expect(shown(text, context, pieces: pieces, escaped: true) == expected)
            #expect(shown(text, context, pieces: pieces, reasoning: "r") == "[r]|" + expected)
        }
        #expect(try Calls.whole(text, context).blocks == expected)
    }

    @Test("thinking among the parts of a content, as Mistral gives it, is thinking")
    func parts() throws {
        let parts = "[{'type':'thinking','thinking':[{'type':'text','text':'hm'}]},{'type':'text','text':'Hi'}]"
        let stream = chunk("{'content':\(parts)}") + finishStop + done
        let reader = StrictAnthropicReader(asAnthropic(stream).text)
        #expect(reader.message["content"]?[0]?["thinking"] == "hm" && reader.message["content"]?[1]?["text"] == "Hi")
        let relayed = run(Dialects.pipe(from: .chat, to: replyTarget(.chat)), reads(stream, of: 0)).text
        #expect(relayed.contains(json("'content':'Hi'")) && relayed.contains(json("'reasoning_content':'hm'")))
        let body = ByteBuffer(
            string: json("{'id':'c','choices':[{'index':0,'message':{'content':\(parts)},'finish_reason':'stop'}]}"))
        let whole = try Dialects.translateWhole(body, from: .chat, to: replyTarget(.chat))
        let message = try JSON(parsing: whole.pieces.map { String(buffer: $0) }.joined())["choices"]?[0]?["message"]
        #expect(message?["content"] == "Hi" && message?["reasoning_content"] == "hm")
    }

    @Test("a call without a name is none: the reply fails")
    func nameless() throws {
        let stream =
            chunk("{'tool_calls':[{'index':0,'id':'a','function':{'arguments':'{}'}}]}")
            + ReplyAnthropicTests.finishCalls + done
        guard case .failed(let error) = asAnthropic(stream).finding else { return #expect(Bool(false)) }
        #expect(error.code == .upstreamBadReply && error.message.contains("without a tool's name"))
    }

    @Test(
        "a reply that begins inside thinking",
        arguments: [
            ("a</think>\nb", "[a]|b"), ("<think>a</think>b", "[a]|b"), ("a", "[a]"), ("</think>b", "b"),
        ])
    func startsInside(text: String, expected: String) {
        let context = ReplyContext(reasoningOut: .thinkTags, startsInsideThinking: true)
        for pieces in [1, 2, 100] { #expect(shown(text, context, pieces: pieces) == expected) }
    }

    @Test("a call behind tagged thinking keeps its arguments")
    func callBehindTags() {
        let stream =
            ReplyAnthropicTests.text("<think>a</think>") + ReplyAnthropicTests.call(0, "c1", "f", "{\"a\"")
            + ReplyAnthropicTests.more(0, ":1}") + ReplyAnthropicTests.finishCalls + done
        let reader = StrictAnthropicReader(asAnthropic(stream, Self.think).text)
        #expect(reader.faults == [])
        #expect(reader.message["content"]?[1]?["input"] == ["a": 1])
    }

    static let stops: [(String, [String], String, String?)] = [
        ("abcSTOPdef", ["STOP"], "abc", "STOP"),
        ("abcSTO", ["STOP"], "abcSTO", nil),
        ("abcd", ["bcd", "c"], "ab", "c"),
        ("xaab", ["aab", "ab"], "x", "aab"),
        ("aaab", ["aab"], "a", "aab"),
        ("STOP", ["STOP"], "", "STOP"),
        ("a\nUser:", ["\nUser:"], "a", "\nUser:"),
        ("é😀ü", ["😀"], "é", "😀"),
        ("say \"x\"", ["\"x"], "say ", "\"x"),
    ]

    @Test("text ends at the first stop string, in any cut", arguments: stops)
    func stop(text: String, stops: [String], shown: String, match: String?) {
        let context = ReplyContext(stops: stops, clientStops: stops)
        for pieces in [1, 2, 3, 100] {
            let characters = Array(text)
            let stream = stride(from: 0, to: characters.count, by: pieces).map {
                ReplyAnthropicTests.text(String(characters[$0..<min($0 + pieces, characters.count)]))
            }.joined()
            let relayed = asAnthropic(stream + finishStop + done, context)
            let reader = StrictAnthropicReader(relayed.text)
            #expect(reader.faults == [] && relayed.finding == .complete)
            #expect((reader.message["content"]?[0]?["text"]?.string ?? "") == shown)
            #expect(reader.message["stop_sequence"]?.string == match)
            #expect(reader.message["stop_reason"] == (match == nil ? "end_turn" : "stop_sequence"))
        }
    }

    @Test("a match ends the reply before the upstream does, and reasoning is not searched")
    func stopEarly() {
        let context = ReplyContext(stops: ["END"], clientStops: ["END"])
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.anthropic), context: context)
        var out = ByteBuffer()
        #expect(pipe.pass(ByteBuffer(string: ReplyAnthropicTests.think("END")), into: &out) == .usable)
        #expect(pipe.pass(ByteBuffer(string: ReplyAnthropicTests.text("aEND")), into: &out) == .complete)
        #expect(StrictAnthropicReader(out.string).faults == [])
        #expect(pipe.tally.finishReason == .stop)
    }

    @Test(
        "a repeated beginning is cut off, a mere likeness is not",
        arguments: [
            ("The answer is 4", " 4"), ("The answer", "The answer"), ("The end", "The end"), (" 4", " 4"),
            ("The answer is", ""),
        ])
    func prefill(text: String, expected: String) {
        let context = ReplyContext(prefill: EscapedText(escaping: "The answer is"))
        for pieces in [1, 4, 100] { #expect(shown(text, context, pieces: pieces) == expected) }
    }

    @Test("hidden reasoning does not show")
    func hidden() { #expect(shown("a", ReplyContext(hidesReasoning: true), pieces: 1, reasoning: "hm") == "a") }

    @Test("calls after the first are dropped where only one was allowed")
    func oneCall() {
        let stream =
            ReplyAnthropicTests.call(0, "c1", "f", "{\"a\"") + ReplyAnthropicTests.call(1, "c2", "g", "{}")
            + ReplyAnthropicTests.more(0, ":1}") + ReplyAnthropicTests.finishCalls + done
        let message = StrictAnthropicReader(asAnthropic(stream, ReplyContext(keepsFirstCallOnly: true)).text).message
        #expect(message["content"]?.array?.count == 1 && message["content"]?[0]?["input"] == ["a": 1])
    }

    @Test(
        "E7: an answer in the reasoning's place is moved",
        arguments: [
            ("{\"a\":1}", "", "{\"a\":1}"), ("hm", "", "[hm]"), ("{\"a\":1", "", "[{\"a\":1]"), ("{}", "b", "[{}]|b"),
        ])
    func rescue(reasoning: String, text: String, expected: String) {
        #expect(shown(text, ReplyContext(wantsJSON: true), pieces: 1, reasoning: reasoning) == expected)
    }

    @Test("a reply of the gateway's own, streamed and whole")
    func local() throws {
        let block = BlockID(choice: 0, index: 0)
        let events: [ReplyEvent] = [
            .started(id: "x", model: "m"), .opened(block, .opaque(.anthropic, ["type": "server_tool_use", "id": "s"])),
            .closed(block),
            .opened(BlockID(choice: 0, index: 1), .text),
            .delta(BlockID(choice: 0, index: 1), EscapedText(escaping: "no")),
            .closed(BlockID(choice: 0, index: 1)), .finished(choice: 0, .stop, matchedStop: nil), .ended,
        ]
        let stream = Dialects.writeLocal(events, to: replyTarget(.anthropic), streams: true)
        let reader = StrictAnthropicReader(stream.string)
        #expect(reader.faults == [])
        let whole = try JSON(parsing: Dialects.writeLocal(events, to: replyTarget(.anthropic), streams: false))
        #expect(whole["content"] == reader.message["content"] && whole["content"]?[0]?["id"] == "s")
        #expect(strictFaults(Dialects.writeLocal(events, to: replyTarget(.chat), streams: true).string) == [])
    }
}
