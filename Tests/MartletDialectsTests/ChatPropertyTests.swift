import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Chat streams, whatever their cut and content")
struct ChatPropertyTests {
    /// A random stream of a compatible server, well-formed as JSON, odd in every other way.
    struct RandomStream {
        var random: Seeded

        init(seed: UInt64) { random = Seeded(seed) }

        mutating func pick<T>(_ options: [T]) -> T { options[Int.random(in: 0..<options.count, using: &random)] }
        mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

        mutating func text() -> String {
            let pieces = [
                "a", "hello ", "\\n", "\\\"", "\\\\", "\\u00e9", "é", "日本", "\\ud83d\\ude00", "{", "}", "[1,2]",
                "data: ",
                "\\/", "\\t", ":", ",", "choices", "\\ud83d", "\\ude00", "~the text of a delta~",
            ]
            return (0...Int.random(in: 0..<4, using: &random)).map { _ in pick(pieces) }.joined()
        }

        mutating func delta(_ kind: Int) -> String {
            switch kind {
            case 0, 1, 2: "{\"content\":\"\(text())\"}"
            case 3, 4: "{\"reasoning_content\":\"\(text())\"}"
            case 5: "{\"reasoning\":\"\(text())\",\"content\":null}"
            case 6: "{\"role\":\"assistant\",\"content\":\"\"}"
            case 7:
                "{\"tool_calls\":[{\"index\":\(pick([0, 1])),\"id\":\"c\(pick([0, 1, 2]))\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}"
            case 8, 9, 10: "{\"tool_calls\":[{\"index\":\(pick([0, 1])),\"function\":{\"arguments\":\"\(text())\"}}]}"
            case 11: "{\"tool_calls\":[{\"function\":{\"name\":\"g\",\"arguments\":{\"x\":1}}}]}"
            case 12: "{\"tool_calls\":[]}"
            case 13: "{\"refusal\":\"\(text())\"}"
            default: "{}"
            }
        }

        mutating func stream() -> String {
            let id = pick(["\"id\":\"c\",", "\"id\":\"\",", ""])
            let choices = pick([1, 1, 1, 2])
            var more = pick(["", "", ",\"usage\":null", ",\"x\":{\"y\":[1.0]}"])
            let varies = chance(10)
            var kind = 0
            var stream = ""
            for number in 0..<Int.random(in: 0..<40, using: &random) {
                if chance(30) { kind = Int.random(in: 0..<15, using: &random) }
                if varies { more = ",\"obfuscation\":\"\(number)\"" }
                let finish = chance(2) ? pick(["\"stop\"", "\"eos\"", "\"length\"", "\"\""]) : "null"
                let choice = Int.random(in: 0..<choices, using: &random)
                stream +=
                    "data: {\(id)\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"up\",\"choices\":[{\"index\":\(choice),"
                    + "\"delta\":\(delta(kind)),\"logprobs\":null,\"finish_reason\":\(finish)}]\(more)}\n\n"
                if chance(3) { stream += pick([": ping\n\n", "data:\n\n", "data: {\"choices\":[]}\n\n", "\n"]) }
            }
            if chance(80) { stream += finishStop }
            if chance(50) { stream += head + "\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n" }
            if chance(80) { stream += done }
            return chance(10) ? String(stream.dropLast(Int.random(in: 0..<30, using: &random))) : stream
        }
    }

    @Test("the fast path reads what the walk reads", arguments: 0..<120)
    func fastReads(seed: UInt64) {
        var random = RandomStream(seed: seed)
        let stream = random.stream()
        #expect(events(stream) == events(stream, fast: false), "seed \(seed)")
    }

    @Test("the fast path edits what the edit from scratch edits", arguments: 0..<120)
    func fastEdits(seed: UInt64) {
        var random = RandomStream(seed: seed)
        let stream = random.stream()
        for usage in [ChatFrameEdit.UsagePlacement.asked, .hidden, .finalChunk] {
            let fast = run(chatPipe(.repair, usage: usage), reads(stream, of: 0))
            let slow = run(chatPipe(.repair, usage: usage, fast: false), reads(stream, of: 0))
            #expect(fast == slow, "seed \(seed)")
        }
    }

    @Test("any cut of the bytes gives the same output", arguments: 0..<25)
    func cuts(seed: UInt64) {
        var random = RandomStream(seed: seed)
        let stream = random.stream()
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            let whole = run(chatPipe(mode, usage: .asked), reads(stream, of: 0))
            for size in [1, 2, 3, 7, 64] {
                #expect(
                    run(chatPipe(mode, usage: .asked), reads(stream, of: size)) == whole, "seed \(seed), cut \(size)")
            }
        }
    }

    @Test("every single cut position of a short stream gives the same output")
    func everyCut() {
        let stream =
            chunk("{\"role\":\"assistant\"}") + chunk("{\"content\":\"é\\n\"}") + chunk("{\"content\":\"b\"}")
            + ": x\n\n"
            + chunk("{}", finish: "\"eos\"") + done
        let bytes = Array(stream.utf8)
        let whole = run(chatPipe(.repair), reads(stream, of: 0))
        #expect(whole.finding == .complete)
        for cut in 0...bytes.count {
            let parts = [ByteBuffer(bytes: bytes[..<cut]), ByteBuffer(bytes: bytes[cut...])]
            #expect(run(chatPipe(.repair), parts) == whole, "cut \(cut)")
        }
    }

    @Test("an exact relay of the client's own spelling is the stream", arguments: 0..<25)
    func exactIsIdentity(seed: UInt64) {
        var random = RandomStream(seed: seed)
        let stream = random.stream().replacing("\"up\"", with: "\"m\"")
        let relayed = run(chatPipe(.exact), reads(stream, of: 7))
        #expect(relayed.text.hasPrefix(withoutTornEvent(stream)), "seed \(seed)")
        if relayed.finding == .complete { #expect(relayed.text == stream, "seed \(seed)") }
    }

    @Test("a repaired stream is one a strict reader accepts", arguments: 0..<120)
    func strict(seed: UInt64) {
        var random = RandomStream(seed: seed)
        let relayed = relay(random.stream(), usage: .asked)
        guard relayed.finding == .complete else { return }
        let faults = strictFaults(relayed.text)
        #expect(faults == [], "seed \(seed)")
    }
}

/// What the decoders of clients insist on: one id, call indices from 0 without gaps, head members once, a finish per
/// choice, usage alone, `[DONE]` last. Or, in their places, an error at the end.
func strictFaults(_ stream: String) -> [String] {
    var faults: [String] = []
    var framer = SSEFramer()
    var ids = Set<String>()
    var seen = Set<Int>()
    var finished: [Int: Int] = [:]
    var calls: [Int: [Int]] = [:]
    var callIDs = Set<String>()
    var named = Set<String>()
    var arguments: [Int: String] = [:]
    var isDone = false
    var hasFailed = false
    _ = framer.take(ByteBuffer(string: stream))
    while let frame = framer.next() {
        guard let event = frame.event else { continue }
        if isDone { faults.append("something behind [DONE]") }
        if hasFailed { faults.append("something behind the error") }
        if event.isDone {
            isDone = true
            continue
        }
        guard
            let chunk = try? JSON(
                parsing: event.data.string.replacing("\\ud83d", with: "").replacing("\\ude00", with: ""))
        else {
            faults.append("not JSON: \(event.data.string)")
            continue
        }
        if let error = chunk["error"] {
            hasFailed = true
            if error["message"]?.string?.isEmpty != false { faults.append("an error without a message") }
            continue
        }
        ids.insert(chunk["id"]?.string ?? "none")
        if chunk["object"]?.string != "chat.completion.chunk" { faults.append("object") }
        let choices = chunk["choices"]?.array ?? []
        if choices.isEmpty != (chunk["usage"]?.object != nil) { faults.append("choices and usage") }
        for choice in choices {
            guard let index = choice["index"]?.int, let delta = choice["delta"]?.object else {
                faults.append("index or delta missing")
                continue
            }
            seen.insert(index)
            if finished[index] != nil { faults.append("something behind the finish of \(index)") }
            if let calls = delta["tool_calls"]?.array, calls.isEmpty { faults.append("empty tool_calls") }
            for call in delta["tool_calls"]?.array ?? [] {
                guard let slot = call["index"]?.int, let function = call["function"],
                    function["arguments"]?.string != nil
                else {
                    faults.append("call without index, function or arguments")
                    continue
                }
                let isNew = calls[index, default: []].contains(slot) == false
                if isNew, slot != calls[index, default: []].count { faults.append("gap before call \(slot)") }
                if isNew { calls[index, default: []].append(slot) }
                if isNew != (call["id"]?.string != nil) { faults.append("id of call \(slot) not once") }
                if isNew != (call["type"]?.string != nil) { faults.append("type of call \(slot) not once") }
                if let id = call["id"]?.string, !callIDs.insert("\(index) \(id)").inserted {
                    faults.append("id \(id) twice")
                }
                if function["name"] != nil, !named.insert("\(index) \(slot)").inserted { faults.append("name twice") }
                arguments[index, default: ""] += function["arguments"]?.string ?? ""
            }
            if let reason = choice["finish_reason"]?.string {
                finished[index, default: 0] += 1
                if !["stop", "length", "tool_calls", "content_filter"].contains(reason) { faults.append(reason) }
                let hasCalls = calls[index] != nil
                // Cut calls of a stream without a reason are not to be run.
                let isCut = arguments[index] != "{}"
                if hasCalls == (reason == "stop"), !["length", "content_filter"].contains(reason), !(hasCalls && isCut)
                {
                    faults.append("\(reason), calls: \(hasCalls)")
                }
            }
        }
    }
    if ids.count > 1 { faults.append("ids \(ids)") }
    guard !hasFailed else { return faults }
    if seen.contains(where: { finished[$0] != 1 }) { faults.append("finish not once") }
    if !isDone { faults.append("no [DONE]") }
    return faults
}
