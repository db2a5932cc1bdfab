package import MartletWire
package import NIOCore

/// Images a request names by their http(s) addresses, which are to be replaced by their bytes for
/// upstreams that take no addresses.
package enum ImageAddresses {
    /// Each address once, in the order of their appearance.
    package static func find(in document: JSONDocument, of client: DialectID) throws(JSONError) -> [String] {
        guard let (_, value) = try conversation(document, client) else { return [] }
        var found: [String] = []
        _ = replaced(value) { address in
            if !found.contains(address) { found.append(address) }
            return nil
        }
        return found
    }

    /// The request with bytes in the place of the addresses that are known.
    package static func replaced(
        in document: JSONDocument, of client: DialectID, by images: [String: InlineImage]
    ) throws(JSONError) -> JSONDocument {
        guard let (name, value) = try conversation(document, client) else { return document }
        var edit = JSONEdit()
        try edit.set(name, replaced(value) { images[$0] }.buffer, in: document)
        return try JSONDocument(checking: edit.applied(to: document.bytes))
    }

    private static func conversation(
        _ document: JSONDocument, _ client: DialectID
    ) throws(JSONError) -> (name: String, value: JSON)? {
        let name = client == .responses || client == .lmstudio ? "input" : "messages"
        guard let member = try document.member(name), member.kind == .array else { return nil }
        return (name, try JSON(parsing: document.slice(member.value)))
    }

    /// Only where images stand: in the parts of messages, and of tools' results. What a model called a tool with stays
    /// as it is, whatever it looks like.
    /// - Parameter image: of an address; nil leaves it.
    private static func replaced(_ items: JSON, _ image: (String) -> InlineImage?) -> JSON {
        guard case .array(let elements) = items else { return items }
        return .array(elements.map { changed($0, ["content", "output"], image) })
    }

    /// - Parameter lists: the members of the item that hold parts.
    private static func changed(_ item: JSON, _ lists: [String], _ image: (String) -> InlineImage?) -> JSON {
        var item = item
        for name in lists {
            guard case .array(let parts)? = item[name] else { continue }
            item[name] = .array(
                parts.map { part in
                    if let changed = replacedPart(part, image) { return changed }
                    return part["type"] == "tool_result" ? changed(part, ["content"], image) : part
                })
        }
        return item
    }

    /// A part that is an image at an address; nil for anything else.
    private static func replacedPart(_ part: JSON, _ image: (String) -> InlineImage?) -> JSON? {
        func found(_ address: JSON?) -> InlineImage? {
            guard let address = address?.string else { return nil }
            let scheme = address.prefix { $0 != ":" }.lowercased()
            return scheme == "http" || scheme == "https" ? image(address) : nil
        }
        var part = part
        switch part["type"]?.string {
        case "image_url", "input_image":
            let place = part["image_url"]
            guard let bytes = found(place?["url"] ?? place) else { return nil }
            if place?["url"] != nil {
                part["image_url"]?["url"] = .string(bytes.dataURL)
            } else {
                part["image_url"] = .string(bytes.dataURL)
            }
        case "image":
            guard part["source"]?["type"] == "url", let bytes = found(part["source"]?["url"]) else { return nil }
            part["source"] = ["type": "base64", "media_type": .string(bytes.mediaType), "data": .string(bytes.base64)]
        default: return nil
        }
        return part
    }
}

/// An image's bytes as a request holds them.
package struct InlineImage: Sendable, Hashable {
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`: what the bytes are, whatever their server called them.
    package var mediaType: String
    package var base64: String

    /// Nil when the bytes begin as none of these does.
    package init?(_ bytes: ByteBuffer) {
        guard let mediaType = Self.mediaType(bytes) else { return nil }
        self.mediaType = mediaType
        base64 = String(buffer: Base64.encoded(bytes))
    }

    var dataURL: String { "data:\(mediaType);base64,\(base64)" }

    /// https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
    private static func mediaType(_ bytes: ByteBuffer) -> String? {
        let head = Array(bytes.readableBytesView.prefix(12))
        if head.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return "image/png" }
        if head.starts(with: [0xFF, 0xD8, 0xFF]) { return "image/jpeg" }
        if head.starts(with: Array("GIF87a".utf8)) || head.starts(with: Array("GIF89a".utf8)) { return "image/gif" }
        let isRIFF = head.count == 12 && head.starts(with: Array("RIFF".utf8))
        return isRIFF && head[8...].elementsEqual("WEBP".utf8) ? "image/webp" : nil
    }
}
