import MartletWire
import NIOCore

/// Numbers of vectors between their two spellings: JSON text and the bytes of little-endian 32-bit floats. Both ways
/// are exact: text goes to the nearest float, a float to the shortest text that is nearest to it and nothing else.
enum Float32Text {
    /// The bytes of a list of numbers; nil when it is none, or one of them is beyond all finite floats.
    static func floats(_ list: ByteBuffer) -> ByteBuffer? {
        var out = ByteBuffer()
        // A number of a vector takes about ten characters.
        out.reserveCapacity(list.readableBytes / 2)
        let isList = list.withUnsafeReadableBytes { text -> Bool in
            var walk = JSONWalk(text)
            do throws(JSONError) {
                try walk.enterArray()
                while try walk.nextElement() {
                    let range = try walk.number()
                    guard let float = float(UnsafeRawBufferPointer(rebasing: text[range])) else { return false }
                    out.writeInteger(float.bitPattern, endianness: .little)
                }
                return true
            } catch {
                return false
            }
        }
        return isList ? out : nil
    }

    /// The list of numbers that these bytes are; nil when one of them is none that JSON can say.
    static func list(_ bytes: [UInt8]) -> ByteBuffer? {
        var out = ByteBuffer(string: "[")
        for start in stride(from: 0, to: bytes.count - 3, by: 4) {
            let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
            let float = Float(bitPattern: word)
            guard float.isFinite else { return nil }
            if start > 0 { out.writeString(",") }
            out.writeString(float.description)
        }
        out.writeString("]")
        return out
    }

    private static let tens: [Double] = (0...22).map { (exponent: Int) in
        (0..<exponent).reduce(1.0) { power, _ in power * 10 }
    }

    /// The float nearest to a number as JSON spells it.
    ///
    /// Nearly all take the short way: the digits as an integer and a power of ten that is exact make a double that is
    /// off by less than two units in its last place, and so rounds to the same float as the number itself, unless it
    /// lies that near to the middle between two floats.
    static func float(_ text: UnsafeRawBufferPointer) -> Float? {
        guard let double = quick(text), abs(double) >= Double(Float.leastNormalMagnitude),
            abs(double) < Double(Float.greatestFiniteMagnitude)
        else { return slow(text) }
        let rest = Int(double.bitPattern & 0x1FFF_FFFF)
        return abs(rest - 0x1000_0000) > 4 ? Float(double) : slow(text)
    }

    private static func slow(_ text: UnsafeRawBufferPointer) -> Float? {
        Float(String(decoding: text, as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
    }

    /// Nil for more digits or another size than the short way is good for.
    private static func quick(_ text: UnsafeRawBufferPointer) -> Double? {
        var at = text.first == UInt8(ascii: "-") ? 1 : 0
        var digits: UInt64 = 0
        var exponent = 0
        var isFraction = false
        while at < text.count {
            let byte = text[at]
            at += 1
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                guard digits < 100_000_000_000_000_000 else { return nil }
                digits = digits * 10 + UInt64(byte - UInt8(ascii: "0"))
                if isFraction { exponent -= 1 }
            case UInt8(ascii: "."): isFraction = true
            default:
                let written = String(decoding: UnsafeRawBufferPointer(rebasing: text[at...]), as: UTF8.self)
                guard let power = Int(written), abs(power) < 64 else { return nil }
                exponent += power
                at = text.count
            }
        }
        guard digits != 0, abs(exponent) <= 22 else { return nil }
        let size = exponent < 0 ? Double(digits) / tens[-exponent] : Double(digits) * tens[exponent]
        return text.first == UInt8(ascii: "-") ? -size : size
    }
}
