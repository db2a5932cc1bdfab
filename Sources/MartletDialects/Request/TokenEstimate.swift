import MartletWire
import NIOCore

/// Tokens of a prompt where nobody can count them: high rather than low, because agents that are told too little compact
/// too late.
package enum TokenEstimate {
    /// Bytes of UTF-8 text per token.
    private static let bytesPerToken = 3.2
    private static let perMessage = 4.0
    private static let perImage = 1600.0
    private static let perPage = 2000.0
    /// Bytes of a PDF, decoded, taken for one page.
    private static let bytesPerPage = 50_000
    private static let margin = 1.05

    /// Of all text, the tools offered and their schemas, images and documents.
    package static func of(_ request: CanonicalRequest) -> Int {
        of(request, offered: ToolOffer.tools(request.tools, request.items))
    }

    static func of(_ request: CanonicalRequest, offered: [Tool]) -> Int {
        var count = Counter()
        for item in request.items { count.add(item) }
        for tool in offered where !tool.isServer { count.add(tool) }
        if case .jsonSchema(let format) = request.settings.format { count.bytes += format.schema.readableBytes }
        let tokens = Double(count.bytes) / bytesPerToken + count.extra
        return Int((tokens * margin).rounded(.up))
    }

    private struct Counter {
        var bytes = 0
        /// Tokens.
        var extra = 0.0

        mutating func add(_ item: Item) {
            switch item {
            case .instruction(let instruction):
                extra += perMessage
                instruction.parts.forEach { add($0) }
            case .message(_, let parts):
                extra += perMessage
                parts.forEach { add($0) }
            case .reasoning(let reasoning): bytes += reasoning.text.plainBytes
            case .toolCall(let call):
                extra += perMessage
                bytes += call.name.utf8.count
                switch call.arguments {
                case .json(let text): bytes += text.readableBytes
                case .text(let text): bytes += text.plainBytes
                }
            case .toolResult(let result):
                extra += perMessage
                result.parts.forEach { add($0) }
            case .toolChange, .opaque: break
            }
        }

        mutating func add(_ part: Part) {
            switch part.content {
            case .text(let text), .refusal(let text): bytes += text.plainBytes
            case .image: extra += perImage
            case .audio(let audio): bytes += audio.base64.bytes.readableBytes / 100
            case .document(let document): add(document)
            case .searchResult(let result):
                bytes += result.title.plainBytes + result.source.plainBytes
                for text in result.texts { bytes += text.plainBytes }
            case .toolReference(let name): bytes += name.utf8.count
            case .opaque: break
            }
        }

        private mutating func add(_ document: Document) {
            switch document.body {
            case .text(let text): bytes += text.plainBytes
            case .parts(let parts): parts.forEach { add($0) }
            case .media(.base64(_, let data)):
                extra += perPage * Double(1 + data.bytes.readableBytes / 4 * 3 / bytesPerPage)
            case .media: extra += perPage
            }
        }

        mutating func add(_ tool: Tool) {
            bytes += tool.name.utf8.count + (tool.description?.plainBytes ?? 0) + (tool.schema?.readableBytes ?? 0)
            extra += 8
        }
    }
}

extension EscapedText {
    /// Bytes of the text in UTF-8, near enough: an escape counts as one, `\u` with its four digits as three.
    fileprivate var plainBytes: Int {
        bytes.withUnsafeReadableBytes { text in
            var slashes = 0
            for byte in text where byte == UInt8(ascii: "\\") { slashes += 1 }
            guard slashes > 0 else { return text.count }
            var long = 0
            var before: UInt8 = 0
            for byte in text {
                if before == UInt8(ascii: "\\"), byte == UInt8(ascii: "u") { long += 1 }
                before = byte
            }
            return max(0, text.count - slashes - 2 * long)
        }
    }
}
