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

    /// Words in its place, and what it is called where it is left out; nil for a text.
    fileprivate var omission: (words: StaticString, name: String)? {
        switch self {
        case .text: nil
        case .image: ("[image omitted]", "content.image")
        case .audio: ("[audio omitted]", "audio")
        case .file: ("[document omitted]", "content.document")
        }
    }

    /// Of a file that has no name: one without is refused.
    static var fileName: EscapedText { EscapedText(escaping: "document.pdf") }
}

extension RequestWriter {
    /// What becomes of a part: itself, or words in its place.
    mutating func rendered(_ part: Part) -> [UpstreamPart] {
        switch part.content {
        case .text, .refusal, .searchResult, .toolReference: return [.text(part.words ?? EscapedText())]
        case .image(let image): return [rendered(image)]
        case .audio(let audio) where flags.audio: return [.audio(audio)]
        case .audio:
            draft.notes.note("audio")
            return [.text(EscapedText(escaping: "[audio omitted: this model cannot hear]"))]
        case .document(let document): return rendered(document)
        case .opaque(_, let name):
            draft.notes.note("content.\(name)")
            return []
        }
    }

    /// A part where only text can stand.
    mutating func words(for part: Part) -> [EscapedText] {
        rendered(part).map { part in
            guard let omission = part.omission else { return part.text ?? EscapedText() }
            draft.notes.note(omission.name)
            return EscapedText(escaping: "\(omission.words)")
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
            if let text = source.text { return [.text(document.titled(text))] }
            // Its title is the file's name.
            let context = document.context.map { [UpstreamPart.text($0)] } ?? []
            if let part = part(of: document, in: source) { return context + [part] }
            draft.notes.note("content.document")
            var type = ""
            if case .base64(let mediaType, _) = source { type = String(mediaType.prefix(64)) }
            return context + [.text(document.omission(type.isEmpty ? "a file" : type))]
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

extension MediaSource {
    /// Of a text file.
    var text: EscapedText? {
        guard case .base64(let type, let data) = self, type.hasPrefix("text/") || type == "application/json" else {
            return nil
        }
        return Base64.text(data).map { EscapedText(escaping: $0) }
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
