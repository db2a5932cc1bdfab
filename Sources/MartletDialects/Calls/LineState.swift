/// Where in a text one is, as far as it decides whether a marker counts: at the beginning of
/// a line or not, in code or not.
struct LineState: Sendable {
    /// Columns of white space since the line began; nil behind anything else.
    private(set) var indent: Int? = 0
    private var fence: (byte: UInt8, count: Int)?
    /// Of equal marks at the line's beginning.
    private var run = 0
    private var opensFence = false
    /// Within a code span.
    private var isSpan = false
    private var last: UInt8 = 0x0A

    /// In a fenced block nothing counts.
    var isFenced: Bool { fence != nil }
    /// A line begins here. Four columns of white space begin a block of code.
    var isStart: Bool { fence == nil && run == 0 && indent.map { $0 <= 3 } == true }
    /// Neither in code nor quoted.
    var isPlain: Bool {
        guard fence == nil, run == 0, !isSpan else { return false }
        return last != UInt8(ascii: "\"") && last != UInt8(ascii: "'") && last != UInt8(ascii: "`")
    }

    /// Something that belongs to no text has gone by: what follows is at a beginning.
    mutating func restart() {
        indent = 0
        run = 0
        isSpan = false
        last = 0x0A
    }

    mutating func step(_ byte: UInt8) {
        switch byte {
        case 0x0A, 0x0D:
            indent = 0
            run = 0
            opensFence = false
            isSpan = false
        case 0x20, 0x09:
            if run > 0 { leaveRun() }
            indent = indent.map { $0 + (byte == 0x09 ? 4 : 1) }
        case UInt8(ascii: "`"), UInt8(ascii: "~"):
            if let indent, indent <= 3, run == 0 || last == byte {
                mark(byte)
            } else {
                if run > 0 { leaveRun() }
                indent = nil
                if byte == UInt8(ascii: "`") { isSpan.toggle() }
            }
        default:
            if run > 0 { leaveRun() }
            indent = nil
        }
        last = byte
    }

    private mutating func mark(_ byte: UInt8) {
        run += 1
        if fence == nil, run == 3 {
            fence = (byte, 3)
            opensFence = true
        } else if opensFence {
            fence?.count += 1
        } else if let open = fence, open.byte == byte, open.count == run {
            fence = nil
            opensFence = false
            indent = nil
            run = 0
        }
    }

    /// Fewer than three marks begin a span of code.
    private mutating func leaveRun() {
        if fence == nil, run < 3, last == UInt8(ascii: "`"), run % 2 == 1 { isSpan.toggle() }
        run = 0
        indent = nil
    }

    /// The same as stepping over text that is still escaped, when nothing in it can begin a marker or a fence; else
    /// false, and nothing has changed.
    mutating func skim(_ text: UnsafeRawBufferPointer) -> Bool {
        guard run == 0 else { return false }
        let isFenced = isFenced
        var indent = indent
        var isSpan = isSpan
        var last = last
        var at = 0
        while at < text.count {
            let byte = text[at]
            at += 1
            switch byte {
            case UInt8(ascii: "`"), UInt8(ascii: "~"): return false
            case UInt8(ascii: "<"), UInt8(ascii: "["):
                guard isFenced else { return false }
                indent = nil
            case 0x20: indent = indent.map { $0 + 1 }
            case UInt8(ascii: "\\"):
                guard at < text.count else { return false }
                let escape = text[at]
                at += 1
                last = escape
                switch escape {
                case UInt8(ascii: "n"), UInt8(ascii: "r"):
                    indent = 0
                    isSpan = false
                    last = 0x0A
                case UInt8(ascii: "t"): indent = indent.map { $0 + 4 }
                case UInt8(ascii: "u"): return false
                default: indent = nil
                }
                continue
            default: indent = nil
            }
            last = byte
        }
        self.indent = indent
        self.isSpan = isSpan
        self.last = last
        opensFence = opensFence && indent == nil
        return true
    }
}
