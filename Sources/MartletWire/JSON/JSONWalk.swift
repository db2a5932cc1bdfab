internal import CScan
package import NIOCore

/// A member's name, as the walk found it.
package struct JSONKey: Sendable, Hashable {
    /// Inside the quotes.
    package var range: Range<Int>
    package var isEscaped: Bool

    package init(range: Range<Int>, isEscaped: Bool) {
        self.range = range
        self.isEscaped = isEscaped
    }
}

/// A cursor over one JSON text lent by a closure: it must not outlive the closure.
///
/// It checks what it steps over, and every read is bounds-checked, in release builds too. Whoever enters an object or
/// an array steps over each value (`skip()` at least) and asks for the next until it has ended. A copy taken before is
/// the way back. After an error the walk is of no more use.
package struct JSONWalk {
    private let text: UnsafeRawBufferPointer
    /// Bytes from the start of the text to where the walk stands.
    package private(set) var offset = 0
    private var depth = 0
    /// Just behind a `{` or `[`: no comma is due.
    private var isFresh = false
    private let options: Int32

    /// - Parameter loneSurrogates: lets a `\u` escape pass that is half of a surrogate pair, as some upstreams send
    ///   when they cut a stream inside a character. The text stays as it was; unescaped, each half is U+FFFD.
    package init(_ bytes: UnsafeRawBufferPointer, loneSurrogates: Bool = false) {
        text = bytes
        options = loneSurrogates ? Int32(cscan_allow_lone) : 0
    }

    /// What the next value is. Does not check it.
    package mutating func kind() throws(JSONError) -> JSONKind {
        guard let kind = JSONKind(cscan_kind_of(try next())) else { throw JSONError(.malformed, at: offset) }
        return kind
    }

    package mutating func enterObject() throws(JSONError) { try enter(UInt8(ascii: "{")) }

    package mutating func enterArray() throws(JSONError) { try enter(UInt8(ascii: "[")) }

    /// The next member's name; its value comes next. Nil: the object has ended and is left.
    package mutating func nextKey() throws(JSONError) -> JSONKey? {
        guard try step(closing: UInt8(ascii: "}")) else { return nil }
        guard try next() == UInt8(ascii: "\"") else { throw JSONError(.malformed, at: offset) }
        let (range, escaped) = try content()
        guard try next() == UInt8(ascii: ":") else { throw JSONError(.malformed, at: offset) }
        offset += 1
        return JSONKey(range: range, isEscaped: escaped)
    }

    /// Whether there is another element, which comes next. False: the array has ended and is left.
    package mutating func nextElement() throws(JSONError) -> Bool { try step(closing: UInt8(ascii: "]")) }

    /// Steps over a string: the range of its content, still escaped.
    package mutating func string() throws(JSONError) -> Range<Int> {
        try expect(.string)
        return try content().range
    }

    /// Steps over a value of any kind: the range of its bytes, checked.
    package mutating func skip() throws(JSONError) -> Range<Int> {
        _ = try next()
        guard let start = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            throw JSONError(.truncated, at: 0)
        }
        let from = offset
        let result = cscan_value(start, text.count, from, WireLimits.jsonDepth - depth, options, nil)
        guard result.status == cscan_ok else { throw JSONError(result) }
        offset = result.offset
        isFresh = false
        return from..<offset
    }

    /// Steps over a number: the integer it stands for (`1.0` and `1e2` do), nil when it is none or does not fit.
    package mutating func int() throws(JSONError) -> Int? {
        JSONText.integer(JSONText.part(of: text, try number()))
    }

    /// Steps over a number: the range of its spelling.
    package mutating func number() throws(JSONError) -> Range<Int> {
        try expect(.number)
        return try skip()
    }

    package mutating func bool() throws(JSONError) -> Bool {
        try expect(.bool)
        return try skip().count == 4
    }

    /// Steps over `null` if it is next, and says whether it was.
    package mutating func takeNull() throws(JSONError) -> Bool {
        guard try next() == UInt8(ascii: "n") else { return false }
        _ = try skip()
        return true
    }

    /// - Throws: `trailing` when anything but white space is left.
    package mutating func end() throws(JSONError) {
        skipSpace()
        guard offset == text.count else { throw JSONError(.trailing, at: offset) }
    }

    /// Whether that is the key's name. Unescapes it only when it holds an escape.
    package func key(_ key: JSONKey, is name: StaticString) -> Bool {
        guard key.isEscaped || key.range.count == name.utf8CodeUnitCount else { return false }
        return name.withUTF8Buffer {
            JSONText.isKey(text, key.range, escaped: key.isEscaped, UnsafeRawBufferPointer($0))
        }
    }

    /// The key's name, unescaped.
    package func name(_ key: JSONKey) -> String { text(key.range) }

    /// A string's content, unescaped.
    package func text(_ range: Range<Int>) -> String { JSONText.unescaped(JSONText.part(of: text, range)) }

    /// Whether a string's content or a key has no bytes but these.
    package func text(_ range: Range<Int>, is wanted: StaticString) -> Bool {
        wanted.withUTF8Buffer { JSONText.same(JSONText.part(of: text, range), UnsafeRawBufferPointer($0)) }
    }

    // MARK: - Steps

    @inline(__always)
    private mutating func skipSpace() {
        while offset < text.count {
            let byte = text[offset]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            offset += 1
        }
    }

    /// The first byte that is no white space; the walk stands on it.
    @inline(__always)
    private mutating func next() throws(JSONError) -> UInt8 {
        skipSpace()
        guard offset < text.count else { throw JSONError(.truncated, at: text.count) }
        return text[offset]
    }

    private mutating func expect(_ wanted: JSONKind) throws(JSONError) {
        guard try kind() == wanted else { throw JSONError(.notThisType, at: offset) }
    }

    private mutating func enter(_ opening: UInt8) throws(JSONError) {
        guard try next() == opening else {
            _ = try kind()
            throw JSONError(.notThisType, at: offset)
        }
        guard depth < WireLimits.jsonDepth else { throw JSONError(.tooDeep, at: offset) }
        offset += 1
        depth += 1
        isFresh = true
    }

    /// Steps over the comma that is due; false when the container closes instead, and is left.
    @inline(__always)
    private mutating func step(closing: UInt8) throws(JSONError) -> Bool {
        let byte = try next()
        if byte == closing, depth > 0 {
            offset += 1
            depth -= 1
            isFresh = false
            return false
        }
        if isFresh {
            isFresh = false
            return true
        }
        guard byte == UInt8(ascii: ",") else { throw JSONError(.malformed, at: offset) }
        offset += 1
        guard try next() != closing else { throw JSONError(.malformed, at: offset) }
        return true
    }

    /// Steps over the string the walk stands on.
    private mutating func content() throws(JSONError) -> (range: Range<Int>, escaped: Bool) {
        guard let start = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            throw JSONError(.truncated, at: 0)
        }
        let from = offset + 1
        let result = cscan_string(start, text.count, from, options)
        guard result.status == cscan_ok else { throw JSONError(result) }
        offset = result.offset + 1
        isFresh = false
        return (from..<result.offset, result.escaped != 0)
    }
}

extension ByteBuffer {
    /// Walks the readable bytes; ranges count from `readerIndex`. The walk must not leave the closure.
    package func walkJSON<R>(
        loneSurrogates: Bool = false, _ body: (inout JSONWalk) throws(JSONError) -> R
    ) throws(JSONError) -> R {
        try withUnsafeReadableBytes { (bytes) throws(JSONError) -> R in
            var walk = JSONWalk(bytes, loneSurrogates: loneSurrogates)
            return try body(&walk)
        }
    }
}
