import ArgumentParser
import Martlet
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
            let (parts, links) = (store.unfinished(), store.deadLinks())
            for name in models {
                if let part = parts.first(where: { $0.place == name }) {
                    unfinished.append(part)
                    continue
                }
                let link = store.find(name) == nil ? links.first { $0.isCalled(name) } : nil
                let removal =
                    try link.map(store.removal) ?? store.removal(of: ModelCommand.find(name, in: store))
                if !removals.contains(where: { $0.paths == removal.paths }) { removals.append(removal) }
            }
            let loaded = await Self.loaded()
            func instances(_ removal: ModelRemoval) -> [String] {
                loaded.filter { $0.path == removal.model.path }.map(\.id)
            }
            var removed: [ModelRemoval] = []
            for removal in removals
            where try yes || ModelCommand.confirm(Self.question(removal, instances(removal))) {
                try store.remove(removal)
                removed.append(removal)
                if !json { Surroundings.say(TerminalText.safe(Self.sentence(removal, instances(removal)))) }
            }
            var gone: [Unfinished] = []
            for part in unfinished where try yes || ModelCommand.confirm(Self.question(part)) {
                try store.remove(part)
                gone.append(part)
                if !json { Surroundings.say(TerminalText.safe("what there was of \(part.place) removed")) }
            }
            if json { Surroundings.say(Self.json(removed, gone, removed.flatMap(instances))) }
            guard removed.count + gone.count == removals.count + unfinished.count else {
                Surroundings.complain("martlet: nothing \(removed.isEmpty && gone.isEmpty ? "" : "else ")was removed")
                throw ExitCode(1)
            }
        }
    }

    /// What the servers of this machine that are known have loaded: the one that commands ask, and that of `lms`. They
    /// need not run.
    private static func loaded() async -> [Resident] {
        var clients = [(try? Place.parse([]))?.client].compactMap(\.self)
        let own = DetachedServer()
        if own.process != nil, let address = own.address { clients.append(LMSPlace.client(address)) }
        var all: [Resident] = []
        for client in clients {
            let reply = try? await client.ask(ResidentList.path, within: .seconds(1))
            all += reply.map(Resident.all) ?? []
        }
        return all
    }

    private static func names(_ removal: ModelRemoval) -> String {
        ([removal.model.id] + removal.others).joined(separator: ", ")
    }

    /// - Parameter instances: that are loaded of it.
    private static func question(_ removal: ModelRemoval, _ instances: [String]) -> String {
        guard removal.others.isEmpty else {
            return "remove the link to the folder of \(names(removal)), which all go with it?"
        }
        let note = instances.isEmpty ? "" : "\(removal.model.id) is loaded, as \(instances.joined(separator: ", ")): "
        return note + "remove \(removal.model.id), \(ByteCount.shown(removal.bytes)) in \(removal.paths.count) "
            + (removal.paths.count == 1 ? "file?" : "files?")
    }

    private static func question(_ part: Unfinished) -> String {
        "remove what there is of \(part.place), \(ByteCount.shown(part.bytes))?"
    }

    private static func sentence(_ removal: ModelRemoval, _ instances: [String]) -> String {
        let freed = removal.bytes > 0 ? "\(ByteCount.shown(removal.bytes)) are free" : "of which only links were here"
        guard let first = instances.first else { return "\(names(removal)) removed, \(freed)" }
        let still = removal.bytes > 0 ? "\(freed) once it is unloaded" : freed
        return "\(names(removal)) removed, \(still): it goes on answering as "
            + "\(instances.joined(separator: ", ")) until: martlet unload \(first)"
    }

    private static func json(_ removals: [ModelRemoval], _ parts: [Unfinished], _ instances: [String]) -> String {
        let names = removals.flatMap { [$0.model.id] + $0.others } + parts.map(\.place)
        let bytes = removals.reduce(0) { $0 + $1.bytes } + parts.reduce(0) { $0 + $1.bytes }
        var report: JSON = [
            "removed": .array(names.map(JSON.string)),
            "files": .int(removals.reduce(parts.count) { $0 + $1.paths.count }), "freed_bytes": .int(Int(bytes)),
        ]
        if !instances.isEmpty { report["still_loaded"] = .array(instances.map(JSON.string)) }
        return report.text
    }
}
