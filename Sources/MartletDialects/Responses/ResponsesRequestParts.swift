import MartletWire
import NIOCore

/// Reads the `content` of messages and the `output` of calls.
enum ResponsesContent {
    private enum Field: String, RequestField {
        case type, text, refusal, detail, filename, stdout, stderr, outcome
        case image = "image_url"
        case fileID = "file_id"
        case fileData = "file_data"
        case fileURL = "file_url"
        case audio = "input_audio"
    }

    private struct Members {
        var type: String?
        var text: EscapedText?
        var refusal: EscapedText?
        var image: EscapedText?
        var detail: String?
        var fileID: EscapedText?
        var fileData: EscapedText?
        var fileURL: EscapedText?
        var filename: EscapedText?
        var audio: Audio?
        var stdout: EscapedText?
        var stderr: EscapedText?
        var outcome: String?
    }

    /// A string, which is one text, or a list of parts.
    static func parts(_ content: ByteBuffer) throws(DialectError) -> [Part] {
        try RequestWalk.over(content) { (walk) throws(DialectError) in
            if try walk.takeNull() { return [] }
            guard try walk.kind() != .object else { return try part(members(&walk)) }
            return try walk.parts { (walk) throws(DialectError) in try part(members(&walk)) }
        }
    }

    /// The texts of a list of parts, whatever their type: of summaries and of reasoning.
    static func texts(_ content: ByteBuffer) throws(DialectError) -> [EscapedText] {
        try RequestWalk.over(content) { (walk) throws(DialectError) in
            guard try walk.kind() == .array else { return [] }
            var texts: [EscapedText] = []
            try walk.array { (walk, _) throws(DialectError) in
                guard try walk.kind() == .object else {
                    _ = try walk.skip()
                    return
                }
                if let text = try members(&walk).text, !text.isEmpty { texts.append(text) }
            }
            return texts
        }
    }

    // MARK: - One part

    private static func members(_ walk: inout RequestWalk) throws(DialectError) -> Members {
        var members = Members()
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .type: members.type = try walk.string()
            case .text: members.text = try walk.escaped()
            case .refusal: members.refusal = try walk.escapedIfAny()
            case .image: members.image = try address(&walk)
            case .detail: members.detail = try walk.stringIfAny()
            case .fileID: members.fileID = try walk.escapedIfAny()
            case .fileData: members.fileData = try walk.escapedIfAny()
            case .fileURL: members.fileURL = try walk.escapedIfAny()
            case .filename: members.filename = try walk.escapedIfAny()
            case .audio: members.audio = try walk.audio()
            case .stdout: members.stdout = try walk.escapedIfAny()
            case .stderr: members.stderr = try walk.escapedIfAny()
            case .outcome: members.outcome = try outcome(&walk)
            }
        }
        return members
    }

    private static func part(_ members: Members) throws(DialectError) -> [Part] {
        func missing(_ name: String) -> DialectError { DialectError(.unexpected, at: name, "is required") }
        switch members.type {
        case "input_text", "output_text", "text", "summary_text", "reasoning_text":
            guard let text = members.text else { throw missing("text") }
            return [Part(.text(text))]
        case "refusal":
            guard let refusal = members.refusal else { throw missing("refusal") }
            return [Part(.refusal(refusal))]
        case "input_image", "computer_screenshot":
            return [Part(.image(Image(source: try imageSource(members), detail: members.detail)))]
        case "input_file": return [Part(.document(try document(members)))]
        case "input_audio":
            guard let audio = members.audio else { throw missing("input_audio") }
            return [Part(.audio(audio))]
        case nil where members.stdout != nil || members.stderr != nil || members.outcome != nil:
            return shellOutput(members)
        case nil:
            guard let text = members.text else { throw DialectError(.unexpected, at: "type", "a part needs a type") }
            return [Part(.text(text))]
        case let type?:
            return [Part(.opaque(.responses, name: type))] + (members.text.map { [Part(.text($0))] } ?? [])
        }
    }

    private static func imageSource(_ members: Members) throws(DialectError) -> MediaSource {
        if let address = members.image { return try MediaSource(address: address, at: "image_url") }
        guard let id = members.fileID else { throw DialectError(.unexpected, at: "image_url", "is required") }
        return .file(id)
    }

    /// Text files as their text; a file without a data URL's head is taken for what its name says.
    private static func document(_ members: Members) throws(DialectError) -> Document {
        let title = members.filename
        guard let data = members.fileData else {
            if let url = members.fileURL { return Document(body: .media(.url(url)), title: title) }
            guard let id = members.fileID else { throw DialectError(.unexpected, at: "file_data", "is required") }
            return Document(body: .media(.file(id)), title: title)
        }
        let found: MediaSource
        if data.hasScheme("data:") {
            found = try MediaSource(dataURL: data, at: "file_data")
        } else {
            let isPDF = title?.unescaped().lowercased().hasSuffix(".pdf") ?? true
            found = .base64(mediaType: isPDF ? "application/pdf" : "text/plain", data)
        }
        return Document(body: found.text.map { .text($0) } ?? .media(found), title: title)
    }

    /// What a shell wrote, and how it ended where that is not well.
    private static func shellOutput(_ members: Members) -> [Part] {
        var texts = [members.stdout, members.stderr].compactMap { $0 }.filter { !$0.isEmpty }
        if let outcome = members.outcome { texts.append(EscapedText(escaping: outcome)) }
        return texts.map { Part(.text($0)) }
    }

    // MARK: - Members

    private enum AddressField: String, RequestField { case url }

    /// A string by the rules; some clients send Chat's object.
    private static func address(_ walk: inout RequestWalk) throws(DialectError) -> EscapedText? {
        if try walk.kind() == .string { return try walk.escaped() }
        var url: EscapedText?
        try walk.object(AddressField.self) { (walk, _) throws(DialectError) in url = try walk.escapedIfAny() }
        return url
    }

    private enum OutcomeField: String, RequestField {
        case type
        case code = "exit_code"
    }

    private static func outcome(_ walk: inout RequestWalk) throws(DialectError) -> String? {
        guard try walk.kind() == .object else {
            _ = try walk.skip()
            return nil
        }
        var type: String?
        var code: Int?
        try walk.object(OutcomeField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.stringIfAny()
            case .code: if try walk.kind() == .number { code = try walk.int() } else { _ = try walk.skip() }
            }
        }
        if type == "timeout" { return "[timed out]" }
        return code == nil || code == 0 ? nil : "[exit code \(code ?? 0)]"
    }
}
