import ArgumentParser
import MartletCommands
import MartletMCP
import MartletWire

extension MCP {
    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows what of an MCP server's tools is new or has changed, and approves it.")

        @OptionGroup var patience: Patience
        @Option(help: "Only this tool; repeat it for more.") var tool: [String] = []
        @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
        @Argument(help: "Its name or id; or the address of one that requests have named.") var name: String

        func run() async throws {
            try await Failures.reported {
                let (identity, listed) = try await met()
                let pins = try MCP.pins.read()
                if let unknown = tool.first(where: { name in !listed.contains { $0.name == name } }) {
                    let all = listed.map(\.name).joined(separator: ", ")
                    throw MCPError(
                        .noSuchTool, "\(identity) has no tool \(unknown); it has: \(all.isEmpty ? "none" : all)")
                }
                let open = listed.filter { found in
                    (tool.isEmpty || tool.contains(found.name)) && pins.verdict(on: found, of: identity) != .approved
                }
                guard !open.isEmpty else {
                    return Surroundings.say(
                        TerminalText.safe("nothing to approve: \(identity) is as it was when it was approved"))
                }
                for tool in open {
                    for line in Self.lines(tool, pins.verdict(on: tool, of: identity)) {
                        Surroundings.say(TerminalText.safe(line))
                    }
                }
                let count = open.count == 1 ? "this tool" : "these \(open.count) tools"
                guard try yes || ModelCommand.confirm("approve \(count) of \(identity)?") else {
                    Surroundings.complain("martlet: nothing was approved")
                    throw ExitCode(1)
                }
                // What was shown, whatever the server says by now.
                try MCP.pins.change { $0.approve(open, of: identity) }
                let names = open.map(\.name).joined(separator: ", ")
                Surroundings.say(TerminalText.safe("\(identity): approved \(names)"))
            }
        }

        /// What identifies the server, and its tools: as they are now, or as a request has met them.
        private func met() async throws(MCPError) -> (String, [MCPTool]) {
            if let url = ServerURL(name) {
                let waiting = try MCP.pins.read().waiting(of: url.identity)
                guard !waiting.isEmpty || tool.isEmpty else {
                    throw MCPError(.noSuchTool, "no tool of \(url.identity) waits to be approved")
                }
                return (url.identity, waiting)
            }
            guard let entry = try ServerEntry.find(name, among: MCP.file.entries()) else {
                throw MCPError(
                    .noSuchServer, "there is no MCP server \(name) in mcp.json. See what there is with: martlet mcp ls")
            }
            let tools = try await patience.tools(of: try entry.access.get(), name: entry.label)
            return (entry.id, tools.filter { $0.fault == nil }.map(\.tool))
        }

        /// What a tool says, and what it said before.
        static func lines(_ tool: MCPTool, _ verdict: Pins.Verdict) -> [String] {
            guard case .changed(let old) = verdict else {
                return ["new: \(Printable.text(tool.name, limit: 128))"] + difference(nil, tool)
            }
            return ["changed: \(Printable.text(tool.name, limit: 128))"] + difference(old, tool)
        }

        private static func difference(_ old: MCPTool?, _ new: MCPTool) -> [String] {
            let parts: [(String, String?, String?)] = [
                ("title", old?.title, new.title), ("description", old?.description, new.description),
                ("schema", old?.inputSchema.text, new.inputSchema.text),
                ("output schema", old?.outputSchema?.text, new.outputSchema?.text),
                ("annotations", old?.annotations?.text, new.annotations?.text),
            ]
            return parts.filter { $0.1 != $0.2 }.flatMap { name, before, now in
                var lines = ["  \(name)"]
                if let before { lines.append("    - \(Printable.text(before, limit: 16 << 10))") }
                if let now { lines.append("    + \(Printable.text(now, limit: 16 << 10))") }
                return lines
            }
        }
    }
}
