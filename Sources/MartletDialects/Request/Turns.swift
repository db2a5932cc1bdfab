import MartletWire

/// A conversation as message dialects want it: assistant turns, and gaps between them that hold everything else.
struct Turns {
    /// What stands in a gap besides results, in its order. Neighbouring user parts are one piece.
    enum Piece {
        case user([Part])
        case system([Part])
    }

    struct Answer {
        var call: ToolCall
        /// Nil: the call was interrupted.
        var result: ToolResult?

        /// Said in the place of a result.
        static let interrupted = "[no result: the call was interrupted]"
    }

    struct Gap {
        /// One per call of the assistant's turn before, in the order of the calls.
        var answers: [Answer] = []
        var pieces: [Piece] = []
        /// As they came, before they are paired.
        fileprivate var results: [ToolResult] = []

        /// - Returns: results of no call here.
        fileprivate mutating func answer(_ calls: [ToolCall]) -> [ToolResult] {
            var waiting: [String: [Int]] = [:]
            for (place, call) in calls.enumerated().reversed() { waiting[call.id, default: []].append(place) }
            answers = calls.map { Answer(call: $0, result: nil) }
            var orphans: [ToolResult] = []
            for result in results {
                if let place = waiting[result.callID]?.popLast() {
                    answers[place].result = result
                } else {
                    orphans.append(result)
                }
            }
            results = []
            return orphans
        }

        fileprivate mutating func addFirst(user parts: [Part]) {
            if case .user(let after) = pieces.first {
                pieces[0] = .user(parts + after)
            } else {
                pieces.insert(.user(parts), at: 0)
            }
        }

        fileprivate mutating func add(user parts: [Part]) {
            var all: [Part] = []
            if case .user(let before) = pieces.last {
                all = before
                pieces.removeLast()
            }
            all += parts
            pieces.append(.user(all))
        }
    }

    enum Turn {
        /// Messages, reasoning, calls and results of server tools.
        case assistant([Item])
        case gap(Gap)
    }

    /// The texts of each instruction that leads.
    private(set) var leading: [[Part]] = []
    /// Never two of a kind side by side.
    private(set) var turns: [Turn] = []

    /// - Parameters:
    ///   - late: what becomes of instructions that do not lead.
    ///   - hoistsEarly: those before the first assistant turn lead, unless `late` keeps them.
    init(_ items: [Item], late: Capabilities.SystemForm, hoistsEarly: Bool) {
        let firstAssistant = items.firstIndex { $0.side == .assistant } ?? items.endIndex
        let lastUser = items.lastIndex { $0.side == .user } ?? items.startIndex
        for (place, item) in items.enumerated() {
            switch item {
            case .instruction(let instruction):
                if instruction.scope == .leading {
                    leading.append(instruction.parts)
                } else if !instruction.clearsAtNextUserTurn || place > lastUser {
                    let isEarly = hoistsEarly && place < firstAssistant
                    add(instruction, late == .user && isEarly ? .merge : late)
                }
            case .message(.user, let parts): inGap { $0.add(user: parts) }
            case .toolResult(let result) where result.kind == .client: inGap { $0.results.append(result) }
            case .message, .reasoning, .toolCall, .toolResult: addToAssistant(item)
            case .toolChange, .opaque: break
            }
        }
        pair()
    }

    /// For an API that wants some input: a request of nothing but instructions is asked in the user's name.
    mutating func askInUsersName() {
        guard turns.isEmpty, let last = leading.popLast() else { return }
        inGap { $0.add(user: last) }
    }

    private mutating func add(_ instruction: Instruction, _ form: Capabilities.SystemForm) {
        switch form {
        case .merge: leading.append(instruction.parts)
        case .keep: inGap { $0.pieces.append(.system(instruction.parts)) }
        case .user:
            let reminder = Self.reminder(instruction.parts)
            inGap { $0.add(user: [reminder]) }
        }
    }

    /// System text in the user's name, marked as agents mark theirs.
    static func reminder(_ parts: [Part]) -> Part {
        var reminder = TextBuilder()
        reminder.add("<system-reminder>\n")
        reminder.add(TextBuilder.paragraphs(parts.compactMap(\.text)))
        reminder.add("\n</system-reminder>")
        return Part(.text(reminder.text))
    }

    private mutating func inGap(_ change: (inout Gap) -> Void) {
        var gap = Gap()
        if case .gap(let open) = turns.last {
            gap = open
            turns.removeLast()
        }
        change(&gap)
        turns.append(.gap(gap))
    }

    private mutating func addToAssistant(_ item: Item) {
        var items: [Item] = []
        if case .assistant(let open) = turns.last {
            items = open
            turns.removeLast()
        }
        items.append(item)
        turns.append(.assistant(items))
    }

    // MARK: - Results

    /// Brings results into the order of their calls. A call without one is answered all the same, a result without a
    /// call becomes user text.
    private mutating func pair() {
        var calls: [ToolCall] = []
        for place in turns.indices {
            switch turns[place] {
            case .assistant(let items): calls = items.compactMap(\.clientCall)
            case .gap(var gap):
                let orphans = gap.answer(calls).flatMap(Self.orphan)
                if !orphans.isEmpty { gap.addFirst(user: orphans) }
                turns[place] = .gap(gap)
                calls = []
            }
        }
        if !calls.isEmpty {
            var gap = Gap()
            gap.answers = calls.map { Answer(call: $0, result: nil) }
            turns.append(.gap(gap))
        }
    }

    private static func orphan(_ result: ToolResult) -> [Part] {
        [Part(.text(EscapedText(escaping: "[result of an earlier tool call \(result.callID)]")))] + result.parts
    }
}

extension Item {
    /// Whose turn it belongs to; nil: nobody's.
    fileprivate var side: Role? {
        switch self {
        case .message(let role, _): role
        case .reasoning, .toolCall: .assistant
        case .toolResult(let result): result.kind == .client ? .user : .assistant
        case .instruction, .toolChange, .opaque: nil
        }
    }

    /// What a message says, refusals too.
    var texts: [EscapedText] {
        guard case .message(_, let parts) = self else { return [] }
        return parts.compactMap { part in
            switch part.content {
            case .text(let text), .refusal(let text): text
            default: nil
            }
        }
    }

    var call: ToolCall? {
        if case .toolCall(let call) = self { return call }
        return nil
    }

    /// A call the client is to run.
    var clientCall: ToolCall? { call.flatMap { $0.kind == .server ? nil : $0 } }
}
