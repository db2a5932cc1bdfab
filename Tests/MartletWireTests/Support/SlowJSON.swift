/// RFC 8259 written down as plainly as possible, one byte at a time: what the fast checker is compared with.
struct SlowJSON {
    private let text: [UInt8]
    private var at = 0
    private struct Wrong: Error {}

    static func accepts(_ text: [UInt8], depth: Int = 128) -> Bool {
        var checker = SlowJSON(text)
        do {
            try checker.value(depth)
            checker.space()
            return checker.at == text.count
        } catch { return false }
    }

    private init(_ text: [UInt8]) { self.text = text }

    private var byte: UInt8? { at < text.count ? text[at] : nil }

    private mutating func space() { while let b = byte, [0x20, 0x09, 0x0A, 0x0D].contains(b) { at += 1 } }

    private mutating func take(_ character: Character) -> Bool {
        guard byte == character.asciiValue else { return false }
        at += 1
        return true
    }

    private mutating func need(_ word: String) throws { for c in word { guard take(c) else { throw Wrong() } } }

    private mutating func value(_ depth: Int) throws {
        space()
        switch byte.map({ Character(UnicodeScalar($0)) }) {
        case "{":
            guard depth > 0 else { throw Wrong() }
            at += 1
            space()
            if take("}") { return }
            repeat {
                space()
                try string()
                space()
                try need(":")
                try value(depth - 1)
                space()
            } while take(",")
            try need("}")
        case "[":
            guard depth > 0 else { throw Wrong() }
            at += 1
            space()
            if take("]") { return }
            repeat {
                try value(depth - 1)
                space()
            } while take(",")
            try need("]")
        case "\"": try string()
        case "t": try need("true")
        case "f": try need("false")
        case "n": try need("null")
        default: try number()
        }
    }

    private mutating func digits() throws {
        guard let first = byte, (0x30...0x39).contains(first) else { throw Wrong() }
        while let b = byte, (0x30...0x39).contains(b) { at += 1 }
    }

    private mutating func number() throws {
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
    }

    private mutating func string() throws {
        try need("\"")
        var units = [UInt16]()
        var raw = [UInt8]()
        func close() throws {
            guard String(validating: raw, as: UTF8.self) != nil else { throw Wrong() }
        }
        while let b = byte {
            at += 1
            if b == 0x22 {
                try close()
                guard String(validating: units, as: UTF16.self) != nil else { throw Wrong() }
                return
            }
            if b < 0x20 { throw Wrong() }
            if b != 0x5C {
                raw.append(b)
                units.append(0x61)  // between two halves it parts them, whatever it is
                continue
            }
            guard let escape = byte else { throw Wrong() }
            at += 1
            try close()  // an escape inside a character of several bytes breaks it
            raw = []
            if escape == UInt8(ascii: "u") {
                guard at + 4 <= text.count else { throw Wrong() }
                let digits = text[at..<at + 4]
                guard digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit && $0 < 0x80 }),
                    let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
                else { throw Wrong() }
                units.append(unit)
                at += 4
            } else {
                guard "\"\\/bfnrt".utf8.contains(escape) else { throw Wrong() }
                units.append(0x61)
            }
        }
        throw Wrong()
    }
}
