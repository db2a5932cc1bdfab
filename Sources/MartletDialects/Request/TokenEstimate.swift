import MartletWire
import NIOCore

/// Tokens of a prompt where nobody can count them: high rather than low, because agents that are
/// told too little compact too late.
package enum TokenEstimate {
    /// Bytes of UTF-8 text per token.
    private static let bytesPerToken = 3.2
    private static let perMessage = 4.0
    private static let perImage = 1600.0
    private static let perPage = 2000.0
    /// Bytes of a PDF, decoded, taken for one page.
    private static let bytesPerPage = 50_000
    private static let margin = 1.05
    /// No vocabulary in use has a token of more than 128 bytes; twice that is certain.
    private static let longestToken = 256

    /// Of all text, the tools offered and their schemas, images and documents.
    package static func of(_ request: CanonicalRequest) -> Int {
        of(request, offered: ToolOffer.tools(request.tools, request.items))
    }

    /// Of one item.
    static func of(_ item: Item) -> Int {
        var count = Counter()
        count.add(item)
        return count.tokens
    }

    /// Of a body nothing else is known of than its size: more than of its text, unless
    /// much of it is pictures by address.
    package static func of(bytes: Int) -> Int { Int((Double(bytes) / bytesPerToken * margin).rounded(.up)) }

    /// Tokens that the prompt has whatever its text and its vocabulary are: of plain text
    /// only, which no template leaves out.
    package static func atLeast(_ request: CanonicalRequest) -> Int {
        var count = Counter()
        for item in request.items {
            let parts: [Part]
            switch item {
            case .message(_, let spoken): parts = spoken
            case .instruction(let instruction): parts = instruction.parts
            case .toolResult(let result): parts = result.parts
            case .reasoning, .toolCall, .toolChange, .opaque: continue
            }
            for part in parts { if case .text = part.content { count.add(part) } }
        }
        return count.bytes / longestToken
    }

    static func of(_ request: CanonicalRequest, offered: [Tool]) -> Int {
        var count = Counter()
        for item in request.items { count.add(item) }
        for tool in offered where !tool.isServer { count.add(tool) }
        if case .jsonSchema(let format) = request.settings.format { count.bytes += format.schema.readableBytes }
        return count.tokens
    }

    private struct Counter {
        var bytes = 0
        /// Tokens.
        var extra = 0.0

        var tokens: Int { Int(((Double(bytes) / bytesPerToken + extra) * margin).rounded(.up)) }

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
            var all = 0
            var long = 0
            var at = 0
            // This looks at every byte of a prompt: eight at a time, and at what follows only where there is an escape.
            while at + 8 < text.count {
                let slashes = ones(text.loadUnaligned(fromByteOffset: at, as: UInt64.self), UInt8(ascii: "\\"))
                if slashes != 0 {
                    let letters = ones(text.loadUnaligned(fromByteOffset: at + 1, as: UInt64.self), UInt8(ascii: "u"))
                    all += slashes.nonzeroBitCount
                    long += (slashes & letters).nonzeroBitCount
                }
                at += 8
            }
            while at < text.count {
                if text[at] == UInt8(ascii: "\\") {
                    all += 1
                    if at + 1 < text.count, text[at + 1] == UInt8(ascii: "u") { long += 1 }
                }
                at += 1
            }
            return max(0, text.count - all - 2 * long)
        }
    }
}

/// The highest bit of each byte that is the wanted one; all other bits are 0.
private func ones(_ word: UInt64, _ wanted: UInt8) -> UInt64 {
    let low: UInt64 = 0x7F7F_7F7F_7F7F_7F7F
    let difference = word ^ (UInt64(wanted) &* 0x0101_0101_0101_0101)
    return ~(((difference & low) &+ low) | difference | low)
}
