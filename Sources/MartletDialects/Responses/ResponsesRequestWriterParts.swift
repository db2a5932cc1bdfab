import MartletWire
import NIOCore

/// A part of the input's messages as this dialect has it.
enum ResponsesInputPart {
    case text(EscapedText)
    /// Base64 or an address, of a type the upstream takes.
    case image(MediaSource, detail: String?)
    case audio(Audio)
    case file(name: EscapedText?, MediaSource)

    var text: EscapedText? {
        if case .text(let text) = self { return text }
        return nil
    }

    var isEmpty: Bool { text?.isEmpty ?? false }
}

extension ResponsesRequestWriter {
    /// What becomes of a part: itself, or words in its place.
    mutating func rendered(_ part: Part) -> [ResponsesInputPart] {
        switch part.content {
        case .text(let text), .refusal(let text): return [.text(text)]
        case .image(let image): return [rendered(image)]
        case .audio(let audio) where flags.audio: return [.audio(audio)]
        case .audio:
            notes.note("audio")
            return [.text(EscapedText(escaping: "[audio omitted: this model cannot hear]"))]
        case .document(let document): return rendered(document)
        case .searchResult(let result):
            return [.text(TextBuilder.paragraphs([result.title, result.source] + result.texts))]
        case .toolReference(let name): return [.text(EscapedText(escaping: "Tool loaded: \(name)"))]
        case .opaque(_, let name):
            notes.note("content.\(name)")
            return []
        }
    }

    /// A part where only text can stand.
    mutating func words(for part: Part) -> [EscapedText] {
        rendered(part).map { $0.text ?? EscapedText(escaping: "[attachment omitted]") }
    }

    private mutating func rendered(_ image: Image) -> ResponsesInputPart {
        func omitted(_ reason: String) -> ResponsesInputPart {
            .text(EscapedText(escaping: "[image omitted: \(reason)]"))
        }
        guard flags.images != .none else { return omitted("this model cannot see images") }
        switch image.source {
        case .base64(let type, _) where !flags.imageTypes.contains(type):
            notes.note("content.image")
            return omitted("its type is not supported")
        case .base64(_, let data) where data.bytes.readableBytes / 4 * 3 > RequestLimits.imageBytes:
            notes.note("content.image")
            return omitted("it is larger than \(RequestLimits.imageBytes >> 20) MiB")
        case .url(let address) where flags.images != .url && !address.starts(with: "data:"):
            notes.note("content.image")
            return omitted("this model takes no image addresses")
        case .file:
            notes.note("content.image")
            return omitted("uploaded files are not available")
        case .base64, .url: return .image(image.source, detail: image.detail)
        }
    }

    /// Texts are said as texts; a PDF goes as a file where the upstream takes files.
    private mutating func rendered(_ document: Document) -> [ResponsesInputPart] {
        switch document.body {
        case .text(let text): return [.text(Self.titled(document, text))]
        case .parts(let parts):
            return [.text(Self.titled(document, EscapedText()))] + parts.flatMap { rendered($0) }
        case .media(let source):
            var type = ""
            switch source {
            case .base64("application/pdf", _) where flags.files, .url where flags.files:
                return [.file(name: document.title, source)]
            case .base64(let mediaType, let data):
                if mediaType.hasPrefix("text/"), let text = Base64.text(data) {
                    return [.text(Self.titled(document, EscapedText(escaping: text)))]
                }
                type = String(mediaType.prefix(64))
            case .url, .file: break
            }
            notes.note("content.document")
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

    mutating func write(_ part: ResponsesInputPart) {
        out.openObject()
        out.key("type")
        switch part {
        case .text(let text):
            out.value("input_text")
            out.key("text")
            out.value(text)
        case .image(let source, let detail):
            out.value("input_image")
            out.key("image_url")
            out.value(address: source)
            out.key("detail")
            out.value(detail ?? "auto")
        case .audio(let audio):
            out.value("input_audio")
            out.key("input_audio")
            out.openObject()
            out.key("data")
            out.value(audio.base64)
            out.key("format")
            out.value(audio.format)
            out.closeObject()
        case .file(let name, .url(let address)):
            out.value("input_file")
            if let name, !name.isEmpty {
                out.key("filename")
                out.value(name)
            }
            out.key("file_url")
            out.value(address)
        case .file(let name, let source):
            out.value("input_file")
            out.key("filename")
            out.value(name ?? EscapedText(escaping: "document.pdf"))
            out.key("file_data")
            out.value(address: source)
        }
        out.closeObject()
    }
}
