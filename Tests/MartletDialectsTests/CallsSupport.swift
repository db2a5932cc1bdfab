import MartletDialects
import MartletWire
import NIOCore

/// Tools a test's reply may call.
func offered(_ tools: [(String, String)] = []) -> OfferedTools {
    OfferedTools(
        (tools + Offered.plain).map { OfferedTools.Offer(name: $0.0, schema: ByteBuffer(json: $0.1)) })
}

enum Offered {
    static let plain: [(String, String)] = [
        ("get_weather", "{'type':'object','properties':{'city':{'type':'string'},'days':{'type':'integer'}}}"),
        ("get_time", "{'type':'object','properties':{}}"),
        (
            "write_file",
            "{'type':'object','properties':{'path':{'type':'string'},'content':{'type':'string'},"
                + "'mode':{'type':'integer'},'force':{'type':'boolean'},'tags':{'type':'array','items':{'type':'string'}}},"
                + "'required':['path']}"
        ),
    ]
}

/// What a client gets, written short: `text`, `[thinking]`, `name{arguments}`, with bars between, and how it ended.
struct Shown: Equatable {
    var blocks: String
    var end: String
    var tally: String
}

enum Calls {
    static let context = ReplyContext(tools: offered())

    /// A stream of a Chat upstream whose content, or reasoning, comes in pieces of so many characters.
    static func stream(
        _ text: String, pieces: Int = 0, reasoning: String = "", finish: String = "stop", escaped: Bool = false
    ) -> String {
        var stream = chunk("{'role':'assistant'}")
        stream += cut(reasoning, pieces).map { delta("reasoning_content", $0, escaped) }.joined()
        stream += cut(text, pieces).map { delta("content", $0, escaped) }.joined()
        return stream + chunk("{}", finish: "'\(finish)'") + done
    }

    static func delta(_ member: String, _ text: String, _ escaped: Bool = false) -> String {
        var string = JSON.string(text).text
        if escaped { string = string.replacing("<", with: "\\u003c").replacing(">", with: "\\u003E") }
        return chunk("{'\(member)':~}").replacing("~", with: string)
    }

    static func cut(_ text: String, _ size: Int) -> [String] {
        let characters = Array(text)
        guard size > 0 else { return text.isEmpty ? [] : [text] }
        return stride(from: 0, to: characters.count, by: size).map {
            String(characters[$0..<min($0 + size, characters.count)])
        }
    }

    /// As an Anthropic client gets it.
    static func shown(_ stream: String, _ context: ReplyContext = context, cut: Int = 0) -> Shown {
        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.anthropic), context: context)
        var out = ByteBuffer()
        for read in reads(stream, of: cut) { _ = pipe.pass(read, into: &out) }
        _ = pipe.finish(into: &out)
        let reader = StrictAnthropicReader(out.string)
        guard reader.faults == [] else { return Shown(blocks: "\(reader.faults)", end: "", tally: "") }
        return Shown(
            blocks: blocks(reader.message), end: reader.message["stop_reason"]?.string ?? "?",
            tally: pipe.callTally.line)
    }

    static func blocks(_ message: JSON) -> String {
        (message["content"]?.array ?? []).map { block in
            if let thinking = block["thinking"]?.string { return "[\(thinking)]" }
            if let name = block["name"]?.string { return "\(name)\(block["input"]?.text ?? "?")" }
            return block["text"]?.string ?? "?"
        }.joined(separator: "|")
    }

    /// The same reply whole.
    static func whole(
        _ text: String, reasoning: String = "", finish: String = "stop", _ context: ReplyContext = context
    ) throws -> Shown {
        var message: JSON = ["role": "assistant", "content": .string(text)]
        if !reasoning.isEmpty { message["reasoning_content"] = .string(reasoning) }
        let body: JSON = [
            "id": "c", "choices": [["index": 0, "message": message, "finish_reason": .string(finish)]],
        ]
        let whole = try Dialects.translateWhole(body.buffer, from: .chat, to: replyTarget(.anthropic), context: context)
        let reply = try JSON(parsing: whole.pieces[0])
        return Shown(
            blocks: blocks(reply), end: reply["stop_reason"]?.string ?? "?", tally: whole.summary.callTally.line)
    }
}
