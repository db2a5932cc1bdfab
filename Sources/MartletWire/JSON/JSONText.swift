internal import CScan
package import NIOCore

/// What is said about pieces of JSON text in more than one place: unescaping, comparing keys, reading integers.
enum JSONText {
    /// The content of a string without its escapes. What is not UTF-8 is repaired, half a surrogate pair is U+FFFD.
    static func unescaped(_ content: UnsafeRawBufferPointer) -> String {
        guard let start = content.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return "" }
        if cscan_plain(start, content.count) == content.count { return String(decoding: content, as: UTF8.self) }
        return String(unsafeUninitializedCapacity: content.count) { room in
            guard let out = room.baseAddress else { return 0 }
            return cscan_unescape(start, content.count, out)
        }
    }

    static func unescaped(_ text: ByteBuffer, _ range: Range<Int>) -> String {
        text.withUnsafeReadableBytes { unescaped(part(of: $0, range)) }
    }

    /// The bytes of a range, cut to the text.
    static func part(of text: UnsafeRawBufferPointer, _ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: text[range.clamped(to: 0..<text.count)])
    }

    /// Whether the key is that name, byte for byte once its escapes are gone.
    static func isKey(
        _ text: UnsafeRawBufferPointer, _ key: Range<Int>, escaped: Bool, _ name: UnsafeRawBufferPointer
    ) -> Bool {
        let key = part(of: text, key)
        if !escaped { return same(key, name) }
        // No escape is longer than six bytes for one of text.
        guard key.count >= name.count, key.count <= 6 * name.count else { return false }
        var plain = unescaped(key)
        return plain.withUTF8 { same(UnsafeRawBufferPointer($0), name) }
    }

    static func same(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        a.count == b.count && cscan_same(a.baseAddress, b.baseAddress, a.count) != 0
    }

    /// The integer a well-formed number stands for, however it is spelled (`1.0`, `1e2`); nil when it is none or does
    /// not fit an `Int`.
    static func integer(_ number: UnsafeRawBufferPointer) -> Int? {
        var at = 0
        let negative = number.first == UInt8(ascii: "-")
        if negative { at = 1 }
        var value = 0
        let digits = at
        while at < number.count, let digit = digit(number[at]) {
            let (tenfold, over) = value.multipliedReportingOverflow(by: 10)
            // Counted below zero, where there is room for one more.
            let (sum, overSum) = tenfold.subtractingReportingOverflow(digit)
            guard !over, !overSum else { return spelled(number, from: digits, negative: negative) }
            value = sum
            at += 1
        }
        if at < number.count { return spelled(number, from: digits, negative: negative) }
        if negative { return value }
        return value == .min ? nil : -value
    }

    /// The slow way: digits, a point and an exponent.
    private static func spelled(_ number: UnsafeRawBufferPointer, from start: Int, negative: Bool) -> Int? {
        var at = start
        var behindPoint = 0
        var zeros = 0  // digits 0 not yet counted in: they vanish if nothing follows
        var value = 0
        var sawPoint = false
        var overflow = false
        while at < number.count, number[at] | 0x20 != UInt8(ascii: "e") {
            defer { at += 1 }
            guard let digit = digit(number[at]) else {
                sawPoint = true
                continue
            }
            if sawPoint { behindPoint += 1 }
            if digit == 0 {
                zeros += 1
                continue
            }
            overflow = overflow || !append(zeros: zeros, to: &value) || !append(digit, to: &value)
            zeros = 0
        }
        if value == 0, !overflow { return 0 }
        if overflow { return nil }
        var exponent = 0
        if at < number.count {
            at += 1
            let down = at < number.count && number[at] == UInt8(ascii: "-")
            while at < number.count {
                if let digit = digit(number[at]) { exponent = min(exponent * 10 + digit, 1 << 40) }
                at += 1
            }
            if down { exponent = -exponent }
        }
        let power = exponent + zeros - behindPoint
        guard power >= 0, append(zeros: power, to: &value) else { return nil }
        if negative { return value }
        return value == .min ? nil : -value
    }

    private static func digit(_ byte: UInt8) -> Int? {
        let digit = Int(byte) - 0x30
        return digit >= 0 && digit < 10 ? digit : nil
    }

    /// Counts one more digit into a value kept below zero; false when it does not fit.
    private static func append(_ digit: Int, to value: inout Int) -> Bool {
        let (tenfold, over) = value.multipliedReportingOverflow(by: 10)
        let (sum, overSum) = tenfold.subtractingReportingOverflow(digit)
        value = sum
        return !over && !overSum
    }

    private static func append(zeros count: Int, to value: inout Int) -> Bool {
        if value == 0 { return true }
        if count > 19 { return false }
        for _ in 0..<count where !append(0, to: &value) { return false }
        return true
    }
}

extension ByteBuffer {
    /// The bytes of a range counted from `readerIndex`, sharing this buffer's storage. What reaches beyond the readable
    /// bytes is cut off.
    package func part(_ range: Range<Int>) -> ByteBuffer {
        let range = range.clamped(to: 0..<readableBytes)
        return getSlice(at: readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }
}
