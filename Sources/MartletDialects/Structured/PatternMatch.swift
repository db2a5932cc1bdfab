/// Whether a text matches a regular expression of a JSON Schema, in time that grows with the text and not faster.
///
/// Of the expressions `SchemaPattern` knows, with or without anchors; alternatives beside an anchor are left out, since
/// hardly anybody means what they say.
struct PatternMatch: Sendable {
    /// Of a compiled expression, so that counts inside counts stay affordable.
    private static let mostStates = 2000
    /// Nodes visited while compiling: what adds no state can be repeated in repetitions all the same.
    private static let mostVisits = 10_000

    private enum State: Sendable {
        case letter(PatternSet, next: Int)
        case either(Int, Int)
        case end
    }

    private var states: [State] = []
    private var start = 0
    private var visits = 0
    /// Comparisons that one character may take.
    private var width = 0

    /// Nil when this cannot tell.
    init?(_ pattern: String) {
        let isAnchoredFirst = pattern.hasPrefix("^")
        let isAnchoredLast = pattern.hasSuffix("$") && !pattern.hasSuffix("\\$")
        let body = pattern.dropFirst(isAnchoredFirst ? 1 : 0).dropLast(isAnchoredLast ? 1 : 0)
        guard let fitted = SchemaPattern.fit("^\(body)$") else { return nil }
        var reader = PatternReader(fitted.dropFirst().dropLast())
        guard var node = reader.read() else { return nil }
        if case .choice = node, isAnchoredFirst || isAnchoredLast { return nil }
        let anything = PatternNode.repeated(.set(PatternSet(isNegated: true)), 0, nil)
        if !isAnchoredFirst { node = .sequence([anything, node]) }
        if !isAnchoredLast { node = .sequence([node, anything]) }
        states.append(.end)
        guard let start = compile(node, to: 0) else { return nil }
        self.start = start
    }

    /// Nil when that would take too long to find out.
    /// - Parameter work: what is left of it, in ranges and states times characters.
    func matches(_ text: String, within work: inout Int) -> Bool? {
        let letters = text.unicodeScalars
        let (cost, isTooMuch) = letters.count.multipliedReportingOverflow(by: max(width, states.count))
        guard !isTooMuch, cost <= work else { return nil }
        work -= cost
        var marks = [Int](repeating: -1, count: states.count)
        var current: [Int] = []
        enter(start, 0, &marks, &current)
        var step = 0
        for letter in letters {
            step += 1
            var next: [Int] = []
            for place in current {
                if case .letter(let set, let target) = states[place], set.contains(letter) {
                    enter(target, step, &marks, &next)
                }
            }
            if next.isEmpty, marks[0] != step { return false }
            current = next
        }
        return marks[0] == step
    }

    /// Marks a state, and all it leads to without a letter.
    private func enter(_ place: Int, _ step: Int, _ marks: inout [Int], _ reached: inout [Int]) {
        var waiting = [place]
        while let place = waiting.popLast() {
            guard marks[place] != step else { continue }
            marks[place] = step
            switch states[place] {
            case .either(let first, let second): waiting += [second, first]
            case .letter: reached.append(place)
            case .end: break
            }
        }
    }

    /// - Returns: where the node begins; nil when that would take too many states, or too long.
    private mutating func compile(_ node: PatternNode, to next: Int) -> Int? {
        visits += 1
        guard visits <= Self.mostVisits, states.count <= Self.mostStates else { return nil }
        switch node {
        case .set(let set):
            width += set.ranges.count
            return add(.letter(set, next: next))
        case .sequence(let nodes):
            var next = next
            for node in nodes.reversed() {
                guard let start = compile(node, to: next) else { return nil }
                next = start
            }
            return next
        case .choice(let nodes):
            var start: Int?
            for node in nodes.reversed() {
                guard let way = compile(node, to: next) else { return nil }
                start = start.map { add(.either(way, $0)) } ?? way
            }
            return start
        case .repeated(let node, let least, let most): return compile(node, least, most, to: next)
        }
    }

    private mutating func compile(_ node: PatternNode, _ least: Int, _ most: Int?, to next: Int) -> Int? {
        var start = next
        if let most {
            for _ in 0..<max(0, most - least) {
                guard let way = compile(node, to: start) else { return nil }
                start = add(.either(way, next))
            }
        } else {
            let loop = add(.end)
            guard let way = compile(node, to: loop) else { return nil }
            states[loop] = .either(way, next)
            start = loop
        }
        for _ in 0..<least {
            guard let way = compile(node, to: start) else { return nil }
            start = way
        }
        return states.count <= Self.mostStates ? start : nil
    }

    private mutating func add(_ state: State) -> Int {
        states.append(state)
        return states.count - 1
    }
}

/// The characters one place of an expression stands for.
struct PatternSet: Sendable {
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    var isNegated = false

    func contains(_ letter: Unicode.Scalar) -> Bool { ranges.contains { $0.contains(letter) } != isNegated }
}

indirect enum PatternNode: Sendable {
    case set(PatternSet)
    case sequence([PatternNode])
    case choice([PatternNode])
    case repeated(PatternNode, Int, Int?)

    /// Sets, each as often as its counts say; one more for a count that repeats nothing.
    var letters: Int {
        switch self {
        case .set: 1
        case .sequence(let nodes), .choice(let nodes): nodes.reduce(0) { min($0 + $1.letters, 1 << 20) }
        case .repeated(let node, let least, let most): min(max(1, node.letters) * max(1, most ?? least), 1 << 20)
        }
    }
}

/// Reads what `SchemaPattern` has made of an expression, anchors taken off.
struct PatternReader {
    private static let deepest = 32

    private let text: [Unicode.Scalar]
    private var at = 0
    private var depth = 0

    init(_ text: Substring) { self.text = Array(text.unicodeScalars) }

    mutating func read() -> PatternNode? {
        guard let node = choice(), at == text.count else { return nil }
        return node
    }

    private mutating func choice() -> PatternNode? {
        var ways: [PatternNode] = []
        repeat {
            guard let way = sequence() else { return nil }
            ways.append(way)
        } while take("|")
        return ways.count == 1 ? ways[0] : .choice(ways)
    }

    private mutating func sequence() -> PatternNode? {
        var nodes: [PatternNode] = []
        while at < text.count, text[at] != "|", text[at] != ")" {
            guard let node = atom().flatMap({ counted($0) }) else { return nil }
            nodes.append(node)
        }
        return .sequence(nodes)
    }

    private mutating func atom() -> PatternNode? {
        let letter = text[at]
        at += 1
        switch letter {
        case "(":
            depth += 1
            guard depth < Self.deepest, !take("?") || take(":") else { return nil }
            guard let node = choice(), take(")") else { return nil }
            depth -= 1
            return node
        case "[": return set()
        case "\\": return escaped().map { .set(PatternSet(ranges: [$0...$0])) }
        case ".": return .set(PatternSet(ranges: ["\n"..."\n", "\r"..."\r"], isNegated: true))
        case "*", "+", "?", "{": return nil
        default: return .set(PatternSet(ranges: [letter...letter]))
        }
    }

    private mutating func counted(_ node: PatternNode) -> PatternNode? {
        var bounds: (Int, Int?)
        if take("*") {
            bounds = (0, nil)
        } else if take("+") {
            bounds = (1, nil)
        } else if take("?") {
            bounds = (0, 1)
        } else if take("{") {
            guard let close = text[at...].firstIndex(of: "}") else { return nil }
            let words = String(String.UnicodeScalarView(text[at..<close])).split(
                separator: ",", omittingEmptySubsequences: false)
            guard words.count <= 2, let least = SchemaPattern.count(words[0]) else { return nil }
            bounds = (least, least)
            if words.count == 2 {
                bounds.1 = SchemaPattern.count(words[1])
                guard words[1].isEmpty || bounds.1.map({ $0 >= least }) == true else { return nil }
            }
            at = close + 1
        } else {
            return node
        }
        // A lazy count finds another match in a text, but not another answer to whether it matches.
        _ = take("?")
        return .repeated(node, bounds.0, bounds.1)
    }

    private mutating func set() -> PatternNode? {
        var set = PatternSet()
        set.isNegated = take("^")
        while at < text.count, text[at] != "]" {
            guard let first = member() else { return nil }
            guard at + 1 < text.count, text[at] == "-", text[at + 1] != "]" else {
                set.ranges.append(first...first)
                continue
            }
            at += 1
            guard let last = member(), first <= last else { return nil }
            set.ranges.append(first...last)
        }
        return take("]") ? .set(set) : nil
    }

    private mutating func member() -> Unicode.Scalar? {
        at += 1
        return text[at - 1] == "\\" ? escaped() : text[at - 1]
    }

    private mutating func escaped() -> Unicode.Scalar? {
        guard at < text.count else { return nil }
        at += 1
        switch text[at - 1] {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        default: return text[at - 1]
        }
    }

    private mutating func take(_ letter: Unicode.Scalar) -> Bool {
        guard at < text.count, text[at] == letter else { return false }
        at += 1
        return true
    }
}
