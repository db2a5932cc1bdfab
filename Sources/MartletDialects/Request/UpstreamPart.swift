import MartletWire
import NIOCore

/// A part of a message as an upstream takes it: what it cannot take has become words.
enum UpstreamPart {
    case text(EscapedText)
    case image(Image)
    case audio(Audio)
    case file(name: EscapedText?, MediaSource)

    var text: EscapedText? {
        if case .text(let text) = self { return text }
        return nil
    }

    var isEmpty: Bool { text?.isEmpty ?? false }

    /// Of a file that has no name: one without is refused.
    static var fileName: EscapedText { EscapedText(escaping: "document.pdf") }
}

extension RequestWriter {
    /// What becomes of a part: itself, or words in its place.
    mutating func rendered(_ part: Part) -> [UpstreamPart] {
        switch part.content {
        case .text(let text), .refusal(let text): return [.text(text)]
        case .image(let image): return [rendered(image)]
        case .audio(let audio) where flags.audio: return [.audio(audio)]
        case .audio:
            draft.notes.note("audio")
            return [.text(EscapedText(escaping: "[audio omitted: this model cannot hear]"))]
        case .document(let document): return rendered(document)
        case .searchResult(let result): return [.text(result.text)]
        case .toolReference(let name): return [.text(EscapedText(escaping: "Tool loaded: \(name)"))]
        case .opaque(_, let name):
            draft.notes.note("content.\(name)")
            return []
        }
    }

    private mutating func rendered(_ image: Image) -> UpstreamPart {
        guard let omission = flags.omission(of: image.source) else { return .image(image) }
        if omission != .unseen { draft.notes.note("content.image") }
        return .text(EscapedText(escaping: omission.words))
    }

    /// Texts are said as texts.
    private mutating func rendered(_ document: Document) -> [UpstreamPart] {
        switch document.body {
        case .text(let text): return [.text(document.titled(text))]
        case .parts(let parts): return [.text(document.titled(EscapedText()))] + parts.flatMap { rendered($0) }
        case .media(let source):
            if let part = part(of: document, in: source) { return [part] }
            draft.notes.note("content.document")
            var type = ""
            if case .base64(let mediaType, _) = source { type = String(mediaType.prefix(64)) }
            return [.text(document.omission(type.isEmpty ? "a file" : type))]
        }
    }
}

/// Why an image does not go along.
enum ImageOmission {
    case unseen, type, size, address, file

    var words: String {
        let reason =
            switch self {
            case .unseen: "this model cannot see images"
            case .type: "its type is not supported"
            case .size: "it is larger than \(RequestLimits.imageBytes >> 20) MiB"
            case .address: "this model takes no image addresses"
            case .file: "uploaded files are not available"
            }
        return "[image omitted: \(reason)]"
    }
}

extension Capabilities {
    /// Nil: it goes along.
    func omission(of source: MediaSource) -> ImageOmission? {
        switch source {
        case _ where images == .none: .unseen
        case .base64(let type, _) where !imageTypes.contains(type): .type
        case .base64(_, let data) where data.bytes.readableBytes / 4 * 3 > RequestLimits.imageBytes: .size
        case .url where images != .url: .address
        case .file: .file
        case .base64, .url: nil
        }
    }
}

extension SearchResult {
    var text: EscapedText { TextBuilder.paragraphs([title, source] + texts) }
}

extension Document {
    /// Title line, context line, blank line, content.
    func titled(_ text: EscapedText) -> EscapedText {
        let head = [title, context].compactMap { $0 }.filter { !$0.isEmpty }
        guard !head.isEmpty else { return text }
        var words = TextBuilder()
        for (place, line) in head.enumerated() {
            if place > 0 { words.add("\n") }
            words.add(line)
        }
        if !text.isEmpty {
            words.add("\n\n")
            words.add(text)
        }
        return words.text
    }

    /// Words in its place.
    func omission(_ what: String) -> EscapedText {
        var words = TextBuilder()
        words.add("[document omitted: ")
        if let title, !title.isEmpty {
            words.add(title)
            words.add(", ")
        }
        words.add("\(what)]")
        return words.text
    }
}
