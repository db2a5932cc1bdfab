import MartletWire
import NIOCore

/// Reads a message's `content`.
enum ChatRequestContent {
    private enum Field: String, RequestField {
        case type, text, refusal, file
        case image = "image_url"
        case audio = "input_audio"
        case cacheControl = "cache_control"
    }

    /// A string, which is one text, or a list of parts.
    static func parts(_ walk: inout RequestWalk) throws(DialectError) -> [Part] {
        try walk.parts { (walk) throws(DialectError) in [try part(&walk)] }
    }

    private static func part(_ walk: inout RequestWalk) throws(DialectError) -> Part {
        var type: String?
        var content: Part.Content?
        var cacheControl: ByteBuffer?
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .type: type = try walk.string()
            case .text: content = .text(try walk.escaped())
            case .refusal: content = .refusal(try walk.escaped())
            case .image: content = .image(try image(&walk))
            case .audio: content = .audio(try walk.audio())
            case .file: content = .document(try file(&walk))
            case .cacheControl: cacheControl = try walk.skip()
            }
        }
        guard let type else { throw DialectError(.unexpected, at: "type", "a part needs a type") }
        if content == nil, ["text", "image_url", "input_audio", "file", "refusal"].contains(type) {
            throw DialectError(.unexpected, at: type, "is required")
        }
        return Part(content ?? .opaque(.chat, name: type), cacheControl: cacheControl)
    }

    private enum ImageField: String, RequestField { case url, detail }

    private static func image(_ walk: inout RequestWalk) throws(DialectError) -> Image {
        if try walk.kind() == .string { return Image(source: try source(try walk.escaped())) }
        var source: MediaSource?
        var detail: String?
        try walk.object(ImageField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .url: source = try Self.source(try walk.escaped())
            case .detail: detail = try walk.stringIfAny()
            }
        }
        guard let source else { throw DialectError(.unexpected, at: "url", "an address is required") }
        return Image(source: source, detail: detail)
    }

    private static func source(_ address: EscapedText) throws(DialectError) -> MediaSource {
        // Anything else names something on the machine of whoever fetches it.
        guard address.hasScheme("https:") || address.hasScheme("http:") || address.hasScheme("data:") else {
            throw DialectError(.unexpected, "an address must begin with https:, http: or data:")
        }
        return try MediaSource(address: address)
    }

    private enum FileField: String, RequestField {
        case data = "file_data"
        case id = "file_id"
        case name = "filename"
    }

    private static func file(_ walk: inout RequestWalk) throws(DialectError) -> Document {
        var source: MediaSource?
        var title: EscapedText?
        try walk.object(FileField.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .data: source = try Self.source(try walk.escaped())
            case .id:
                let id = try walk.escaped()
                source = source ?? .file(id)
            case .name: title = try walk.escapedIfAny()
            }
        }
        guard let source else { throw DialectError(.unexpected, at: "file_data", "a file is required") }
        return Document(body: .media(source), title: title)
    }
}
