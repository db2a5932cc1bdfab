import MartletWire
import NIOCore

extension EscapedText {
    /// Whether the still-escaped content begins so. The prefix must need no escapes.
    func starts(with prefix: StaticString) -> Bool {
        prefix.withUTF8Buffer { wanted in
            bytes.withUnsafeReadableBytes { $0.count >= wanted.count && $0.prefix(wanted.count).elementsEqual(wanted) }
        }
    }

    /// Whether an address begins with this scheme, in letters of either case
    /// (https://www.rfc-editor.org/rfc/rfc3986#section-3.1).
    /// - Parameter scheme: in lower case, with its colon.
    func hasScheme(_ scheme: StaticString) -> Bool {
        scheme.withUTF8Buffer { wanted in
            bytes.withUnsafeReadableBytes { bytes in
                bytes.count >= wanted.count
                    && zip(bytes, wanted).allSatisfy { letter, wanted in
                        letter == wanted || letter &+ 0x20 == wanted && (0x61...0x7A).contains(wanted)
                    }
            }
        }
    }

    /// An agent's accounting line: it may differ per request and would ruin the prefix cache of a local server.
    var isBilling: Bool { starts(with: "x-anthropic-billing-header:") }
}

/// Puts string content together from escaped slices and texts of our own.
struct TextBuilder {
    private(set) var text = EscapedText()

    mutating func add(_ piece: EscapedText) { text.append(piece) }

    mutating func add(_ piece: String) { text.append(EscapedText(escaping: piece)) }

    /// The pieces that are not empty, one blank line between them.
    static func paragraphs(_ pieces: [EscapedText]) -> EscapedText {
        let pieces = pieces.filter { !$0.isEmpty }
        guard pieces.count > 1 else { return pieces.first ?? EscapedText() }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(pieces.reduce(0) { $0 + $1.bytes.readableBytes + 4 })
        for (place, piece) in pieces.enumerated() {
            if place > 0 { bytes.writeStaticString("\\n\\n") }
            bytes.writeImmutableBuffer(piece.bytes)
        }
        return EscapedText(bytes)
    }
}

/// Writes one JSON text, member by member: the commas are its affair, the rest is the caller's.
struct JSONOut {
    private(set) var bytes: ByteBuffer
    private var needsComma = false

    init(capacity: Int) {
        bytes = ByteBuffer()
        bytes.reserveCapacity(capacity)
    }

    mutating func openObject() { open("{") }
    mutating func openArray() { open("[") }
    mutating func closeObject() { close("}") }
    mutating func closeArray() { close("]") }

    /// - Parameter name: must need no escapes.
    mutating func key(_ name: StaticString) {
        if needsComma { bytes.writeStaticString(",") }
        bytes.writeStaticString("\"")
        bytes.writeStaticString(name)
        bytes.writeStaticString("\":")
        needsComma = false
    }

    mutating func key(named name: String) {
        if needsComma { bytes.writeStaticString(",") }
        bytes.writeJSONString(name)
        bytes.writeStaticString(":")
        needsComma = false
    }

    mutating func value(_ text: EscapedText) {
        startValue()
        bytes.writeEscaped(text)
    }

    mutating func value(_ text: String) {
        startValue()
        bytes.writeJSONString(text)
    }

    mutating func value(_ flag: Bool) {
        startValue()
        bytes.writeStaticString(flag ? "true" : "false")
    }

    mutating func value(_ number: Int) {
        startValue()
        bytes.writeString(String(number))
    }

    mutating func value(_ number: JSONNumber) {
        startValue()
        bytes.writeString(number.literal)
    }

    /// - Parameter json: a JSON text.
    mutating func value(json: ByteBuffer) {
        startValue()
        bytes.writeImmutableBuffer(json)
    }

    mutating func null() {
        startValue()
        bytes.writeStaticString("null")
    }

    /// An address, or a `data:` URL of the bytes.
    mutating func value(address source: MediaSource) {
        switch source {
        case .base64(let type, let data):
            let type = EscapedText(escaping: type)
            value { out in
                out.piece("data:")
                out.piece(type)
                out.piece(";base64,")
                out.piece(data)
            }
        case .url(let address), .file(let address): value(address)
        }
    }

    /// One string, put together from pieces that are escaped already.
    mutating func value(pieces: (inout JSONOut) -> Void) {
        startValue()
        bytes.writeStaticString("\"")
        pieces(&self)
        bytes.writeStaticString("\"")
        needsComma = true
    }

    /// Inside `value(pieces:)` only.
    mutating func piece(_ text: EscapedText) { bytes.writeImmutableBuffer(text.bytes) }

    /// Inside `value(pieces:)` only. The literal is escaped already.
    mutating func piece(_ literal: StaticString) { bytes.writeStaticString(literal) }

    private mutating func open(_ bracket: StaticString) {
        if needsComma { bytes.writeStaticString(",") }
        bytes.writeStaticString(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: StaticString) {
        bytes.writeStaticString(bracket)
        needsComma = true
    }

    private mutating func startValue() {
        if needsComma { bytes.writeStaticString(",") }
        needsComma = true
    }
}
