/// A number as it is spelled in a JSON text: `1.0` stays `1.0`, and 18446744073709551615 keeps all its digits.
package struct JSONNumber: Sendable, Hashable {
    /// Well-formed by RFC 8259 section 6.
    package let literal: String

    /// Takes a spelling that has been checked.
    init(checked literal: String) { self.literal = literal }

    /// Nil when the text is not exactly one number.
    package init?(literal: String) {
        var literal = literal
        let isNumber = literal.withUTF8 { bytes in
            var walk = JSONWalk(UnsafeRawBufferPointer(bytes))
            guard let range = try? walk.number() else { return false }
            return range == 0..<bytes.count
        }
        guard isNumber else { return nil }
        self.literal = literal
    }

    package init(_ value: Int) { literal = String(value) }

    /// JSON has no infinity and no NaN: they become the largest number of their sign, and 0.
    package init(_ value: Double) {
        if value.isFinite {
            literal = value.description
        } else if value.isNaN {
            literal = "0"
        } else {
            literal = (value < 0 ? -Double.greatestFiniteMagnitude : .greatestFiniteMagnitude).description
        }
    }

    /// The integer it stands for (`1.0` and `1e2` do); nil when it is none or does not fit.
    package var int: Int? {
        var literal = literal
        return literal.withUTF8 { JSONText.integer(UnsafeRawBufferPointer($0)) }
    }

    /// Rounded to the nearest; nil when it is beyond all finite numbers.
    package var double: Double? { Double(literal).flatMap { $0.isFinite ? $0 : nil } }
}
