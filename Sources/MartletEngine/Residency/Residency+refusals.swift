import MartletWire

extension Residency {
    static let closing = EngineError(.cancelled, "the server is stopping, so no model is loaded any more.")

    static func stopped(_ id: String) -> EngineError {
        EngineError(.cancelled, "the engine for \(id) was stopped before it was ready.")
    }

    /// With the numbers, and what to change.
    func doesNotFit(_ demand: Demand) -> EngineError {
        let staying = instances.filter(\.stays)
        let size = size(of: demand)
        let isMeasured = overshoot(of: demand) > 0
        var words = "\(demand.model) does not fit: it needs \(ByteCount.shown(size.least))"
        words += isMeasured ? " (as its engine was seen to take), and " : ", and "
        if staying.isEmpty || size.least > limits.budget {
            words += "engines may take \(ByteCount.shown(limits.budget)) in all (engine.memory)."
        } else {
            words +=
                "\(ByteCount.shown(max(0, room))) of the \(ByteCount.shown(limits.budget)) that engines may take "
                + "(engine.memory) can be free. The rest is held by \(Self.list(staying))."
        }
        var changes: [String] = []
        if let named = staying.first(where: { $0.isNamed && $0.demand.model == demand.model }) {
            changes.append("ask for \(named.id), which is an instance of it")
        }
        if size.least <= limits.budget, let largest = staying.max(by: { $0.bytes < $1.bytes }) {
            changes.append("unload \(largest.id)")
        }
        if let context = size.contextFitting(size.least > limits.budget ? limits.budget : room) {
            changes.append("ask for a context of at most \(context) tokens")
        }
        changes.append("raise engine.memory")
        let choice = changes.dropLast().joined(separator: ", ")
        words += " " + Self.capitalised(choice.isEmpty ? changes[0] : "\(choice), or \(changes[changes.count - 1])")
        return EngineError(.doesNotFit, words + ".")
    }

    func full(for model: String) -> EngineError {
        EngineError(
            .atCapacity,
            "\(model) cannot be loaded: \(limits.residents) models are, which is the limit, and none of them may be "
                + "unloaded for it: \(Self.list(instances.filter(\.stays))). Unload one first.")
    }

    func tooMany(waitingFor model: String) -> EngineError {
        EngineError(.atCapacity, "\(limits.waiting) requests already wait for \(model) to load, which is the limit.")
    }

    func lineIsFull(for model: String) -> EngineError {
        EngineError(
            .atCapacity,
            "\(model) cannot be loaded now: \(limits.line) other loads wait for memory, which is the limit. Try again "
                + "later.")
    }

    func waitedTooLong(for model: String) -> EngineError {
        let others = instances.filter { $0.demand.model != model }
        let busy = others.isEmpty ? "" : " Memory is held by \(Self.list(others))."
        return EngineError(
            .atCapacity,
            "\(model) was not loaded within \(limits.wait.components.seconds) s, because models in use had to be waited "
                + "for.\(busy) Try again later, or raise engine.memory.")
    }

    static func withdrawn(_ name: String) -> EngineError {
        EngineError(.cancelled, "\(name) was unloaded while it waited for memory.")
    }

    func notLoaded(_ id: String) -> EngineError {
        EngineError(.noSuchModel, "\(id) is not loaded, or is just being unloaded.")
    }

    func taken(_ name: String) -> EngineError {
        EngineError(
            .nameTaken, "an instance called \(name) is loaded already. Choose another identifier, or unload it first.")
    }

    /// `a (4.1 GB, pinned), b (300.0 MB, 2 requests)`.
    static func list(_ instances: [Instance]) -> String {
        instances.map { instance in
            var words = [ByteCount.shown(instance.bytes)]
            if instance.isPinned { words.append("pinned") }
            if instance.isExplicit { words.append("loaded explicitly") }
            if instance.users > 0 { words.append(instance.users == 1 ? "1 request" : "\(instance.users) requests") }
            return "\(instance.id) (\(words.joined(separator: ", ")))"
        }.joined(separator: ", ")
    }

    private static func capitalised(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }
}
