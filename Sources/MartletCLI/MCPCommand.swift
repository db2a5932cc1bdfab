import ArgumentParser
import Martlet
import MartletEngine
import MartletCommands
import MartletMCP
import MartletWire

struct MCP: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mcp",
        abstract: "Lists, adds, approves and removes MCP servers, whose tools a server runs for its clients.",
        discussion: """
            The servers stand in mcp.json under martlet's home, in LM Studio's notation. What a server's tools say of \
            themselves is pinned when it is added or used for the first time; a tool that is new or has changed since is \
            blocked until it is approved. A running martlet reads both files again when they change.
            """,
        subcommands: [List.self, Add.self, Approve.self, Remove.self])

    /// What the commands that ask servers have in common.
    struct Patience: ParsableArguments {
        @Option(help: "Seconds a server may take to start.") var timeout = 60

        func validate() throws {
            guard (1...3600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600") }
        }

        func tools(of access: ServerAccess, name: String) async throws(MCPError) -> [ListedTool] {
            var limits = MCPLimits()
            limits.start = .seconds(timeout)
            return try await access.tools(
                name: name, environment: Surroundings.environment, version: Martlet.version, limits: limits)
        }
    }

    static var file: ServerFile { ServerFile(home: Surroundings.home) }
    static var pins: PinFile { PinFile(home: Surroundings.home) }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "Starts every MCP server for a moment, and lists its tools.")

        @OptionGroup var patience: Patience
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            try await Failures.reported {
                let entries = try MCP.file.entries()
                let pins = try MCP.pins.read()
                let reports = await MCPReport.all(entries, pins) { (access, name) async throws(MCPError) in
                    try await patience.tools(of: access, name: name)
                }
                if json {
                    let report: JSON = ["servers": .array(reports.map(\.json))]
                    Surroundings.say(report.text)
                } else if reports.isEmpty {
                    Surroundings.say("no MCP server yet. Add one with: martlet mcp add NAME -- COMMAND, or --url URL")
                } else {
                    for line in MCPReport.lines(reports) { Surroundings.say(TerminalText.safe(line)) }
                }
            }
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds an MCP server, and approves its tools as they are now.",
            usage: """
                martlet mcp add NAME [--env NAME=VALUE …] [--cwd FOLDER] -- COMMAND [ARGUMENT …]
                martlet mcp add NAME --url URL [--header 'NAME: VALUE' …]
                martlet mcp add --from-lmstudio [NAME]
                """)

        @OptionGroup var patience: Patience
        @Option(help: "Address of a server that speaks streamable HTTP.") var url: String?
        @Option(help: "A header it gets with every request; repeat it for more.") var header: [String] = []
        @Option(help: "A variable the program gets; repeat it for more.") var env: [String] = []
        @Option(help: "The folder the program runs in; else yours.") var cwd: String?
        @Flag(help: "Take all servers of LM Studio's mcp.json, or the one that is named.") var fromLmstudio = false
        @Flag(help: "Print JSON.") var json = false
        @Argument(help: "What to call it.") var name: String?
        @Argument(parsing: .postTerminator, help: "The program and its arguments.") var command: [String] = []

        func validate() throws {
            if fromLmstudio {
                guard url == nil, command.isEmpty, header.isEmpty, env.isEmpty, cwd == nil else {
                    throw ValidationError("--from-lmstudio takes the servers as they are")
                }
                return
            }
            guard name != nil else { throw ValidationError("name the server") }
            guard (url == nil) != command.isEmpty else {
                throw ValidationError("say either --url URL, or the COMMAND behind --")
            }
            if url == nil, !header.isEmpty { throw ValidationError("--header is for servers with --url") }
            if url != nil, !env.isEmpty || cwd != nil { throw ValidationError("--env and --cwd are for programs") }
            for pair in env where !pair.contains("=") { throw ValidationError("--env takes NAME=VALUE") }
            for pair in header where !pair.contains(":") { throw ValidationError("--header takes 'NAME: VALUE'") }
        }

        func run() async throws {
            try await Failures.reported {
                if fromLmstudio { return try takeLMStudios() }
                let entry = ServerEntry(name: name ?? "", written)
                try MCP.file.check(isFree: entry.name)
                let tools = try await patience.tools(of: try entry.access.get(), name: entry.label)
                try MCP.file.add(entry.name, written)
                // What was pinned for another server of this name does not count for this one.
                try MCP.pins.change { pins in
                    _ = pins.forget(entry.id)
                    pins.approve(tools.filter { $0.fault == nil }.map(\.tool), of: entry.id)
                }
                let report = MCPReport(entry, .success(tools), try MCP.pins.read())
                if json {
                    Surroundings.say(report.json.text)
                } else {
                    for line in report.toolLines { Surroundings.say(TerminalText.safe(line)) }
                    Surroundings.say(TerminalText.safe("\(entry.id) added, \(report.count)"))
                }
            }
        }

        /// As `mcp.json` has it.
        private var written: JSON {
            func pairs(_ texts: [String], _ mark: Character) -> JSON {
                var members = JSONObject()
                for text in texts {
                    let parts = text.split(separator: mark, maxSplits: 1, omittingEmptySubsequences: false)
                    members[String(parts[0])] = .string(String(mark == ":" ? parts[1].drop { $0 == " " } : parts[1]))
                }
                return .object(members)
            }
            var entry: JSON = [:]
            if let url {
                entry["url"] = .string(url)
                if !header.isEmpty { entry["headers"] = pairs(header, ":") }
                return entry
            }
            entry["command"] = command.first.map(JSON.string)
            entry["args"] = .array(command.dropFirst().map(JSON.string))
            if !env.isEmpty { entry["env"] = pairs(env, "=") }
            entry["cwd"] = cwd.map(JSON.string)
            return entry
        }

        /// They are not started: their tools are pinned when they are used for the first time.
        private func takeLMStudios() throws(MCPError) {
            guard let own = Surroundings.variable("HOME").flatMap(LMStudioFolder.own) else {
                throw MCPError(.noSuchServer, "LM Studio has no folder here")
            }
            let theirs = try ServerFile(home: own).members()
            let label = name.map(ServerEntry.label)
            let wanted = theirs.filter { label == nil || ServerEntry.label($0.key) == label }
            guard !wanted.isEmpty else {
                throw MCPError(.noSuchServer, "LM Studio's mcp.json has no \(name.map { "server \($0)" } ?? "servers")")
            }
            let ours = Set(try MCP.file.entries().map(\.label))
            var added: [String] = []
            for (name, entry) in wanted {
                guard !ours.contains(ServerEntry.label(name)) else {
                    Surroundings.complain(TerminalText.safe("\(name) is here already, and left as it is"))
                    continue
                }
                try MCP.file.add(name, entry)
                added.append(name)
                if !json { Surroundings.say(TerminalText.safe("\(ServerEntry(name: name, entry).id) added")) }
            }
            if json {
                let report: JSON = ["added": .array(added.map { .string("mcp/" + ServerEntry.label($0)) })]
                Surroundings.say(report.text)
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Removes an MCP server from mcp.json, and what was approved of it.")

        @Argument(help: "Its name or id; or the address of one that requests have named.") var name: String

        func run() throws {
            do throws(MCPError) {
                if let url = ServerURL(name) {
                    guard try MCP.pins.change({ $0.forget(url.identity) }) else {
                        throw MCPError(.noSuchServer, "nothing is pinned of an MCP server at \(url.identity)")
                    }
                    return Surroundings.say("\(url.identity) forgotten")
                }
                guard let removed = try MCP.file.remove(name) else {
                    throw MCPError(
                        .noSuchServer,
                        "there is no MCP server \(name) in mcp.json. See what there is with: martlet mcp ls")
                }
                _ = try MCP.pins.change { $0.forget(removed.id) }
                Surroundings.say(TerminalText.safe("\(removed.id) removed"))
            } catch {
                Surroundings.complain("martlet: \(TerminalText.safe(error.message))")
                throw ExitCode(1)
            }
        }
    }
}
