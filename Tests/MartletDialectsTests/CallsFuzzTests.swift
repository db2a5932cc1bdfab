import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Random text of markers, halves of calls and whole ones.
@Suite("Calls in random text")
struct CallsFuzzTests {
    static let words: [String] = [
        "<tool_call>", "</tool_call>", "<function=get_weather>", "<function=", "</function>", "<parameter=city>",
        "</parameter>", "<arg_key>city</arg_key>", "<arg_value>", "</arg_value>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]",
        "<|python_tag|>", "<|eom_id|>", "; ", "[TOOL_REQUEST]", "[END_TOOL_REQUEST]", "<|channel|>", "analysis",
        "final",
        "commentary", " to=functions.get_time", "<|message|>", "<|end|>", "<|start|>assistant", "<|call|>",
        "<|constrain|>",
        "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>",
        "<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>",
        "functions.get_time:0", "get_time", "get_weather", "nope", "{", "}", "[", "]", "(", ")", "\"", "'", ":", ",",
        "=",
        "{\"name\":\"get_time\"", "\"arguments\":{}", "{}", "{\"city\":\"a\"}", "None", "1", "\\", "\\u", "\n", "\n\n",
        " ",
        "a", "é", "😀", "```", "```\n", "`", "<think>", "</think>", "> ", "~~~", "\t",
        "<tool_call>{\"name\":\"get_time\",\"arguments\":{}}</tool_call>", "[get_time()]",
        "<tool_call>get_time</tool_call>", "[TOOL_CALLS]get_time[ARGS]{}",
        "{\"name\":\"get_time\",\"parameters\":{}}", "<function=get_time></function>",
        "<|channel|>commentary to=functions.get_time<|message|>{}<|call|>",
    ]

    func text(_ random: inout Seeded, _ count: ClosedRange<Int>) -> String {
        (0..<Int.random(in: count, using: &random)).map { _ in Self.words.randomElement(using: &random) ?? "" }.joined()
    }

    @Test("however it is cut, a client gets the same, and what is no call is text as it came", arguments: 0..<250)
    func cuts(seed: UInt64) {
        var random = Seeded(seed)
        let reasoning = Int.random(in: 0..<3, using: &random) == 0 ? text(&random, 1...12) : ""
        let text = text(&random, 0...25)
        let finish = Int.random(in: 0..<4, using: &random) == 0 ? "length" : "stop"
        let whole = Calls.shown(Calls.stream(text, reasoning: reasoning, finish: finish))
        for _ in 0..<3 {
            let pieces = Int.random(in: 1...9, using: &random)
            let stream = Calls.stream(text, pieces: pieces, reasoning: reasoning, finish: finish)
            let cut = Calls.shown(stream, cut: Int.random(in: 0...80, using: &random))
            #expect(cut == whole, "seed \(seed), pieces of \(pieces)")
        }
        if !whole.tally.contains("=1") && !whole.tally.contains("=2"), !(text + reasoning).contains("<|") {
            let shown = (reasoning.isEmpty ? [] : ["[\(reasoning)]"]) + (text.isEmpty ? [] : [text])
            #expect(whole.blocks == shown.joined(separator: "|"), "seed \(seed)")
        }
    }

    @Test("a relay gives the same message as a translation", arguments: 0..<250)
    func relay(seed: UInt64) {
        var random = Seeded(seed)
        let text = text(&random, 0...20)
        let stream = Calls.stream(text, pieces: Int.random(in: 1...9, using: &random))
        let target = replyTarget(.chat, usage: .asked)
        let relayed = run(
            Dialects.pipe(from: .chat, to: target, context: Calls.context),
            reads(stream, of: Int.random(in: 0...80, using: &random)))
        #expect(strictFaults(relayed.text) == [], "seed \(seed)")
        var message = ""
        for line in relayed.text.split(separator: "\n\n") where line.hasPrefix("data: {") {
            guard let delta = (try? JSON(parsing: String(line.dropFirst(6))))?["choices"]?[0]?["delta"] else {
                continue
            }
            message += (delta["content"]?.string ?? "") + (delta["tool_calls"]?[0]?["function"]?["name"]?.string ?? "")
        }
        var expected = ""
        let reader = StrictAnthropicReader(asAnthropic(stream, Calls.context).text)
        for block in reader.message["content"]?.array ?? [] {
            expected += block["text"]?.string ?? block["name"]?.string ?? ""
        }
        #expect(message == expected, "seed \(seed)")
    }

    @Test("bytes of any kind in a call do no harm", arguments: 0..<300)
    func noise(seed: UInt64) {
        var random = Seeded(seed)
        var characters = Array((CallsFamilyTests.understood.randomElement(using: &random)?.text ?? "").unicodeScalars)
        for _ in 0..<Int.random(in: 1...5, using: &random) where !characters.isEmpty {
            let place = Int.random(in: 0..<characters.count, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0: characters.remove(at: place)
            case 1: characters[place] = Unicode.Scalar(UInt8.random(in: 0...255, using: &random))
            default: characters.insert(characters[Int.random(in: 0..<characters.count, using: &random)], at: place)
            }
        }
        let text = String(String.UnicodeScalarView(characters))
        let whole = Calls.shown(Calls.stream(text))
        let cut = Calls.shown(Calls.stream(text, pieces: Int.random(in: 1...9, using: &random)))
        #expect(cut == whole, "seed \(seed)")
    }

    static let hostileCases: [(String, String)] = [
        (
            "a call without an end",
            "<tool_call>{\"name\":\"write_file\",\"arguments\":{\"content\":\"" + String(repeating: "x", count: 5 << 18)
        ),
        (
            "end marks in a string",
            "<tool_call>{\"name\":\"write_file\",\"arguments\":{\"content\":\""
                + String(repeating: "</tool_call>", count: 9000)
        ),
        ("markers, one in another", String(repeating: "<tool_call>\n", count: 5000)),
        ("brackets", "{\"name\":\"get_time\",\"parameters\":" + String(repeating: "[", count: 20_000)),
        ("parameters", "<function=get_time>" + String(repeating: "<parameter=a>", count: 5000)),
        ("parameters that end", "<function=get_time>" + String(repeating: "</parameter><parameter=a>x", count: 4000)),
        ("headers", String(repeating: "<|channel|>", count: 5000)),
        ("white space", String(repeating: " \n", count: 20_000)),
        ("calls", String(repeating: "[TOOL_CALLS]get_time[ARGS]{}", count: 500)),
        (
            "calls in thinking", "<think>" + String(repeating: "\n[TOOL_CALLS]get_time[ARGS]{}", count: 500)
        ),
        (
            "objects",
            "{\"name\":\"get_time\",\"parameters\":{}}"
                + String(repeating: ";{\"name\":\"get_time\",\"parameters\":{}}", count: 500)
        ),
    ]

    @Test(
        "what is made to cost much does not, and nothing of it is lost", .timeLimit(.minutes(1)),
        arguments: hostileCases)
    func hostile(name: String, text: String) {
        let escaped = JSON.string(text).text
        var stream = chunk("{'role':'assistant'}")
        // In deltas of some kilobytes, and the end in small ones.
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: 4096) {
            stream += Calls.delta(
                "content", String(decoding: bytes[start..<min(start + 4096, bytes.count)], as: UTF8.self))
        }
        stream += finishStop + done
        let shown = Calls.shown(stream)
        if name == "calls" {
            #expect(shown.tally.hasPrefix("mistral=128"))
        } else {
            #expect(shown.blocks == text)
            #expect(escaped.utf8.count > 100)
        }
    }
}
