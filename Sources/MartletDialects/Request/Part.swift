package import MartletWire
package import NIOCore

/// A piece of a message.
package struct Part: Sendable, Hashable {
    package enum Content: Sendable, Hashable {
        case text(EscapedText)
        case refusal(EscapedText)
        case image(Image)
        case audio(Audio)
        case document(Document)
        case searchResult(SearchResult)
        /// A tool whose name was found by a search.
        case toolReference(name: String)
        /// Noted and left out. The name is the part's type.
        case opaque(DialectID, name: String)
    }

    package var content: Content
    /// The cache marker as the client wrote it (JSON text), for dialects that have one.
    package var cacheControl: ByteBuffer?

    package init(_ content: Content, cacheControl: ByteBuffer? = nil) {
        self.content = content
        self.cacheControl = cacheControl
    }

    package var text: EscapedText? {
        if case .text(let text) = content { return text }
        return nil
    }

    /// What it says, where only texts can stand; nil for what cannot be said so.
    var words: EscapedText? {
        switch content {
        case .text(let text), .refusal(let text): return text
        case .searchResult(let result): return result.text
        case .toolReference(let name): return EscapedText(escaping: "Tool loaded: \(name)")
        case .document(let document):
            guard case .text(let text) = document.body else { return nil }
            return document.titled(text)
        case .image, .audio, .opaque: return nil
        }
    }

    /// What it is called where it is left out; nil for what is always words.
    fileprivate var omission: String? {
        switch content {
        case .image: "content.image"
        case .audio: "audio"
        case .document: "content.document"
        case .opaque(_, let name): "content.\(name)"
        case .text, .refusal, .searchResult, .toolReference: nil
        }
    }
}

extension [Part] {
    /// What of it an instruction can say.
    ///
    /// - Parameter omitted: gets the names of the rest.
    func asInstruction(omitting omitted: inout [String]) -> [Part] {
        var texts: [Part] = []
        for part in self {
            if let words = part.words {
                if !words.isEmpty { texts.append(Part(.text(words), cacheControl: part.cacheControl)) }
            } else if let omission = part.omission {
                omitted.append(omission)
            }
        }
        return texts
    }
}

/// Where the bytes of an image or a file are.
package enum MediaSource: Sendable, Hashable {
    /// Base64 text, as it stood in its string.
    case base64(mediaType: String, EscapedText)
    case url(EscapedText)
    /// The id of an uploaded file.
    case file(EscapedText)
}

package struct Image: Sendable, Hashable {
    package var source: MediaSource
    /// `auto`, `low`, `high`, `original`; nil when the client said none.
    package var detail: String?

    package init(source: MediaSource, detail: String? = nil) {
        self.source = source
        self.detail = detail
    }
}

package struct Audio: Sendable, Hashable {
    /// `wav`, `mp3`.
    package var format: String
    package var base64: EscapedText

    package init(format: String, base64: EscapedText) {
        self.format = format
        self.base64 = base64
    }
}

package struct Document: Sendable, Hashable {
    package enum Body: Sendable, Hashable {
        case media(MediaSource)
        case text(EscapedText)
        /// Texts and images.
        case parts([Part])
    }

    package var body: Body
    package var title: EscapedText?
    package var context: EscapedText?

    package init(body: Body, title: EscapedText? = nil, context: EscapedText? = nil) {
        self.body = body
        self.title = title
        self.context = context
    }
}

package struct SearchResult: Sendable, Hashable {
    package var title: EscapedText
    package var source: EscapedText
    package var texts: [EscapedText]

    package init(title: EscapedText, source: EscapedText, texts: [EscapedText]) {
        self.title = title
        self.source = source
        self.texts = texts
    }
}
