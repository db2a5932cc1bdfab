import MartletWire
import NIOCore

/// How OpenAI's dialects write an object that has a type.
enum TypedForm {
    /// The members in an object of the type's name: Chat.
    case nested
    /// The members beside the type: Responses.
    case flat
}

/// What the writers of OpenAI's two dialects have in common: functions, and what stands between the assistant's turns.
protocol OpenAIRequestWriter: RequestWriter {
    static var form: TypedForm { get }

    mutating func writeAssistant(_ items: [Item], isLast: Bool) throws(GatewayError)
    mutating func writeUser(_ parts: [UpstreamPart])
    mutating func writeSystem(_ texts: [EscapedText])
    /// The answer to a call, with `writeContent` for what it says.
    mutating func write(_ answer: Turns.Answer, _ attached: inout AttachedMedia)
    mutating func write(_ part: UpstreamPart)
}

extension OpenAIRequestWriter {
    // MARK: - Functions

    mutating func writeFunctions() {
        guard !draft.tools.isEmpty else { return }
        out.key("tools")
        out.openArray()
        for tool in draft.tools {
            out.open("function", Self.form)
            out.key("name")
            out.value(draft.context.toolNames.upstream(tool.name))
            out.form(of: tool, schemaKey: "parameters", target.profile(of: tool))
            let strict = flags.strictTools ? tool.strict : nil
            // Unsaid, it means in Responses what it means in no other dialect.
            if let strict = Self.form == .flat ? strict ?? false : strict {
                out.key("strict")
                out.value(strict)
            }
            out.close(Self.form)
        }
        out.closeArray()
    }

    mutating func write(_ choice: FunctionChoice?) {
        guard !draft.tools.isEmpty else { return }
        switch choice {
        case .word(let word):
            out.key("tool_choice")
            out.value(word)
        case .function(let name):
            out.key("tool_choice")
            out.open("function", Self.form)
            out.key("name")
            out.value(name)
            out.close(Self.form)
        case nil: break
        }
        if request.settings.parallelCalls == false {
            if flags.parallelToolCalls {
                out.key("parallel_tool_calls")
                out.value(false)
            } else {
                draft.context.keepsFirstCallOnly = target.isStrict
            }
        } else if flags.parallelIsOffByDefault {
            out.key("parallel_tool_calls")
            out.value(true)
        }
    }

    // MARK: - The form of the answer

    mutating func write(_ format: FormatChoice) {
        switch format {
        case .object:
            out.openObject()
            out.key("type")
            out.value("json_object")
            out.closeObject()
        case .schema(let format):
            out.open("json_schema", Self.form)
            out.key("name")
            out.value(format.name)
            if let description = format.description, !description.isEmpty {
                out.key("description")
                out.value(description)
            }
            let schema = SchemaFit.output(format.schema, flags.schemaProfile)
            out.key("schema")
            out.value(json: schema)
            out.key("strict")
            out.value(flags.schemaProfile != .minimal && (format.strict ?? SchemaFit.isStrict(schema)))
            out.close(Self.form)
        case .words: break
        }
    }

    // MARK: - Turns

    mutating func write(_ turns: [Turns.Turn]) throws(GatewayError) {
        for (place, turn) in turns.enumerated() {
            switch turn {
            case .assistant(let items): try writeAssistant(items, isLast: place == turns.count - 1)
            case .gap(let gap): write(gap)
            }
        }
    }

    private mutating func write(_ gap: Turns.Gap) {
        var attached = AttachedMedia()
        for answer in gap.answers { write(answer, &attached) }
        var pieces = gap.pieces[...]
        // What the tools attached comes first, in the user's message if there is one.
        if case .user(let parts) = pieces.first {
            writeUser(attached.parts + parts.flatMap { rendered($0) })
            pieces.removeFirst()
        } else {
            writeUser(attached.parts)
        }
        for piece in pieces {
            switch piece {
            case .user(let parts): writeUser(parts.flatMap { rendered($0) })
            case .system(let parts): writeSystem(parts.compactMap(\.text))
            }
        }
    }

    /// What a tool gave back: one text, or parts where there is more than text.
    mutating func writeContent(of answer: Turns.Answer, _ id: String, _ attached: inout AttachedMedia) {
        guard let result = answer.result else { return out.value(Turns.Answer.interrupted) }
        var parts = result.parts.flatMap { rendered($0) }
        if !flags.imageInTool { parts = attached.take(out: parts, of: id) }
        parts.removeAll(where: \.isEmpty)
        let texts = parts.compactMap(\.text)
        if texts.count == parts.count {
            out.paragraphs(texts, prefix: result.isError ? "[tool error] " : "")
        } else {
            out.openArray()
            if result.isError { write(.text(EscapedText(escaping: "[tool error] "))) }
            for part in parts { write(part) }
            out.closeArray()
        }
    }
}

/// What tools gave back beside text, where the upstream takes no more than that of a tool:
/// it follows in the user's name.
struct AttachedMedia {
    private(set) var parts: [UpstreamPart] = []
    private var count = 0

    /// - Returns: the parts of a result, with words where something was taken out.
    mutating func take(out given: [UpstreamPart], of callID: String) -> [UpstreamPart] {
        given.map { part in
            guard part.text == nil else { return part }
            count += 1
            parts.append(.text(EscapedText(escaping: "Image \(count) from tool call \(callID):")))
            parts.append(part)
            return .text(EscapedText(escaping: "[image \(count) attached below]"))
        }
    }
}

extension JSONOut {
    /// Begins an object of that type; `close` ends it.
    mutating func open(_ type: StaticString, _ form: TypedForm) {
        openObject()
        key("type")
        value { $0.piece(type) }
        guard form == .nested else { return }
        key(type)
        openObject()
    }

    mutating func close(_ form: TypedForm) {
        if form == .nested { closeObject() }
        closeObject()
    }

    /// The type that audio has in both dialects, and what it is of.
    mutating func members(of audio: Audio) {
        value("input_audio")
        key("input_audio")
        openObject()
        key("data")
        value(audio.base64)
        key("format")
        value(audio.format)
        closeObject()
    }

    /// One string of the texts that are not empty, a blank line between them.
    mutating func paragraphs(_ texts: [EscapedText], prefix: StaticString = "") {
        value { out in
            out.piece(prefix)
            var isFirst = true
            for text in texts where !text.isEmpty {
                if !isFirst { out.piece("\\n\\n") }
                out.piece(text)
                isFirst = false
            }
        }
    }
}
