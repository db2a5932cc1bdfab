import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Random replies for a client of Responses: as streams cut into random pieces, whole, and as bare events in any order.
@Suite("Responses streams and whole replies mean the same")
struct ReplyResponsesPropertyTests {
    func context() throws -> ReplyContext { try responsesContext(ReplyResponsesTests.request) }

    @Test("a stream ends with the object a whole reply is", arguments: 0..<80)
    func streamAndWhole(seed: UInt64) throws {
        var random = Seeded(seed)
        let properties = ReplyPropertyTests()
        var answer = ReplyPropertyTests.Answer(&random)
        let names = ["a", "patch", "multi_agent_v1__spawn_agent", "local_shell", "apply_patch", "unknown"]
        let called = answer.calls.map { _ in names[Int.random(in: 0..<names.count, using: &random)] }
        for (place, name) in called.enumerated() where name == "patch" && Bool.random(using: &random) {
            answer.calls[place].arguments = JSON.object(["input": .string(answer.text)]).text
        }
        let reason = answer.calls.isEmpty ? ["stop", "length"][Int.random(in: 0...1, using: &random)] : "tool_calls"
        var stream = properties.pieces(answer.reasoning, &random).map(ReplyAnthropicTests.think).joined()
        stream += properties.pieces(answer.text, &random).map(ReplyAnthropicTests.text).joined()
        stream += answer.calls.enumerated().map { ReplyAnthropicTests.call($0, $1.id, called[$0], "") }.joined()
        stream += properties.interleaved(
            answer.calls.enumerated().map { index, call in
                properties.pieces(call.arguments, &random).map { ReplyAnthropicTests.more(index, $0) }
            }, &random)
        stream +=
            chunk("{}", finish: "\"\(reason)\"")
            + ReplyAnthropicTests.usage("{'prompt_tokens':9,'completion_tokens':2}") + done
        var message: JSON = [
            "role": "assistant", "content": .string(answer.text), "reasoning_content": .string(answer.reasoning),
        ]
        message["tool_calls"] = .array(
            answer.calls.enumerated().map { index, call in
                [
                    "id": .string(call.id), "type": "function",
                    "function": ["name": .string(called[index]), "arguments": .string(call.arguments)],
                ]
            })
        let body: JSON = [
            "id": "c", "choices": [["index": 0, "message": message, "finish_reason": .string(reason)]],
            "usage": ["prompt_tokens": 9, "completion_tokens": 2],
        ]
        let relayed = asResponses(stream, try context(), cut: Int.random(in: 0...40, using: &random))
        let reader = StrictResponsesReader(relayed.text)
        #expect(reader.faults == [], "seed \(seed)")
        let whole = try Dialects.translateWhole(
            body.buffer, from: .chat, to: responsesTarget(), context: try context())
        let object = try JSON(parsing: whole.pieces[0])
        #expect(StrictResponsesReader.faults(of: object) == [], "seed \(seed)")
        #expect(object == reader.response, "seed \(seed)")
    }

    /// Events as readers give them: text, reasoning and refusal one at a time, calls side by side.
    static func events(_ random: inout Seeded) -> [ReplyEvent] {
        func text() -> EscapedText {
            let texts = ReplyPropertyTests.texts
            return EscapedText(escaping: texts[Int.random(in: 0..<texts.count, using: &random)])
        }
        let names = ["a", "patch", "shell", "multi_agent_v1__note", "tool_search", "odd.name"]
        var events: [ReplyEvent] = Bool.random(using: &random) ? [.started(id: "u", model: "up")] : []
        var open: BlockID?
        var calls: [BlockID] = []
        var next = 0
        for _ in 0..<Int.random(in: 0...30, using: &random) {
            let choice = next > 0 && Int.random(in: 0..<12, using: &random) == 0 ? 1 : 0
            let block = BlockID(choice: choice, index: next)
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1, 2:
                if let open { events.append(.closed(open)) }
                next += 1
                open = block
                let kinds: [BlockKind] = [.text, .reasoning, .refusal, .opaque(.anthropic, ["type": "x"])]
                events.append(.opened(block, kinds[Int.random(in: 0..<4, using: &random)]))
            case 3:
                if let open { events.append(.closed(open)) }
                open = nil
                next += 1
                calls.append(block)
                let kind: ToolCallHead.Kind = Int.random(in: 0..<5, using: &random) == 0 ? .custom : .function
                let name = names[Int.random(in: 0..<names.count, using: &random)]
                events.append(.opened(block, .toolCall(ToolCallHead(id: "c\(next % 3)", name: name, kind: kind))))
            case 4:
                if let call = calls.randomElement(using: &random) { events.append(.delta(call, text())) }
            case 5:
                if let place = calls.indices.randomElement(using: &random), Bool.random(using: &random) {
                    events.append(.closed(calls.remove(at: place)))
                } else {
                    events.append(.progress(Progress(.prefill)))
                }
            case 6:
                if let open {
                    events.append(
                        .blob(open, OpaqueBlob(origin: .anthropic, kind: .signature, text: EscapedText(escaping: "s"))))
                }
            default: if let open { events.append(.delta(open, text())) }
            }
        }
        if let open, Bool.random(using: &random) { events.append(.closed(open)) }
        for call in calls where Bool.random(using: &random) { events.append(.closed(call)) }
        return events
    }

    @Test("whatever events come, the stream is one a strict client takes", arguments: UInt64(0)..<300)
    func anyEvents(seed: UInt64) throws {
        var random = Seeded(seed)
        let events = Self.events(&random)
        let context = Bool.random(using: &random) ? try context() : ReplyContext()
        let reasons: [FinishReason?] = FinishReason.allCases + [nil]
        let reason = reasons[Int.random(in: 0..<reasons.count, using: &random)]
        var writer = ResponsesStreamWriter(responsesTarget(), context: context)
        var out = ByteBuffer()
        for event in events { writer.write(event, into: &out) }
        if let reason { writer.write(.finished(choice: 0, reason, matchedStop: nil), into: &out) }
        let fails = Int.random(in: 0..<4, using: &random) == 0
        let isTakenBack = fails && Bool.random(using: &random)
        if isTakenBack {
            writer.finish(into: &out)
            writer.takeBackEnd(from: &out)
            #expect(writer.finalObject == nil, "seed \(seed)")
        }
        if fails {
            writer.fail(.closedEarly, into: &out)
        } else {
            writer.finish(into: &out)
        }
        let reader = StrictResponsesReader(out.string, takesLateDeltas: true)
        #expect(reader.faults == [], "seed \(seed)\n\(out.string)")
        #expect(reader.response["status"]?.string == (fails ? "failed" : ending(reason)), "seed \(seed)")
        #expect(writer.finalObject.flatMap { try? JSON(parsing: $0) } == reader.response, "seed \(seed)")
        // Nothing follows the end.
        let length = out.readableBytes
        writer.write(.delta(BlockID(choice: 0, index: 0), EscapedText(escaping: "x")), into: &out)
        writer.keepAlive(into: &out)
        writer.finish(into: &out)
        writer.fail(.closedEarly, into: &out)
        #expect(out.readableBytes == length, "seed \(seed)")
    }

    private func ending(_ reason: FinishReason?) -> String {
        switch reason {
        case .length, .contextWindow, .contentFilter: "incomplete"
        case .stop, .toolCalls, .pauseTurn, nil: "completed"
        }
    }

    @Test("the fast path writes what the slow one does", arguments: 0..<20)
    func fastAndSlow(seed: UInt64) throws {
        var random = Seeded(seed)
        let properties = ReplyPropertyTests()
        let answer = ReplyPropertyTests.Answer(&random)
        let stream =
            properties.pieces(answer.reasoning, &random).map(ReplyAnthropicTests.think).joined()
            + properties.pieces(answer.text, &random).map(ReplyAnthropicTests.text).joined()
            + answer.calls.enumerated().map { ReplyAnthropicTests.call($0, $1.id, "f", $1.arguments) }.joined()
            + chunk("{}", finish: "\"stop\"") + done
        let slow = ReplyPipe(
            reader: ChatStreamReader(readsFast: false), writer: ResponsesStreamWriter(responsesTarget()),
            dialect: .responses)
        #expect(run(slow, reads(stream, of: 0)) == asResponses(stream), "seed \(seed)")
    }

    @Test("noise in the arguments of a custom tool is text in the end, and well-formed", arguments: UInt64(0)..<100)
    func noisyInput(seed: UInt64) throws {
        var random = Seeded(seed)
        var bytes = Array(#"{"input":"a\u00e9\ud83d\ude00\\\"\n"}"#.unicodeScalars)
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            if Bool.random(using: &random) {
                bytes[place] = ["\\", "\"", "u", "d", "{", "\n", "é"][Int.random(in: 0..<7, using: &random)]
            } else {
                bytes.remove(at: place)
            }
        }
        let context = try context()
        func input(_ size: Int) -> JSON? {
            var stream = ReplyAnthropicTests.call(0, "c1", "patch", "")
            var rest = bytes[...]
            while !rest.isEmpty {
                stream += ReplyAnthropicTests.more(0, String(String.UnicodeScalarView(rest.prefix(size))))
                rest = rest.dropFirst(size)
            }
            let reader = StrictResponsesReader(
                asResponses(stream + ReplyAnthropicTests.finishCalls + done, context).text)
            #expect(reader.faults == [], "seed \(seed)")
            return reader.output.first?["input"]
        }
        #expect(input(1) == input(1000) && input(1) == input(4) && input(1) != nil, "seed \(seed)")
    }
}
