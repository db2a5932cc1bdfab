import MartletWire
import NIOCore

extension AnthropicRequestWriter {
    mutating func write(cacheControl: ByteBuffer?) {
        guard let cacheControl else { return }
        out.key("cache_control")
        out.value(json: cacheControl)
    }

    /// Writes nothing when the text is empty: the API refuses such a block.
    mutating func write(text: EscapedText, cacheControl: ByteBuffer? = nil) {
        guard !text.isEmpty else { return }
        out.openObject()
        out.key("type")
        out.value("text")
        out.key("text")
        out.value(text)
        write(cacheControl: cacheControl)
        out.closeObject()
    }

    private mutating func write(words: String) { write(text: EscapedText(escaping: words)) }

    mutating func write(_ part: Part) throws(GatewayError) {
        switch part.content {
        case .text(let text), .refusal(let text): write(text: text, cacheControl: part.cacheControl)
        case .image(let image): try write(image, part.cacheControl)
        case .document(let document): try write(document, part.cacheControl)
        case .audio:
            throw GatewayError(
                code: .invalidRequest, message: "messages: input_audio is not supported by this model",
                param: "messages")
        case .searchResult(let result):
            write(text: TextBuilder.paragraphs([result.title, result.source] + result.texts))
        case .toolReference(let name): write(words: "Tool loaded: \(name)")
        case .opaque(_, let name): notes.note("content.\(name)")
        }
    }

    private mutating func write(_ image: Image, _ cacheControl: ByteBuffer?) throws(GatewayError) {
        if let detail = image.detail, detail != "auto" { try notes.drop("image_url.detail") }
        switch image.source {
        case _ where flags.images == .none: return write(words: "[image omitted: this model cannot see images]")
        case .base64(let type, _) where !flags.imageTypes.contains(type):
            notes.note("content.image_url")
            return write(words: "[image omitted: its type is not supported]")
        case .base64(_, let data) where data.bytes.readableBytes / 4 * 3 > RequestLimits.imageBytes:
            notes.note("content.image_url")
            return write(words: "[image omitted: it is larger than \(RequestLimits.imageBytes >> 20) MiB]")
        case .url where flags.images != .url:
            notes.note("content.image_url")
            return write(words: "[image omitted: this model takes no image addresses]")
        case .file where request.origin.dialect != .anthropic:
            notes.note("content.image_url")
            return write(words: "[image omitted: uploaded files are not available]")
        case .base64, .url, .file: break
        }
        out.openObject()
        out.key("type")
        out.value("image")
        write(image.source)
        write(cacheControl: cacheControl)
        out.closeObject()
    }

    private mutating func write(_ source: MediaSource) {
        out.key("source")
        out.openObject()
        out.key("type")
        switch source {
        case .base64(let type, let data):
            out.value("base64")
            out.key("media_type")
            out.value(type)
            out.key("data")
            out.value(data)
        case .url(let address):
            out.value("url")
            out.key("url")
            out.value(address)
        case .file(let id):
            out.value("file")
            out.key("file_id")
            out.value(id)
        }
        out.closeObject()
    }

    /// PDFs go as they are, text files as their text; others cannot be read by the model.
    private mutating func write(_ document: Document, _ cacheControl: ByteBuffer?) throws(GatewayError) {
        switch document.body {
        case .text(let text): write(document, text: text, cacheControl)
        case .media(.base64(let type, let data)) where type.hasPrefix("text/"):
            guard let text = Base64.text(data) else { return omit(document, type) }
            write(document, text: EscapedText(escaping: text), cacheControl)
        case .media(.base64("application/pdf", _)), .media(.url):
            out.openObject()
            out.key("type")
            out.value("document")
            if case .media(let source) = document.body { write(source) }
            close(document, cacheControl)
        case .media(.base64(let type, _)): omit(document, type)
        case .media(.file): omit(document, "an uploaded file")
        case .parts(let parts):
            for text in [document.title, document.context].compactMap({ $0 }) { write(text: text) }
            for part in parts { try write(part) }
        }
    }

    private mutating func write(_ document: Document, text: EscapedText, _ cacheControl: ByteBuffer?) {
        guard !text.isEmpty else { return }
        out.openObject()
        out.key("type")
        out.value("document")
        out.key("source")
        out.openObject()
        out.key("type")
        out.value("text")
        out.key("media_type")
        out.value("text/plain")
        out.key("data")
        out.value(text)
        out.closeObject()
        close(document, cacheControl)
    }

    private mutating func close(_ document: Document, _ cacheControl: ByteBuffer?) {
        if let title = document.title, !title.isEmpty {
            out.key("title")
            out.value(title)
        }
        if let context = document.context, !context.isEmpty {
            out.key("context")
            out.value(context)
        }
        write(cacheControl: cacheControl)
        out.closeObject()
    }

    private mutating func omit(_ document: Document, _ type: String) {
        notes.note("content.file")
        var words = TextBuilder()
        words.add("[document omitted: ")
        if let title = document.title, !title.isEmpty {
            words.add(title)
            words.add(", ")
        }
        words.add("\(type.prefix(64))]")
        write(text: words.text)
    }
}
