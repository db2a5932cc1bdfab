import MartletWire
import NIOCore

/// Reads what a marker began. Asked again as the text grows, until it knows.
struct CallGrammar {
    enum Reading {
        /// It can still become one.
        case more
        /// What was read, and where it ends in the text.
        case calls([ParsedCall], end: Int)
        /// A message of Harmony's begins there.
        case message(ReasonedKind, end: Int)
        /// No call. The text up to there has been looked at.
        case broken(CallFamily, CallMiss, end: Int)
    }

    /// Which of the two kinds of text a client is shown.
    enum ReasonedKind: Sendable, Equatable { case text, reasoning }

    let text: [UInt8]
    /// Behind the marker.
    let start: Int
    var at: Int
    /// The reply ended here, by itself.
    let isEnd: Bool

    init(_ text: [UInt8], from start: Int, isEnd: Bool) {
        self.text = text
        self.start = start
        self.isEnd = isEnd
        at = start
    }

    static func read(
        _ opening: CallMarker.Opening, _ text: [UInt8], from marker: Int, length: Int, isEnd: Bool,
        _ desk: inout CallDesk
    ) -> Reading {
        var grammar = CallGrammar(text, from: marker + length, isEnd: isEnd)
        switch opening {
        case .tag: return grammar.tag(&desk)
        case .function:
            grammar.at = marker
            return grammar.xml(&desk)
        case .request: return grammar.json(.lmStudio, stop: "[END_TOOL_REQUEST]", &desk)
        case .mistral: return grammar.mistral(&desk)
        case .python: return grammar.llama(&desk, isWhole: false)
        case .bare:
            grammar.at = marker
            return grammar.llama(&desk, isWhole: true)
        case .pythonic:
            grammar.at = marker
            return grammar.pythonic(&desk)
        case .deepSeek:
            grammar.at = marker
            return grammar.deepSeek(&desk)
        case .kimi:
            grammar.at = marker
            return grammar.kimi(&desk)
        case .channel:
            grammar.at = marker
            return grammar.channel(&desk)
        case .messageEnd, .thinkBegin, .thinkEnd, .remnant: return .broken(.harmony, .malformed, end: marker + length)
        }
    }

    // MARK: - Looking

    enum Take: Equatable { case yes, partial, no }

    var isAtEnd: Bool { at >= text.count }

    mutating func skipSpace() { while at < text.count, NearJSON.isSpace(text[at]) { at += 1 } }

    /// Steps over the literal when it stands here.
    mutating func take(_ literal: String) -> Take {
        let bytes = literal.utf8
        let rest = text[min(at, text.count)...]
        if rest.starts(with: bytes) {
            at += bytes.count
            return .yes
        }
        return bytes.starts(with: rest) ? .partial : .no
    }

    /// The first of several literals that stands here.
    mutating func take(any literals: [String]) -> Take {
        var taken = Take.no
        for literal in literals {
            switch take(literal) {
            case .yes: return .yes
            case .partial: taken = .partial
            case .no: break
            }
        }
        return taken
    }

    /// Where a literal begins, at or behind an offset.
    func find(_ literal: String, from offset: Int) -> Int? { Self.find(Array(literal.utf8), in: text, from: offset) }

    static func find(_ literal: [UInt8], in text: [UInt8], from offset: Int) -> Int? {
        guard let first = literal.first else { return nil }
        var at = max(0, offset)
        while at + literal.count <= text.count {
            if text[at] == first, text[at...].starts(with: literal) { return at }
            at += 1
        }
        return nil
    }

    func string(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }

    func trimmed(_ range: Range<Int>) -> String {
        var range = range
        while let first = range.first, NearJSON.isSpace(text[first]) { range.removeFirst() }
        while let last = range.last, NearJSON.isSpace(text[last]) { range.removeLast() }
        return string(range)
    }

    /// Whether an offered name begins so, or is this but for white space behind it.
    func mayBeName(_ text: ArraySlice<UInt8>, _ desk: inout CallDesk) -> Bool {
        var name = text
        while let last = name.last, NearJSON.isSpace(last) { name.removeLast() }
        return desk.tools.begins(name)
    }

    /// Where the next token begins; nil when it has not come. Nothing before one is that long: then it is no header.
    func token() throws(CallMiss) -> Int? {
        let limit = at + CallLimits.head / 2
        if let mark = text[at..<min(limit, text.count)].firstIndex(of: UInt8(ascii: "<")) { return mark }
        guard text.count < limit else { throw .malformed }
        return nil
    }

    /// Broken: only the marker is let go, and what follows is looked at anew; or up to `end`.
    func broken(_ family: CallFamily, _ reason: CallMiss, end: Int? = nil) -> Reading {
        .broken(family, reason, end: min(end ?? start, text.count))
    }
}
