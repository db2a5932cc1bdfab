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
            throw .refused("messages", "input_audio is not supported by this model")
        case .searchResult(let result): write(text: result.text)
        case .toolReference(let name): write(words: "Tool loaded: \(name)")
        case .opaque(_, let name): draft.notes.note("content.\(name)")
        }
    }

    private mutating func write(_ image: Image, _ cacheControl: ByteBuffer?) throws(GatewayError) {
        if let detail = image.detail, detail != "auto" { try draft.notes.drop("image_url.detail") }
        if let omission = omission(of: image.source) {
            if omission != .unseen { draft.notes.note("content.image_url") }
            return write(words: omission.words)
        }
        out.openObject()
        out.key("type")
        out.value("image")
        write(image.source)
        write(cacheControl: cacheControl)
        out.closeObject()
    }

    /// The API's own files go along; what it takes no addresses for, it takes no `data:` URLs for either.
    private func omission(of source: MediaSource) -> ImageOmission? {
        switch source {
        case .file where flags.images != .none && request.origin.dialect == .anthropic: nil
        case .url where flags.images == .data: .address
        case .base64, .url, .file: flags.omission(of: source)
        }
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
        case .media(let source):
            if let text = source.text { return write(document, text: text, cacheControl) }
            write(document, in: source, cacheControl)
        case .parts(let parts):
            for text in [document.title, document.context].compactMap({ $0 }) { write(text: text) }
            for part in parts { try write(part) }
        }
    }

    private mutating func write(_ document: Document, in source: MediaSource, _ cacheControl: ByteBuffer?) {
        switch source {
        case .base64("application/pdf", _), .url:
            out.openObject()
            out.key("type")
            out.value("document")
            write(source)
            close(document, cacheControl)
        case .base64(let type, _): omit(document, type)
        case .file: omit(document, "an uploaded file")
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
        draft.notes.note("content.file")
        write(text: document.omission(String(type.prefix(64))))
    }
}
