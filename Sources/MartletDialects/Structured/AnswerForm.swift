package import MartletWire
package import NIOCore

/// The form an answer is asked for in words, where its upstream cannot be held to one (specs 2.9.10). A whole answer is
/// checked when it is there.
package enum AnswerForm: Sendable, Hashable {
    /// Any JSON object.
    case object
    /// JSON text of the schema it has to fit.
    case schema(ByteBuffer)

    /// The sentence in the system text.
    var demand: EscapedText {
        switch self {
        case .object: return EscapedText(escaping: "Answer with one JSON object and nothing else.")
        case .schema(let schema):
            var sentence = TextBuilder()
            sentence.add("Answer with JSON that fits this JSON Schema, and nothing else:\n")
            sentence.add(String(buffer: schema))
            return sentence.text
        }
    }
}

/// An answer in another form than it was asked for, and what the model is told about it.
package struct AnswerMisfit: Sendable, Hashable {
    /// The answer.
    package var text: EscapedText
    /// What is wrong with it, as a part of a sentence: `/age must be of type integer, and is a string`.
    package var violation: String
    /// What it took.
    package var usage: Usage

    package init(text: EscapedText, violation: String, usage: Usage = Usage()) {
        self.text = text
        self.violation = violation
        self.usage = usage
    }

    /// The user's next turn.
    var complaint: EscapedText {
        EscapedText(
            escaping: "This is not the JSON that was asked for: \(violation). "
                + "Answer again, with JSON that fits and nothing else.")
    }

    /// For a client whose model does not get it right.
    package func error(for client: DialectID) -> GatewayError {
        let name = OutputFormat.member(of: client)
        return GatewayError(
            code: .answerMisfit,
            message: "\(name): the model was asked twice and did not answer in this form: \(violation). "
                + "Ask for a simpler one, or choose a model whose server can be held to it",
            param: name)
    }
}

extension OutputFormat {
    /// What a client of this dialect calls it.
    package static func member(of client: DialectID) -> String {
        switch client {
        case .chat, .completions, .lmstudio: "response_format"
        case .anthropic: "output_config.format"
        case .responses: "text.format"
        }
    }
}

/// How an upstream is told the form of an answer.
enum FormatChoice {
    case object
    case schema(JSONSchemaFormat)
    /// Not at all: its model is.
    case words(AnswerForm)

    /// Nil where none is asked for.
    init?(_ format: OutputFormat?, _ flags: Capabilities, hasTools: Bool) {
        let takesSchema =
            switch flags.jsonSchema {
            case .native: true
            case .grammar: !hasTools
            case .none: false
            }
        switch format {
        case nil: return nil
        case .jsonObject where flags.jsonObject == .native: self = .object
        case .jsonObject where takesSchema:
            let schema = ByteBuffer(string: #"{"type":"object"}"#)
            self = .schema(JSONSchemaFormat(name: "output", schema: schema))
        case .jsonObject: self = .words(.object)
        case .jsonSchema(let format) where takesSchema: self = .schema(format)
        case .jsonSchema(let format): self = .words(.schema(format.describedSchema))
        }
    }
}
