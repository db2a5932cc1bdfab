import MartletWire
import NIOCore

/// Reads sources of images and documents, and what tools of the API's own have found.
enum AnthropicMedia {
    private enum Field: String, RequestField {
        case type, data, url, content
        case mediaType = "media_type"
        case fileID = "file_id"
    }

    private struct Members {
        var type: String?
        var data: EscapedText?
        var url: EscapedText?
        var fileID: EscapedText?
        var mediaType: String?
        var parts: [Part]?
    }

    /// Nil for a kind of source nobody knows.
    static func source(_ text: ByteBuffer) throws(DialectError) -> MediaSource? {
        try media(try members(text))
    }

    static func document(_ text: ByteBuffer) throws(DialectError) -> Document.Body? {
        let members = try members(text)
        switch members.type {
        case "text": return .text(try required(members.data, "data"))
        case "content": return members.parts.map { .parts($0) }
        default: return try media(members).map { .media($0) }
        }
    }

    private static func media(_ members: Members) throws(DialectError) -> MediaSource? {
        switch members.type {
        case "base64":
            let data = try required(members.data, "data")
            guard DataURL.isBase64(data) else { throw DialectError(.unexpected, at: "source.data", "is not base64") }
            return .base64(mediaType: DataURL.registered(members.mediaType?.lowercased() ?? ""), data)
        case "url": return try MediaSource(address: required(members.url, "url"), at: "source.url")
        case "file": return .file(try required(members.fileID, "file_id"))
        case nil: throw DialectError(.unexpected, at: "source.type", "a source needs a type")
        default: return nil
        }
    }

    private static func required(_ text: EscapedText?, _ name: String) throws(DialectError) -> EscapedText {
        guard let text else { throw DialectError(.unexpected, at: "source.\(name)", "a string is required") }
        return text
    }

    private static func members(_ text: ByteBuffer) throws(DialectError) -> Members {
        do {
            return try RequestWalk.over(text) { (walk) throws(DialectError) in
                var members = Members()
                try walk.object(Field.self) { (walk, field) throws(DialectError) in
                    switch field {
                    case .type: members.type = try walk.stringIfAny()
                    case .data: members.data = try walk.escapedIfAny()
                    case .url: members.url = try walk.escapedIfAny()
                    case .fileID: members.fileID = try walk.escapedIfAny()
                    case .mediaType: members.mediaType = try walk.stringIfAny()
                    case .content:
                        members.parts = try AnthropicBlock.list(&walk).compactMap(\.part)
                    }
                }
                return members
            }
        } catch {
            throw error.inside("source")
        }
    }

    // MARK: - Results of server tools

    private enum FoundField: String, RequestField {
        case type, text, title, url, stdout, stderr, content, source, context
        case errorCode = "error_code"
        case toolName = "tool_name"
        case references = "tool_references"
    }

    /// What is worth telling another model: titles and addresses, texts, documents, names of tools, error codes.
    static func serverContent(_ walk: inout RequestWalk) throws(DialectError) -> [Part] {
        switch try walk.kind() {
        case .string: return [Part(.text(try walk.escaped()))]
        case .object: return try found(&walk)
        case .array:
            var parts: [Part] = []
            try walk.array { (walk, _) throws(DialectError) in parts += try serverContent(&walk) }
            return parts
        case .number, .bool, .null:
            _ = try walk.skip()
            return []
        }
    }

    private static func found(_ walk: inout RequestWalk) throws(DialectError) -> [Part] {
        var parts: [Part] = []
        var type: String?
        var title: EscapedText?
        var url: EscapedText?
        var context: EscapedText?
        var source: ByteBuffer?
        try walk.object(FoundField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .type: type = try walk.stringIfAny()
            case .text, .stdout, .stderr, .errorCode:
                if let text = try walk.escapedIfAny(), !text.isEmpty { parts.append(Part(.text(text))) }
            case .title: title = try walk.escapedIfAny()
            case .url: url = try walk.escapedIfAny()
            case .context: context = try walk.escapedIfAny()
            // A search result's is an address.
            case .source where try walk.kind() == .string: url = try walk.escaped()
            case .source: source = try walk.skip()
            case .toolName:
                if let name = try walk.stringIfAny() { parts.append(Part(.toolReference(name: name))) }
            case .content, .references: parts += try serverContent(&walk)
            }
        }
        if let source, source.rawKind == .object {
            parts.append(file(source, of: type ?? "", title, context))
        } else if title != nil || url != nil {
            parts.insert(
                Part(
                    .searchResult(
                        SearchResult(title: title ?? EscapedText(), source: url ?? EscapedText(), texts: []))), at: 0)
        }
        return parts
    }

    private static func file(
        _ source: ByteBuffer, of type: String, _ title: EscapedText?, _ context: EscapedText?
    ) -> Part {
        if type == "image", let image = try? self.source(source) { return Part(.image(Image(source: image))) }
        guard let body = try? document(source) else { return Part(.opaque(.anthropic, name: type)) }
        return Part(.document(Document(body: body, title: title, context: context)))
    }
}
