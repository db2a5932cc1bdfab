import ArgumentParser
import Martlet
import MartletCommands
import MartletEngine
import MartletServer
import MartletWire

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "Lists the models on this machine; with --served or --host, those that a server offers.")

    @OptionGroup var models: ModelPlace
    @OptionGroup var place: Place
    @Flag(help: "List what the server offers, of which this machine's models may be a part.") var served = false
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        if served || place.host != nil { return try await listServed() }
        let store = try models.store()
        let all = LocalModel.all(in: store)
        for path in store.misplaced().prefix(5) {
            Surroundings.complain(
                TerminalText.safe(
                    "martlet: \(path) is passed over: models are looked for in <publisher>/<name>/ of the folder; "
                        + "martlet import puts it there"))
        }
        for link in store.deadLinks() { Surroundings.complain(TerminalText.safe("martlet: \(link.sentence)")) }
        for part in store.unfinished() {
            Surroundings.complain(TerminalText.safe("martlet: \(Self.sentence(part))"))
        }
        if json {
            let entries = all.map { local -> JSON in
                var entry = local.entry
                entry["path"] = .string(local.model.place)
                return entry
            }
            Surroundings.say(JSON.array(entries).text)
        } else if all.isEmpty {
            Surroundings.complain(
                "no model is here yet. Get one with: martlet get OWNER/REPOSITORY; martlet search WORDS finds some. "
                    + "What a server offers: martlet ls --served")
        } else {
            for line in Self.lines(all) { Surroundings.say(TerminalText.safe(line)) }
        }
    }

    private static func sentence(_ part: Unfinished) -> String {
        guard !part.isUnderWay else {
            return "\(part.place) is being downloaded, \(ByteCount.shown(part.bytes)) so far"
        }
        // A projector comes with its weights, and cannot be asked for by itself.
        let isProjector = part.place.lowercased().contains("mmproj")
        let wish = isProjector ? part.place.split(separator: "/").dropLast().joined(separator: "/") : part.place
        return "\(part.place) is not whole (\(ByteCount.shown(part.bytes))). Go on with: martlet get \(wish); "
            + "or remove what there is: martlet rm \(part.place)"
    }

    private func listServed() async throws {
        let client = place.client
        let wantsJSON = json
        try await Failures.reported {
            let models = try await client.models()
            if wantsJSON {
                Surroundings.say(Listing.json(models))
            } else if models.isEmpty {
                Surroundings.complain("the server at \(client.base) offers no model; see: martlet doctor")
            } else {
                for model in models { Surroundings.say(TerminalText.safe(model)) }
            }
        }
    }

    /// A table for what chats, one for what embeds or ranks, and why others cannot be used.
    private static func lines(_ all: [LocalModel]) -> [String] {
        let usable = all.filter { $0.usable != nil }
        let groups = [("MODEL", usable.filter { !$0.isEncoder }), ("EMBEDDING", usable.filter(\.isEncoder))]
        var lines: [String] = []
        for (title, models) in groups where !models.isEmpty {
            if !lines.isEmpty { lines.append("") }
            let rows = models.map { row($0) }
            lines +=
                TextTable(
                    [title, "PARAMS", "ARCH", "QUANT", "SIZE", "CONTEXT", "CAN"], rightAligned: [1, 4, 5], rows
                ).lines
        }
        let unusable = all.filter { $0.usable == nil }
        if !unusable.isEmpty, !lines.isEmpty { lines.append("") }
        lines += unusable.map { "\($0.model.id) cannot be used: \($0.problem ?? "")" }
        return lines
    }

    private static func row(_ local: LocalModel) -> [String] {
        let facts = local.usable
        let words = ["tool_use": "tools"]
        var can = local.abilities.map { words[$0] ?? $0 }
        if case .embedding = facts?.kind { can.append("embeddings") }
        if facts?.kind == .reranker { can.append("rerank") }
        return [
            local.model.id, facts?.parameters.text ?? "-", facts?.architecture ?? "-",
            facts?.quantisation?.name ?? "-", ByteCount.shown(local.model.bytes),
            facts?.trainedContext.map(String.init) ?? "-", can.joined(separator: ", "),
        ]
    }
}
