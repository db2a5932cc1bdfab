import ArgumentParser
import MartletCommands
import MartletEngine
import MartletWire

struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Removes models from this machine: all parts, and the projector nothing else uses.")

    @OptionGroup var place: ModelPlace
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: "The models' names, as martlet ls shows them.") var models: [String]

    func run() async throws {
        let store = try place.store()
        try await Failures.reported {
            // All are looked up before the first goes.
            var removals: [ModelRemoval] = []
            var unfinished: [Unfinished] = []
            let parts = store.unfinished()
            for name in models {
                if let part = parts.first(where: { $0.place == name }) {
                    unfinished.append(part)
                    continue
                }
                let removal = try store.removal(of: ModelCommand.find(name, in: store))
                if !removals.contains(where: { $0.paths == removal.paths }) { removals.append(removal) }
            }
            var removed: [ModelRemoval] = []
            for removal in removals where try yes || ModelCommand.confirm(Self.question(removal)) {
                try store.remove(removal)
                removed.append(removal)
                if !json { Surroundings.say(TerminalText.safe(Self.sentence(removal))) }
            }
            var gone: [Unfinished] = []
            for part in unfinished where try yes || ModelCommand.confirm(Self.question(part)) {
                try store.remove(part)
                gone.append(part)
                if !json { Surroundings.say(TerminalText.safe("what there was of \(part.place) removed")) }
            }
            if json { Surroundings.say(Self.json(removed, gone)) }
            guard removed.count + gone.count == removals.count + unfinished.count else {
                Surroundings.complain("martlet: nothing \(removed.isEmpty && gone.isEmpty ? "" : "else ")was removed")
                throw ExitCode(1)
            }
        }
    }

    private static func names(_ removal: ModelRemoval) -> String {
        ([removal.model.id] + removal.others).joined(separator: ", ")
    }

    private static func question(_ removal: ModelRemoval) -> String {
        guard removal.others.isEmpty else {
            return "remove the link to the folder of \(names(removal)), which all go with it?"
        }
        return "remove \(removal.model.id), \(ByteCount.shown(removal.bytes)) in \(removal.paths.count) "
            + (removal.paths.count == 1 ? "file?" : "files?")
    }

    private static func question(_ part: Unfinished) -> String {
        "remove what there is of \(part.place), \(ByteCount.shown(part.bytes))?"
    }

    private static func sentence(_ removal: ModelRemoval) -> String {
        "\(names(removal)) removed, "
            + (removal.bytes > 0 ? "\(ByteCount.shown(removal.bytes)) are free" : "of which only links were here")
    }

    private static func json(_ removals: [ModelRemoval], _ parts: [Unfinished]) -> String {
        let names = removals.flatMap { [$0.model.id] + $0.others } + parts.map(\.place)
        let bytes = removals.reduce(0) { $0 + $1.bytes } + parts.reduce(0) { $0 + $1.bytes }
        let report: JSON = [
            "removed": .array(names.map(JSON.string)),
            "files": .int(removals.reduce(parts.count) { $0 + $1.paths.count }), "freed_bytes": .int(Int(bytes)),
        ]
        return report.text
    }
}
