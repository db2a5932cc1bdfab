import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Random Responses, said as streams with whatever servers leave out, cut into random pieces, and whole.
@Suite("Responses upstreams: streams and whole replies mean the same")
struct ResponsesPropertyTests {
    /// A Response, and the events that would build it up.
    struct Sample {
        var output: [JSON] = []
        /// Each with its item's number.
        var events: [(type: String, members: JSONObject)] = []
        let id = "resp_7"
        var status = "completed"

        private static let texts = [
            "a", "Grüße 😀", "\"quoted\" \\ \n\t", "{\"a\": 1}", "\u{1}\u{7f}", "日本語", "x y z", " ",
        ]

        private static func text(_ random: inout Seeded, atLeast least: Int = 0) -> String {
            (0..<Int.random(in: least...6, using: &random)).map { _ in
                texts[Int.random(in: 0..<texts.count, using: &random)]
            }.joined()
        }

        private static func pieces(_ text: String, _ random: inout Seeded) -> [String] {
            var rest = Array(text.unicodeScalars)[...]
            var pieces: [String] = []
            while !rest.isEmpty {
                let count = Int.random(in: 1...7, using: &random)
                pieces.append(String(String.UnicodeScalarView(rest.prefix(count))))
                rest = rest.dropFirst(count)
            }
            return pieces
        }

        init(_ random: inout Seeded) {
            var calls: [[(type: String, members: JSONObject)]] = []
            for index in 0..<Int.random(in: 0...5, using: &random) {
                let kind = Int.random(in: 0...4, using: &random)
                // Calls beside one another, until anything else begins.
                if kind != 3 { flush(&calls, &random) }
                switch kind {
                case 0: addReasoning(index, &random)
                case 1, 2: addMessage(index, &random)
                case 3: calls.append(addCall(index, &random))
                default: addHosted(index)
                }
            }
            flush(&calls, &random)
            if Int.random(in: 0...4, using: &random) == 0 { status = "incomplete" }
        }

        private mutating func flush(
            _ calls: inout [[(type: String, members: JSONObject)]], _ random: inout Seeded
        ) {
            // Announced in their order, then in any.
            for place in calls.indices { events.append(calls[place].removeFirst()) }
            calls.removeAll(where: \.isEmpty)
            while !calls.isEmpty {
                let place = Int.random(in: 0..<calls.count, using: &random)
                events.append(calls[place].removeFirst())
                calls.removeAll(where: \.isEmpty)
            }
        }

        private mutating func add(_ type: String, _ members: JSONObject) {
            events.append(("response.\(type)", members))
        }

        private mutating func addMessage(_ index: Int, _ random: inout Seeded) {
            let id = JSON.string("msg_\(index)")
            let head: JSON = ["id": id, "type": "message", "role": "assistant", "status": "in_progress", "content": []]
            add("output_item.added", ["output_index": .int(index), "item": head])
            var parts: [JSON] = []
            for part in 0..<Int.random(in: 0...2, using: &random) {
                let isRefusal = Int.random(in: 0...3, using: &random) == 0
                let name = isRefusal ? "refusal" : "output_text"
                let member = isRefusal ? "refusal" : "text"
                let text = Self.text(&random)
                let place: JSONObject = ["item_id": id, "output_index": .int(index), "content_index": .int(part)]
                func with(_ name: String, _ value: JSON) -> JSONObject {
                    var members = place
                    members[name] = value
                    return members
                }
                let whole: JSON = ["type": .string(name), member: .string(text)]
                add("content_part.added", with("part", ["type": .string(name), member: ""]))
                for piece in Self.pieces(text, &random) { add("\(name).delta", with("delta", .string(piece))) }
                add("\(name).done", with(member, .string(text)))
                add("content_part.done", with("part", whole))
                parts.append(whole)
            }
            var item = head
            item["status"] = "completed"
            item["content"] = .array(parts)
            add("output_item.done", ["output_index": .int(index), "item": item])
            output.append(item)
        }

        private mutating func addReasoning(_ index: Int, _ random: inout Seeded) {
            let id = JSON.string("rs_\(index)")
            let isSummary = Bool.random(using: &random)
            let (list, name) = isSummary ? ("summary", "reasoning_summary_text") : ("content", "reasoning_text")
            add(
                "output_item.added",
                ["output_index": .int(index), "item": ["id": id, "type": "reasoning", "summary": []]])
            var parts: [JSON] = []
            for part in 0..<Int.random(in: 0...2, using: &random) {
                let text = Self.text(&random, atLeast: 1)
                let place: JSONObject = ["item_id": id, "output_index": .int(index), "\(list)_index": .int(part)]
                for piece in Self.pieces(text, &random) {
                    var members = place
                    members["delta"] = .string(piece)
                    add("\(name).delta", members)
                }
                var members = place
                members["text"] = .string(text)
                add("\(name).done", members)
                parts.append(["type": isSummary ? "summary_text" : "reasoning_text", "text": .string(text)])
            }
            var item: JSON = ["id": id, "type": "reasoning", "summary": []]
            item[list] = .array(parts)
            if Bool.random(using: &random) { item["encrypted_content"] = "gAAA+/==" }
            add("output_item.done", ["output_index": .int(index), "item": item])
            output.append(item)
        }

        /// - Returns: its events, which may stand between those of other calls.
        private mutating func addCall(
            _ index: Int, _ random: inout Seeded
        ) -> [(type: String, members: JSONObject)] {
            let id = JSON.string("fc_\(index)")
            let value: JSON = [Self.texts[index]: .string(Self.text(&random)), "n": [1, true, nil, 1.5]]
            var item: JSON = [
                "id": id, "type": "function_call", "call_id": .string("call_\(index)"), "name": "f", "arguments": "",
            ]
            var events: [(type: String, members: JSONObject)] = [
                ("response.output_item.added", ["output_index": .int(index), "item": item])
            ]
            for piece in Self.pieces(value.text, &random) {
                events.append(
                    (
                        "response.function_call_arguments.delta",
                        ["item_id": id, "output_index": .int(index), "delta": .string(piece)]
                    ))
            }
            item["arguments"] = .string(value.text)
            events.append(
                (
                    "response.function_call_arguments.done",
                    ["item_id": id, "output_index": .int(index), "arguments": .string(value.text)]
                ))
            events.append(("response.output_item.done", ["output_index": .int(index), "item": item]))
            output.append(item)
            return events
        }

        private mutating func addHosted(_ index: Int) {
            let item: JSON = ["id": .string("ws_\(index)"), "type": "web_search_call", "status": "completed"]
            add("output_item.added", ["output_index": .int(index), "item": item])
            add("web_search_call.searching", ["output_index": .int(index), "item_id": .string("ws_\(index)")])
            add("output_item.done", ["output_index": .int(index), "item": item])
            output.append(item)
        }

        // MARK: - How it is said

        func response(_ status: String, _ output: [JSON]) -> JSON {
            var response: JSON = [
                "id": .string(id), "object": "response", "created_at": 5, "model": "up", "status": .string(status),
                "output": .array(output),
            ]
            guard status != "in_progress" else { return response }
            if status == "incomplete" { response["incomplete_details"] = ["reason": "max_output_tokens"] }
            response["usage"] = [
                "input_tokens": 9, "input_tokens_details": ["cached_tokens": 2], "output_tokens": 4,
                "output_tokens_details": ["reasoning_tokens": 1], "total_tokens": 13,
            ]
            return response
        }

        /// What a server may leave out.
        enum Lack: CaseIterable { case names, numbers, announcements, ends, deltas, finalOutput, done, padding }

        func stream(_ lacks: Set<Lack>, _ random: inout Seeded) -> String {
            var all: [(type: String, members: JSONObject)] = [
                ("response.created", ["response": response("in_progress", [])])
            ]
            all += events.filter { event in
                if lacks.contains(.announcements), event.type.hasSuffix(".added") { return false }
                if lacks.contains(.deltas), event.type.hasSuffix(".delta") { return false }
                if lacks.contains(.ends), event.type.hasSuffix(".done") { return false }
                return true
            }
            let final = response(status, lacks.contains(.finalOutput) ? [] : output)
            all.append(("response.\(status)", ["response": final]))
            var stream = ""
            for (number, event) in all.enumerated() {
                var data: JSONObject = ["type": .string(event.type)]
                if !lacks.contains(.numbers) { data["sequence_number"] = .int(number) }
                for (name, value) in event.members { data[name] = value }
                if !lacks.contains(.padding), event.type.hasSuffix("output_text.delta") {
                    let length = Int.random(in: 0...9, using: &random)
                    data["obfuscation"] = .string(String(repeating: "k", count: length))
                }
                if !lacks.contains(.names) { stream += "event: \(event.type)\n" }
                stream += "data: \(JSON.object(data).text)\n\n"
            }
            return stream + (lacks.contains(.done) ? "" : done)
        }
    }

    /// Blocks with their text; how it was cut into deltas is of no account.
    func folded(_ stream: String, fast: Bool = true) throws -> Reply {
        var framer = SSEFramer()
        var reader = ResponsesStreamReader(readsFast: fast)
        var fold = ReplyFold()
        _ = framer.take(ByteBuffer(string: stream))
        while let frame = framer.next() {
            if let delta = reader.readKnown(frame) {
                fold.take(.delta(delta.block, delta.text(of: frame)))
                continue
            }
            var events: [ReplyEvent] = []
            if let event = frame.event { try reader.read(event, into: &events) }
            for event in events { fold.take(event) }
        }
        return fold.reply
    }

    @Test("whatever a server leaves out, and whole", arguments: UInt64(0)..<150)
    func lacking(seed: UInt64) throws {
        var random = Seeded(seed)
        let sample = Sample(&random)
        var fold = ReplyFold()
        let body = sample.response(sample.status, sample.output).buffer
        for event in try ResponsesReply.events(body) { fold.take(event) }
        let expected = fold.reply
        for _ in 0..<6 {
            var lacks = Set(Sample.Lack.allCases.filter { _ in Bool.random(using: &random) })
            // Something has to say all of it: the items' ends, or the list at the end.
            if lacks.contains(.ends) { lacks.remove(.finalOutput) }
            let stream = sample.stream(lacks, &random)
            var reply = try folded(stream)
            // Told of at their end only, calls and others may come in another order than they began in.
            if !lacks.isDisjoint(with: [.announcements, .deltas, .ends]) {
                // What is sealed comes with an item's end, and too late with the reply's.
                let seals = !lacks.contains(.ends)
                #expect(sorted(reply.blocks, seals) == sorted(expected.blocks, seals), "seed \(seed), \(lacks)")
                reply.blocks = expected.blocks
            }
            #expect(reply == expected, "seed \(seed), \(lacks)")
            #expect(responsesMeaning(stream) == responsesMeaning(stream, fast: false), "seed \(seed), \(lacks)")
        }
    }

    func sorted(_ blocks: [ReplyBlock], _ seals: Bool) -> [String] {
        blocks.compactMap { block in
            let blobs = seals ? block.blobs : []
            if !seals, block.text.isEmpty, block.kind == .reasoning { return nil }
            return "\(block.kind) \(block.text.bytes.string) \(blobs)"
        }.sorted()
    }

    @Test("any cut of the bytes gives the same output", arguments: UInt64(200)..<240)
    func cuts(seed: UInt64) {
        var random = Seeded(seed)
        let sample = Sample(&random)
        let stream = sample.stream([], &random)
        let size = Int.random(in: 1...40, using: &random)
        for client in [DialectID.chat, .anthropic] {
            #expect(fromResponses(stream, to: client, cut: size) == fromResponses(stream, to: client), "seed \(seed)")
        }
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            #expect(relayResponses(stream, mode, cut: size) == relayResponses(stream, mode), "seed \(seed)")
        }
    }

    @Test("clients of both dialects are given what the reply comes to", arguments: UInt64(300)..<360)
    func translated(seed: UInt64) throws {
        var random = Seeded(seed)
        let sample = Sample(&random)
        let stream = sample.stream([], &random)
        let body = sample.response(sample.status, sample.output).buffer
        let reader = StrictAnthropicReader(fromResponses(stream, to: .anthropic).text)
        #expect(reader.faults == [], "seed \(seed)")
        let message = try JSON(
            parsing: Dialects.translateWhole(body, from: .responses, to: replyTarget(.anthropic)).pieces[0])
        for member in ["content", "stop_reason", "usage"] {
            #expect(reader.message[member] == message[member], "seed \(seed), \(member)")
        }
        #expect(strictFaults(fromResponses(stream, to: .chat, usage: .asked).text) == [], "seed \(seed)")
    }

    @Test("a repaired relay means what the stream meant, and is accepted", arguments: UInt64(400)..<460)
    func repaired(seed: UInt64) throws {
        var random = Seeded(seed)
        let sample = Sample(&random)
        let lacks = Set([Sample.Lack.names, .numbers, .done, .padding].filter { _ in Bool.random(using: &random) })
        let stream = sample.stream(lacks, &random)
        let relayed = relayResponses(stream, .repair)
        #expect(UpstreamResponsesGrammar(relayed.text).faults == [], "seed \(seed)")
        var before = try folded(stream)
        before.model = "m"
        #expect(try folded(relayed.text) == before, "seed \(seed)")
        #expect(relayResponses(relayed.text, .repair).text == relayed.text, "seed \(seed)")
        #expect(relayResponses(relayed.text, .exact).text == relayed.text, "seed \(seed)")
        let exact = relayResponses(stream, .exact).text
        #expect(exact == stream.replacing("\"model\":\"up\"", with: "\"model\":\"m\""), "seed \(seed)")
    }

    @Test("noise in place of a stream does no harm", arguments: UInt64(500)..<700)
    func noise(seed: UInt64) {
        var random = Seeded(seed)
        var bytes = Array(Sample(&random).stream([], &random).utf8)
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            if Bool.random(using: &random) {
                bytes[place] = UInt8.random(in: 0...255, using: &random)
            } else {
                bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &random)))
            }
        }
        for client in [DialectID.chat, .anthropic, .responses] {
            var pipe = Dialects.pipe(from: .responses, to: replyTarget(client))
            var out = ByteBuffer()
            _ = pipe.pass(ByteBuffer(bytes: bytes), into: &out)
            let finding = pipe.finish(into: &out)
            #expect(finding != .nothing && finding != .usable, "seed \(seed)")
            if case .failed(let error) = finding { pipe.fail(error, into: &out) }
            if client != .anthropic { #expect(out.string.hasSuffix("\n\n"), "seed \(seed)") }
        }
    }

    // MARK: - Requests

    @Test(
        "F5: over twenty turns of an agent each body's items begin with those of the one before", arguments: [0, 1, 2])
    func prefix(_ variant: Int) throws {
        var before = ""
        var tools: JSON?
        for turn in 0..<20 {
            let body = RequestPropertyTests().agentBody(turn: turn).replacing(
                "\"gw1.x\"", with: "\"gw1.responses.encrypted.gA\"")
            let made = try responsesBody(body, from: .anthropic, streams: true) {
                if variant == 1 { $0.systemLate = .user }
                if variant == 2 {
                    $0.sealedReasoning = false
                    $0.reasoningIn = .field("reasoning")
                    $0.imageInTool = false
                }
            }
            let start = try #require(made.text.firstRange(of: #""input":["#))
            let end = try #require(made.text.firstRange(of: #"],"tools":"#))
            let now = String(made.text[start.upperBound..<end.lowerBound])
            #expect(now.hasPrefix(before), "turn \(turn)")
            #expect(now.utf8.count > before.utf8.count)
            #expect(made.json["instructions"] == (variant == 1 ? "You code.\n\n# Environment" : "You code."))
            #expect(tools == nil || made.json["tools"] == tools)
            #expect(
                made.inputTypes.contains("reasoning") == (turn > 0), "turn \(turn)")
            tools = made.json["tools"]
            before = now
        }
    }

    @Test("any text of well-formed JSON is translated or refused, never worse", arguments: UInt64(1)...20)
    func garbage(_ seed: UInt64) throws {
        var random = Seeded(seed)
        let words = [
            "null", "true", "7", "-1", #""text""#, "{}", "[]", #"[{"type":"text","text":"x"}]"#,
            #"{"type":"tool","name":"f"}"#, #"[{"role":"user","content":"x"}]"#,
            #"[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"gw1.responses.encrypted."}]}]"#,
        ]
        let names = [
            "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "stop",
            "stop_sequences", "max_tokens", "stream", "metadata", "temperature", "response_format", "reasoning", "n",
        ]
        for _ in 0..<100 {
            let members = names.filter { _ in random.next() % 3 == 0 }.map {
                #""\#($0)":\#(words[Int(random.next() % UInt64(words.count))])"#
            }
            let body = "{\(members.joined(separator: ","))}"
            for client in [DialectID.chat, .anthropic] {
                do {
                    _ = try responsesBody(body, from: client)
                } catch let error as GatewayError {
                    #expect(error.code == .invalidRequest, "seed \(seed): \(body)")
                }
            }
        }
    }
}
