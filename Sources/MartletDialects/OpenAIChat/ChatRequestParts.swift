import MartletWire
import NIOCore

/// A part of a message as Chat Completions has it.
enum ChatPart {
    case text(EscapedText)
    /// Base64 or an address, of a type the upstream takes.
    case image(MediaSource)
    /// A PDF.
    case file(name: EscapedText, base64: EscapedText)
    case audio(Audio)

    var text: EscapedText? {
        if case .text(let text) = self { return text }
        return nil
    }

    var isEmpty: Bool { text?.isEmpty ?? false }
}

extension ChatRequestWriter {
    /// What becomes of a part: itself, or words in its place.
    mutating func rendered(_ part: Part) -> [ChatPart] {
        switch part.content {
        case .text(let text), .refusal(let text): return [.text(text)]
        case .image(let image): return [rendered(image)]
        case .audio(let audio) where flags.audio: return [.audio(audio)]
        case .audio:
            notes.note("audio")
            return [.text(EscapedText(escaping: "[audio omitted: this model cannot hear]"))]
        case .document(let document): return rendered(document)
        case .searchResult(let result):
            let lines = TextBuilder.paragraphs([result.title, result.source] + result.texts)
            return [.text(lines)]
        case .toolReference(let name): return [.text(EscapedText(escaping: "Tool loaded: \(name)"))]
        case .opaque(_, let name):
            notes.note("content.\(name)")
            return []
        }
    }

    /// A part where only text can stand.
    mutating func words(for part: Part) -> [EscapedText] {
        rendered(part).map { $0.text ?? EscapedText(escaping: "[image omitted]") }
    }

    private mutating func rendered(_ image: Image) -> ChatPart {
        func omitted(_ reason: String) -> ChatPart {
            .text(EscapedText(escaping: "[image omitted: \(reason)]"))
        }
        guard flags.images != .none else { return omitted("this model cannot see images") }
        switch image.source {
        case .base64(let type, let data):
            guard flags.imageTypes.contains(type) else {
                notes.note("content.image")
                return omitted("its type is not supported")
            }
            guard data.bytes.readableBytes / 4 * 3 <= RequestLimits.imageBytes else {
                notes.note("content.image")
                return omitted("it is larger than \(RequestLimits.imageBytes >> 20) MiB")
            }
            return .image(image.source)
        case .url(let address):
            guard flags.images == .url || address.starts(with: "data:") else {
                notes.note("content.image")
                return omitted("this model takes no image addresses")
            }
            return .image(image.source)
        case .file:
            notes.note("content.image")
            return omitted("uploaded files are not available")
        }
    }

    /// Texts are said as texts; a PDF goes as a file where the upstream takes files.
    private mutating func rendered(_ document: Document) -> [ChatPart] {
        switch document.body {
        case .text(let text): return [.text(Self.titled(document, text))]
        case .parts(let parts):
            let head = Self.titled(document, EscapedText())
            return [.text(head)] + parts.flatMap { rendered($0) }
        case .media(.base64("application/pdf", let data)) where flags.files:
            return [.file(name: document.title ?? EscapedText(escaping: "document.pdf"), base64: data)]
        case .media(let source):
            notes.note("content.document")
            var type = ""
            if case .base64(let mediaType, _) = source { type = String(mediaType.prefix(64)) }
            var words = TextBuilder()
            words.add("[document omitted: ")
            if let title = document.title, !title.isEmpty {
                words.add(title)
                words.add(", ")
            }
            words.add(type.isEmpty ? "a file]" : "\(type)]")
            return [.text(words.text)]
        }
    }

    /// Title line, context line, blank line, content.
    private static func titled(_ document: Document, _ text: EscapedText) -> EscapedText {
        let head = [document.title, document.context].compactMap { $0 }.filter { !$0.isEmpty }
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

    mutating func write(_ parts: [ChatPart]) {
        out.openArray()
        for part in parts where !part.isEmpty {
            out.openObject()
            out.key("type")
            switch part {
            case .text(let text):
                out.value("text")
                out.key("text")
                out.value(text)
            case .image(let source):
                out.value("image_url")
                out.key("image_url")
                out.openObject()
                out.key("url")
                out.value(address: source)
                out.closeObject()
            case .file(let name, let base64):
                out.value("file")
                out.key("file")
                out.openObject()
                out.key("filename")
                out.value(name)
                out.key("file_data")
                out.value { out in
                    out.piece("data:application/pdf;base64,")
                    out.piece(base64)
                }
                out.closeObject()
            case .audio(let audio):
                out.value("input_audio")
                out.key("input_audio")
                out.openObject()
                out.key("data")
                out.value(audio.base64)
                out.key("format")
                out.value(audio.format)
                out.closeObject()
            }
            out.closeObject()
        }
        out.closeArray()
    }
}
