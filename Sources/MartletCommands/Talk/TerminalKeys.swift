/// What a user does at a terminal.
package enum TerminalKey: Sendable, Hashable {
    /// One typed scalar, or a tab.
    case text(String)
    /// What was pasted in one go, its lines ended by newlines, without what could steer a terminal.
    case paste(String)
    /// A paste beyond the bound, of which nothing is kept; its bytes.
    case pasteTooLong(Int)
    case enter
    /// Alt and Enter: a new line in what is typed.
    case newline
    case backspace, delete, left, right, home, end, up, down
    /// Ctrl-W, Ctrl-U, Ctrl-K.
    case eraseWord, eraseBefore, eraseBehind
    /// Ctrl-C, Ctrl-D, Ctrl-Z.
    case interrupt, endOfInput, stop
}

/// Makes keys of the bytes that a terminal sends which is in no line mode, and brackets pastes (`ESC[?2004h`).
package struct TerminalKeys: Sendable, Hashable {
    private enum State: Sendable, Hashable {
        case ground
        /// Bytes of a UTF-8 sequence that is not whole.
        case scalar([UInt8], count: Int)
        case escape
        /// `ESC O`: one byte follows.
        case function
        /// `ESC [`: what stands before the last byte.
        case control([UInt8])
        /// - Parameter ending: how many bytes of the paste's end have come.
        case paste(ending: Int)
    }

    private static let pasteEnd = Array("\u{1B}[201~".utf8)
    /// Bytes of a control sequence before its last that are kept; any more are passed over.
    private static let longestControl = 32

    /// Bytes of one paste.
    private let limit: Int
    private var state = State.ground
    private var pasted: [UInt8] = []
    private var pastedBytes = 0

    /// - Parameter limit: bytes of one paste.
    package init(limit: Int) { self.limit = limit }

    /// - Returns: nil: more bytes are needed, or nothing is meant by them.
    package mutating func take(_ byte: UInt8) -> TerminalKey? {
        switch state {
        case .ground: return ground(byte)
        case .scalar(let bytes, let count):
            guard byte & 0xC0 == 0x80 else {
                state = .ground
                return ground(byte)
            }
            let bytes = bytes + [byte]
            state = bytes.count < count ? .scalar(bytes, count: count) : .ground
            return bytes.count < count ? nil : Self.typed(bytes)
        case .escape:
            state = .ground
            switch byte {
            case UInt8(ascii: "["): state = .control([])
            case UInt8(ascii: "O"): state = .function
            case 0x1B: state = .escape
            case 0x0D, 0x0A: return .newline
            default: break
            }
            return nil
        case .function:
            state = .ground
            return Self.arrow(byte)
        case .control(let parameters): return control(parameters, byte)
        case .paste(let ending): return paste(byte, ending)
        }
    }

    private mutating func ground(_ byte: UInt8) -> TerminalKey? {
        switch byte {
        case 0x0D, 0x0A: return .enter
        case 0x01: return .home
        case 0x02: return .left
        case 0x03: return .interrupt
        case 0x04: return .endOfInput
        case 0x05: return .end
        case 0x06: return .right
        case 0x08, 0x7F: return .backspace
        case 0x0B: return .eraseBehind
        case 0x0E: return .down
        case 0x10: return .up
        case 0x15: return .eraseBefore
        case 0x17: return .eraseWord
        case 0x1A: return .stop
        case 0x1B: state = .escape
        case 0x09, 0x20..<0x7F: return .text(String(UnicodeScalar(byte)))
        case 0xC2..<0xE0: state = .scalar([byte], count: 2)
        case 0xE0..<0xF0: state = .scalar([byte], count: 3)
        case 0xF0..<0xF5: state = .scalar([byte], count: 4)
        default: break
        }
        return nil
    }

    private static func typed(_ bytes: [UInt8]) -> TerminalKey? {
        let text = TerminalText.safe(String(decoding: bytes, as: UTF8.self))
        return text.isEmpty ? nil : .text(text)
    }

    private static func arrow(_ byte: UInt8) -> TerminalKey? {
        switch byte {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): .right
        case UInt8(ascii: "D"): .left
        case UInt8(ascii: "F"): .end
        case UInt8(ascii: "H"): .home
        default: nil
        }
    }

    private mutating func control(_ parameters: [UInt8], _ byte: UInt8) -> TerminalKey? {
        state = .ground
        switch byte {
        case 0x20..<0x40:
            state = .control(parameters.count < Self.longestControl ? parameters + [byte] : parameters)
            return nil
        case UInt8(ascii: "~"):
            switch String(decoding: parameters, as: UTF8.self) {
            case "1", "7": return .home
            case "3": return .delete
            case "4", "8": return .end
            case "200":
                state = .paste(ending: 0)
                (pasted, pastedBytes) = ([], 0)
                return nil
            default: return nil
            }
        // Of a control sequence that was cut.
        case 0..<0x20: return ground(byte)
        default: return parameters.isEmpty ? Self.arrow(byte) : nil
        }
    }

    private mutating func paste(_ byte: UInt8, _ ending: Int) -> TerminalKey? {
        guard byte != Self.pasteEnd[ending] else {
            guard ending + 1 == Self.pasteEnd.count else {
                state = .paste(ending: ending + 1)
                return nil
            }
            state = .ground
            defer { pasted = [] }
            return pastedBytes > limit ? .pasteTooLong(pastedBytes) : .paste(Self.cleaned(pasted))
        }
        // A paste whose end has been lost is left as anything else is.
        guard byte != 0x03 else {
            state = .ground
            return .interrupt
        }
        for byte in Self.pasteEnd[..<ending] { keep(byte) }
        if byte == Self.pasteEnd[0] {
            state = .paste(ending: 1)
        } else {
            state = .paste(ending: 0)
            keep(byte)
        }
        return nil
    }

    private mutating func keep(_ byte: UInt8) {
        pastedBytes += 1
        if pastedBytes <= limit { pasted.append(byte) } else { pasted = [] }
    }

    /// Terminals end the lines of a paste by carriage returns.
    private static func cleaned(_ bytes: [UInt8]) -> String {
        var lines: [UInt8] = []
        lines.reserveCapacity(bytes.count)
        var last: UInt8 = 0
        for byte in bytes {
            if byte == 0x0D {
                lines.append(0x0A)
            } else if byte != 0x0A || last != 0x0D {
                lines.append(byte)
            }
            last = byte
        }
        return TerminalText.safe(String(decoding: lines, as: UTF8.self))
    }
}
