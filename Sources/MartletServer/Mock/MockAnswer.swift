import MartletWire
import NIOCore

/// What a mock says to a request: the same every time.
///
/// The last text of the user behind a fixed phrase, a tool's result behind another, the plainest JSON of a schema, or a
/// call of a tool. A word is a token.
struct MockAnswer {
    enum Finish: String { case stop, length, toolCalls = "tool_calls" }

    static let phrase = "The mock heard:"
    static let toolPhrase = "The tool said:"

    /// Text, or a call's arguments, a token each.
    private(set) var pieces: [String]
    private(set) var finish = Finish.stop
    /// The called tool; nil: the pieces are text.
    private(set) var tool: String?
    let promptTokens: Int
    private let model: String
    private var id = ""

    init(to request: MockRequest, settings: MockSettings) {
        model = request.model
        promptTokens = request.promptTokens
        if let tool = request.tool {
            self.tool = tool.name
            pieces = MockWords.cut(MockShape.value(of: tool.parameters).text)
            finish = .toolCalls
        } else if let schema = request.schema {
            pieces = MockWords.cut(MockShape.value(of: schema).text)
        } else {
            let said = request.toolResult.map { "\(MockAnswer.toolPhrase) \($0)" }
            let text = said ?? "\(MockAnswer.phrase) \(request.question.isEmpty ? "nothing" : request.question)"
            pieces = MockAnswer.fit(MockWords.split(text), to: settings.tokens)
            stop(at: request.stops)
        }
        if let most = request.maxTokens, pieces.count > most {
            pieces = Array(pieces.prefix(most))
            finish = .length
        }
        id = MockAnswer.number(pieces.joined() + model)
    }

    /// The words, cut to a count or repeated up to it.
    private static func fit(_ words: [String], to count: Int?) -> [String] {
        guard let count, let first = words.first else { return words }
        let again = [" " + first] + words.dropFirst()
        return (0..<count).map { $0 < words.count ? words[$0] : again[$0 % words.count] }
    }

    /// Ends the text before the first of the stop strings.
    private mutating func stop(at stops: [String]) {
        let text = pieces.joined()
        guard let place = stops.compactMap({ text.firstRange(of: $0)?.lowerBound }).min() else { return }
        pieces = MockWords.split(String(text[..<place]))
    }

    /// FNV-1a, so that ids are the same from run to run.
    private static func number(_ text: String) -> String {
        let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return String(hash, radix: 16)
    }

    // MARK: Wire

    private var usage: JSON {
        [
            "prompt_tokens": .int(promptTokens), "completion_tokens": .int(pieces.count),
            "total_tokens": .int(promptTokens + pieces.count),
        ]
    }

    /// The whole reply.
    var reply: JSON {
        let text = pieces.joined()
        var message: JSON = ["role": "assistant", "content": .string(text)]
        if let tool {
            message["content"] = .null
            message["tool_calls"] = [call(name: tool, arguments: text)]
        }
        var reply = head("chat.completion")
        reply["choices"] = [
            ["index": 0, "message": message, "logprobs": .null, "finish_reason": .string(finish.rawValue)]
        ]
        reply["usage"] = usage
        return reply
    }

    /// The events before the first piece: the role, and a call's name.
    var opening: [ByteBuffer] {
        var delta: JSON = ["role": "assistant"]
        if let tool {
            delta["content"] = .null
            var call = call(name: tool, arguments: "")
            call["index"] = 0
            delta["tool_calls"] = [call]
        } else {
            delta["content"] = ""
        }
        return [chunk(delta: delta)]
    }

    func event(_ piece: String) -> ByteBuffer {
        tool == nil
            ? chunk(delta: ["content": .string(piece)])
            : chunk(delta: ["tool_calls": [["index": 0, "function": ["arguments": .string(piece)]]]])
    }

    /// The events after the last piece.
    func closing(wantsUsage: Bool) -> [ByteBuffer] {
        var events = [chunk(delta: [:], finish: .string(finish.rawValue))]
        if wantsUsage {
            var last = head("chat.completion.chunk")
            last["choices"] = []
            last["usage"] = usage
            events.append(MockAnswer.frame(last.text))
        }
        return events + [MockAnswer.frame("[DONE]")]
    }

    private func call(name: String, arguments: String) -> JSON {
        [
            "id": "call_\(id)", "type": "function",
            "function": ["name": .string(name), "arguments": .string(arguments)],
        ]
    }

    private func chunk(delta: JSON, finish: JSON = .null) -> ByteBuffer {
        var chunk = head("chat.completion.chunk")
        chunk["choices"] = [["index": 0, "delta": delta, "finish_reason": finish]]
        return MockAnswer.frame(chunk.text)
    }

    private func head(_ object: String) -> JSON {
        ["id": "chatcmpl-\(id)", "object": .string(object), "created": 1_767_225_600, "model": .string(model)]
    }

    private static func frame(_ text: String) -> ByteBuffer { ByteBuffer(string: "data: \(text)\n\n") }
}
