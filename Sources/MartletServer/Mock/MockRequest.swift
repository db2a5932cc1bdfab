import MartletWire
import NIOCore

/// What a mock reads of a Chat Completions request.
struct MockRequest {
    struct Tool {
        var name: String
        var parameters: JSON
    }

    var model: String
    var streams: Bool
    var wantsUsage: Bool
    /// The text of the last message of the user; empty when there is none.
    var question = ""
    /// The last message's text when it is a tool's result.
    var toolResult: String?
    /// Words of all messages.
    var promptTokens = 0
    var maxTokens: Int?
    var stops: [String] = []
    /// The tool to be called; nil: none.
    var tool: Tool?
    /// Of `response_format`; nil: text.
    var schema: JSON?

    /// A sentence about what is wrong with a request.
    struct Problem: Error {
        var status = 400
        var message: String
        var param: String?
    }

    init(_ body: ByteBuffer, settings: MockSettings) throws(Problem) {
        let json: JSON
        do throws(JSONError) {
            json = try JSON(parsing: body)
        } catch {
            throw Problem(message: error.sentence)
        }
        guard let messages = json["messages"]?.array, !messages.isEmpty else {
            throw Problem(message: "messages must hold at least one message", param: "messages")
        }
        model = json["model"]?.string ?? ""
        guard settings.models.contains(model) else {
            throw Problem(
                status: 404,
                message: "the mock has no model \"\(model)\", only \(settings.models.joined(separator: ", "))",
                param: "model")
        }
        if let count = json["n"]?.int, count != 1 {
            throw Problem(message: "the mock gives one choice, n must be 1", param: "n")
        }
        streams = json["stream"]?.bool ?? false
        wantsUsage = json["stream_options"]?["include_usage"]?.bool ?? false
        maxTokens = (json["max_completion_tokens"]?.int ?? json["max_tokens"]?.int).flatMap { $0 < 0 ? nil : $0 }
        stops = json["stop"]?.string.map { [$0] } ?? json["stop"]?.array?.compactMap(\.string) ?? []
        stops.removeAll(where: \.isEmpty)
        for message in messages { read(message) }
        if let last = messages.last, last["role"]?.string == "tool" { toolResult = MockRequest.text(of: last) }
        readFormat(json["response_format"])
        readTools(json)
    }

    private mutating func read(_ message: JSON) {
        let text = MockRequest.text(of: message)
        promptTokens += MockWords.split(text).count
        if message["role"]?.string == "user" { question = text }
    }

    /// The text of a message, its parts joined by a line's end.
    private static func text(of message: JSON) -> String {
        guard let content = message["content"] else { return "" }
        if let text = content.string { return text }
        let parts = content.array?.compactMap { part -> String? in
            part["text"]?.string ?? part["type"]?.string.map { "[\($0)]" }
        }
        return (parts ?? []).joined(separator: "\n")
    }

    private mutating func readFormat(_ format: JSON?) {
        switch format?["type"]?.string {
        case "json_object": schema = [:]
        case "json_schema": schema = format?["json_schema"]?["schema"] ?? [:]
        default: break
        }
    }

    /// A tool is called when the choice asks for one, or else the user's text says "call a
    /// tool" and none has answered yet.
    private mutating func readTools(_ json: JSON) {
        let tools = (json["tools"]?.array ?? []).compactMap { entry -> Tool? in
            guard let function = entry["function"], let name = function["name"]?.string else { return nil }
            return Tool(name: name, parameters: function["parameters"] ?? [:])
        }
        let choice = json["tool_choice"]
        if let named = choice?["function"]?["name"]?.string {
            tool = tools.first { $0.name == named }
        } else if choice?.string == "required" {
            tool = tools.first
        } else if choice?.string != "none", toolResult == nil, question.lowercased().contains("call a tool") {
            tool = tools.first
        }
    }
}

/// Text in pieces of one word each, which count as tokens.
enum MockWords {
    /// Each piece is the blanks before a word and the word, the last one with the blanks
    /// behind it; joined they are the text.
    static func split(_ text: String) -> [String] {
        var pieces: [String] = []
        var piece = ""
        var hasWord = false
        for character in text {
            if character.isWhitespace, hasWord {
                pieces.append(piece)
                piece = ""
                hasWord = false
            } else if !character.isWhitespace {
                hasWord = true
            }
            piece.append(character)
        }
        if hasWord || pieces.isEmpty {
            if !piece.isEmpty { pieces.append(piece) }
        } else {
            pieces[pieces.count - 1] += piece
        }
        return pieces
    }

    /// Text in pieces of eight characters, for what has no words.
    static func cut(_ text: String) -> [String] {
        var pieces: [String] = []
        var rest = text[...]
        while !rest.isEmpty {
            pieces.append(String(rest.prefix(8)))
            rest = rest.dropFirst(8)
        }
        return pieces
    }
}
