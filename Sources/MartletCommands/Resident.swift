package import MartletWire

/// A loaded model, as `GET /admin/v1/residents` tells it.
package struct Resident: Sendable, Hashable {
    /// What requests name it by.
    package var id: String
    /// The key of its model.
    package var model: String
    /// `idle`, `processingPrompt`, `generating`, `computingEmbedding`, `waiting`, `loading`, `draining`, `crashed`; `loaded`
    /// where no more is known.
    package var state: String
    /// Requests it works on, and such as wait for it.
    package var users: Int
    package var queued: Int
    package var parallel: Int?
    /// Tokens; nil: not known yet.
    package var context: Int?
    package var bytes: Int?
    /// Of its files.
    package var fileBytes: Int?
    /// Of its first file, on the server's machine.
    package var path: String?
    /// It makes vectors, or ranks.
    package var isEncoder = false
    /// Why it waits, for people.
    package var reason: String?
    /// How long it stays without a request; nil: for good.
    package var ttlMilliseconds: Int?
    /// Since 1970; nil: it has never been used.
    package var lastUsedMilliseconds: Int?
    package var isPinned: Bool
    /// Each with its origin, as the server has them.
    package var settings: JSON

    /// Nil: it has no id.
    package init?(_ entry: JSON) {
        guard let id = entry["id"]?.string else { return nil }
        self.id = id
        model = entry["model"]?.string ?? id
        state = entry["state"]?.string ?? "idle"
        users = entry["users"]?.int ?? 0
        queued = entry["queued"]?.int ?? 0
        parallel = entry["parallel"]?.int
        context = entry["context"]?.int
        bytes = entry["bytes"]?.int
        fileBytes = entry["size_bytes"]?.int
        path = entry["path"]?.string
        reason = entry["reason"]?.string
        ttlMilliseconds = entry["ttl_ms"]?.int
        lastUsedMilliseconds = entry["last_used"]?.int
        isPinned = entry["pinned"]?.bool ?? false
        settings = entry["settings"] ?? .object([:])
    }

    /// Neither about to be, nor to come back when it is used.
    package var isLoaded: Bool { !["loading", "waiting", "crashed"].contains(state) }

    package static func all(in reply: JSON) -> [Resident] {
        (reply["residents"]?.array ?? []).compactMap { Resident($0) }
    }

    /// `context 8192 (built-in)`, `parallel 4 (configuration)`, …, the context first and as it came out.
    package var settingsShown: [String] {
        var shown: [String] = []
        for (name, setting) in settings.object?.map({ ($0.key, $0.value) }) ?? [] where name != "ttl" {
            let isContext = name == "context_length" || name == "context"
            let value: String? =
                switch name {
                case _ where isContext: context.map { "\($0)" }
                case "prompt_cache": setting["value"]?.int.map { ByteCount.shown($0) }
                default: nil
                }
            guard let text = value ?? setting["value"].flatMap(Self.text) else { continue }
            let origin = setting["origin"]?.string.map { " (\($0))" } ?? ""
            let words = isContext ? "context" : name.split(separator: "_").joined(separator: " ")
            shown.insert("\(words) \(text)\(origin)", at: isContext ? 0 : shown.count)
        }
        if shown.isEmpty, let context { shown.append("context \(context)") }
        return shown
    }

    private static func text(_ value: JSON) -> String? {
        switch value {
        case .null: nil
        case .string(let text): text
        case .bool(let isOn): isOn ? "on" : "off"
        default: value.text
        }
    }

    // MARK: A table

    /// The lines of `ps`; the first is the head.
    /// - Parameters:
    ///   - device: as `lms` has it: with a column of that name, the size of the model's files, and no number of requests
    ///     for models that make vectors.
    ///   - now: milliseconds since 1970.
    package static func table(_ residents: [Resident], withDevice device: Bool = false, now: Int) -> [String] {
        var head = ["IDENTIFIER", "MODEL", "STATUS", "SIZE", "CONTEXT", "PARALLEL", "TTL"]
        if device { head.insert("DEVICE", at: 6) }
        let rows = residents.map { one -> [String] in
            let size = device ? one.fileBytes ?? one.bytes : one.bytes
            let parallel = device && one.isEncoder ? nil : one.parallel
            var row = [
                one.id, one.model, one.stateShown, size.map { ByteCount.shown($0) } ?? "-",
                one.context.map { "\($0)" } ?? "-", parallel.map { "\($0)" } ?? "-", one.ttlShown(now: now),
            ]
            if device { row.insert("Local", at: 6) }
            return row
        }
        return TextTable(head, rightAligned: [3, 4, 5], rows).lines
    }

    private var stateShown: String {
        let words = [
            "processingPrompt": "PROCESSING PROMPT", "computingEmbedding": "COMPUTING EMBEDDING",
            "waiting": "WAITING FOR MEMORY",
        ]
        return (words[state] ?? state.uppercased()) + (queued > 0 ? " (\(queued) queued)" : "")
    }

    /// What is left of its time and how much that was: `58m / 1h`.
    private func ttlShown(now: Int) -> String {
        guard let ttlMilliseconds, !isPinned else { return isPinned ? "pinned" : "-" }
        let whole = Shown.span(milliseconds: ttlMilliseconds)
        guard state == "idle", let lastUsedMilliseconds else { return whole }
        return "\(Shown.span(milliseconds: max(0, lastUsedMilliseconds + ttlMilliseconds - now))) / \(whole)"
    }
}
