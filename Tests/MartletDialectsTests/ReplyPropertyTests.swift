import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Random replies, said as streams cut into random pieces, and whole: a client gets the same either way.
@Suite("Streams and whole replies mean the same")
struct ReplyPropertyTests {
    static let texts = ["a", "Grüße 😀", "\"quoted\" \\ \n\t", "<think>", "{\"a\": 1}", "\u{1}\u{7f}", "日本語", "x y z"]

    struct Call {
        var id: String
        var arguments: String
    }

    struct Answer {
        var reasoning = ""
        var text = ""
        var calls: [Call] = []

        init(_ random: inout Seeded) {
            func text() -> String {
                (0..<Int.random(in: 0...6, using: &random)).map { _ in
                    texts[Int.random(in: 0..<texts.count, using: &random)]
                }.joined()
            }
            reasoning = text()
            self.text = text()
            for index in 0..<Int.random(in: 0...3, using: &random) {
                let value = JSON.object([
                    texts[Int.random(in: 0..<texts.count, using: &random)]: .string(text()), "n": [1, true, nil, 1.5],
                ])
                calls.append(Call(id: "call_\(index)", arguments: value.text))
            }
        }

        var reason: String { calls.isEmpty ? "stop" : "tool_calls" }
    }

    func pieces(_ text: String, _ random: inout Seeded) -> [String] {
        var rest = Array(text.unicodeScalars)[...]
        var pieces: [String] = []
        while !rest.isEmpty {
            let count = Int.random(in: 1...7, using: &random)
            pieces.append(String(String.UnicodeScalarView(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    func interleaved(_ streams: [[String]], _ random: inout Seeded) -> String {
        var streams = streams.filter { !$0.isEmpty }
        var out = ""
        while !streams.isEmpty {
            let place = Int.random(in: 0..<streams.count, using: &random)
            out += streams[place].removeFirst()
            if streams[place].isEmpty { streams.remove(at: place) }
        }
        return out
    }

    @Test("from Chat to Anthropic", arguments: 0..<60)
    func chatToAnthropic(seed: UInt64) throws {
        var random = Seeded(seed)
        let answer = Answer(&random)
        var stream = pieces(answer.reasoning, &random).map(ReplyAnthropicTests.think).joined()
        stream += pieces(answer.text, &random).map(ReplyAnthropicTests.text).joined()
        // Begun in their order, then in any.
        stream += answer.calls.enumerated().map { ReplyAnthropicTests.call($0, $1.id, "f", "") }.joined()
        stream += interleaved(
            answer.calls.enumerated().map { index, call in
                pieces(call.arguments, &random).map { ReplyAnthropicTests.more(index, $0) }
            },
            &random)
        stream +=
            chunk("{}", finish: "\"\(answer.reason)\"")
            + ReplyAnthropicTests.usage("{'prompt_tokens':9,'completion_tokens':2}") + done
        var message: JSON = [
            "role": "assistant", "content": .string(answer.text), "reasoning_content": .string(answer.reasoning),
        ]
        message["tool_calls"] = .array(
            answer.calls.map {
                [
                    "id": .string($0.id), "type": "function",
                    "function": ["name": "f", "arguments": .string($0.arguments)],
                ]
            })
        let body: JSON = [
            "id": "c", "choices": [["index": 0, "message": message, "finish_reason": .string(answer.reason)]],
            "usage": ["prompt_tokens": 9, "completion_tokens": 2],
        ]
        let size = Int.random(in: 0...40, using: &random)
        let reader = StrictAnthropicReader(asAnthropic(stream, cut: size).text)
        #expect(reader.faults == [], "seed \(seed)")
        let whole = try JSON(
            parsing: Dialects.translateWhole(body.buffer, from: .chat, to: replyTarget(.anthropic)).pieces[0])
        for member in ["content", "stop_reason", "stop_sequence", "usage", "model", "role", "type"] {
            #expect(reader.message[member] == whole[member], "seed \(seed), \(member)")
        }
    }

    @Test("from Anthropic to Chat", arguments: 0..<60)
    func anthropicToChat(seed: UInt64) throws {
        var random = Seeded(seed)
        let answer = Answer(&random)
        var stream = ReplyChatTests.start
        var content: [JSON] = []
        func add(_ block: JSON, _ full: JSON, _ type: String, _ member: String, _ text: String) {
            stream += ReplyChatTests.open(content.count, block.text)
            for piece in pieces(text, &random) {
                stream += ReplyChatTests.delta(
                    content.count, JSON.object(["type": .string(type), member: .string(piece)]).text)
            }
            stream += ReplyChatTests.close(content.count)
            content.append(full)
        }
        if !answer.reasoning.isEmpty {
            add(
                ["type": "thinking", "thinking": "", "signature": ""],
                ["type": "thinking", "thinking": .string(answer.reasoning), "signature": "s"], "thinking_delta",
                "thinking", answer.reasoning)
        }
        if !answer.text.isEmpty {
            add(
                ["type": "text", "text": ""], ["type": "text", "text": .string(answer.text)], "text_delta", "text",
                answer.text)
        }
        for call in answer.calls {
            add(
                ["type": "tool_use", "id": .string(call.id), "name": "f", "input": [:]],
                ["type": "tool_use", "id": .string(call.id), "name": "f", "input": try JSON(parsing: call.arguments)],
                "input_json_delta", "partial_json", call.arguments)
        }
        let reason = answer.calls.isEmpty ? "end_turn" : "tool_use"
        stream += ReplyChatTests.end(reason)
        let body: JSON = [
            "id": "msg_u", "type": "message", "model": "up", "content": .array(content), "stop_reason": .string(reason),
            "usage": [
                "input_tokens": 10, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 7,
            ],
        ]
        let relayed = asChat(stream, usage: .asked, cut: Int.random(in: 0...40, using: &random))
        #expect(strictFaults(relayed.text) == [], "seed \(seed)")
        let whole = try JSON(
            parsing: Dialects.translateWhole(body.buffer, from: .anthropic, to: replyTarget(.chat)).pieces[0])
        #expect(whole["usage"] == chunks(relayed.text).last?["usage"], "seed \(seed)")
        let message = whole["choices"]?[0]?["message"]
        let deltas = chunks(relayed.text).compactMap { $0["choices"]?[0]?["delta"] }
        #expect(
            deltas.compactMap { $0["content"]?.string }.joined() == message?["content"]?.string ?? "", "seed \(seed)")
        #expect(
            deltas.compactMap { $0["reasoning_content"]?.string }.joined() == message?["reasoning_content"]?.string
                ?? "")
        for (index, call) in (message?["tool_calls"]?.array ?? []).enumerated() {
            let mine = deltas.compactMap { $0["tool_calls"]?[0] }.filter { $0["index"]?.int == index }
            let arguments = mine.compactMap { $0["function"]?["arguments"]?.string }.joined()
            #expect(arguments == call["function"]?["arguments"]?.string, "seed \(seed)")
            #expect(mine.first?["id"] == call["id"])
        }
    }

    func chunks(_ text: String) -> [JSON] {
        text.split(separator: "\n\n").compactMap { try? JSON(parsing: String($0.dropFirst(6))) }
    }

    @Test("noise in place of an Anthropic stream does no harm", arguments: 0..<200)
    func noise(seed: UInt64) {
        var random = Seeded(seed)
        let plain =
            ReplyChatTests.start + ReplyChatTests.text(0, "ab", "cd") + ReplyChatTests.call(1, "t", "{\\'a\\'", ":1}")
            + ReplyChatTests.end("tool_use")
        var bytes = Array(plain.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            if Bool.random(using: &random) {
                bytes[place] = UInt8.random(in: 0...255, using: &random)
            } else {
                bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &random)))
            }
        }
        for client in DialectID.allCases {
            var pipe = Dialects.pipe(from: .anthropic, to: replyTarget(client))
            var out = ByteBuffer()
            _ = pipe.pass(ByteBuffer(bytes: bytes), into: &out)
            let finding = pipe.finish(into: &out)
            #expect(finding != .nothing)
            if client == .chat, finding == .complete {
                #expect(out.string.hasSuffix("data: [DONE]\n\n"), "seed \(seed)")
            }
        }
    }
}
