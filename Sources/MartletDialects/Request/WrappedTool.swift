import MartletWire
import NIOCore

/// A tool that takes free text, said as a function of one string.
enum WrappedTool {
    static var schema: ByteBuffer {
        ByteBuffer(string: #"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#)
    }

    /// The description and, where the text has to follow a grammar, the grammar.
    static func description(_ description: EscapedText, format: ByteBuffer?) -> EscapedText {
        guard let format, let format = try? JSON(parsing: format) else { return description }
        let grammar = format["grammar"] ?? format
        guard let definition = grammar["definition"]?.string else { return description }
        let syntax = grammar["syntax"]?.string == "regex" ? "regex" : "lark"
        let fenced = EscapedText(escaping: "The input follows this grammar:\n```\(syntax)\n\(definition)\n```")
        return TextBuilder.paragraphs([description, fenced])
    }

    /// The arguments of a call in a conversation.
    static func arguments(_ input: EscapedText) -> ByteBuffer {
        var json = ByteBuffer(string: #"{"input":"#)
        json.writeEscaped(input)
        json.writeString("}")
        return json
    }
}
