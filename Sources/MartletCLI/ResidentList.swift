import ArgumentParser
import Martlet
import MartletCommands
import MartletWire

struct ResidentList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "Lists what the server has loaded, what it does, and how long it stays.")

    @OptionGroup var place: Place
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let client = place.client
        try await Failures.reported {
            guard !json else {
                let reply = try await client.ask(Self.path)
                return Surroundings.say((reply["residents"] ?? []).text)
            }
            let residents = try await Self.read(client)
            guard !residents.isEmpty else {
                return Surroundings.complain(
                    "nothing is loaded. Load a model with: martlet load MODEL; the first request to one does it too")
            }
            for line in Resident.table(residents, now: Surroundings.now) { Surroundings.say(TerminalText.safe(line)) }
            for reason in residents.compactMap(\.reason) { Surroundings.complain(TerminalText.safe(reason)) }
        }
    }

    static let path = "/admin/v1/residents"

    static func read(_ client: MartletClient) async throws -> [Resident] {
        Resident.all(in: try await client.ask(path))
    }
}
