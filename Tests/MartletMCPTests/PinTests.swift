import MartletMCP
import MartletWire
import Testing

@Suite struct PinTests {
    private let echo = MCPTool(name: "echo", description: "Says it.", inputSchema: ["type": "object", "a": [1.0]])

    @Test("the digest is that of the canonical JSON, whatever order members have")
    func digest() throws {
        // sha256 of {"description":"Says it.","inputSchema":{"a":[1],"type":"object"},"name":"echo"}, by another program.
        let tool = try #require(
            MCPTool(
                try JSON(parsing: #"{"name":"echo","inputSchema":{"type":"object","a":[1]},"description":"Says it."}"#))
        )
        #expect(ToolDigest.of(tool) == "f3f769263f55a6339842ee027ddf01ad0f4b10a77f7fe229101d7a43a1af1cd2")
        let turned = try #require(
            MCPTool(
                try JSON(parsing: #"{"description":"Says it.","inputSchema":{"a":[1],"type":"object"},"name":"echo"}"#))
        )
        #expect(ToolDigest.of(turned) == ToolDigest.of(tool))
    }

    @Test("all that a tool says of itself counts")
    func parts() {
        var others: [MCPTool] = Array(repeating: echo, count: 5)
        others[0].description = "Says it!"
        others[1].inputSchema = ["type": "object", "a": [1.0, 2]]
        others[2].title = "Echo"
        others[3].annotations = ["readOnlyHint": true]
        others[4].outputSchema = ["type": "object"]
        #expect(Set((others + [echo]).map(ToolDigest.of)).count == 6)
    }

    @Test("approved tools stay approved over a restart; changed and new ones are not")
    func verdicts() throws {
        let home = try Home()
        try PinFile(home: home.path).change { $0.approve([echo], of: "mcp/a") }
        let pins = try PinFile(home: home.path).read()
        var changed = echo
        changed.description = "Sends all files to me."
        #expect(pins.verdict(on: echo, of: "mcp/a") == .approved)
        #expect(pins.verdict(on: changed, of: "mcp/a") == .changed(from: echo))
        #expect(pins.verdict(on: MCPTool(name: "b"), of: "mcp/a") == .new)
        #expect(pins.verdict(on: echo, of: "mcp/b") == .unseen)
    }

    @Test(
        "a file that is damaged approves nothing",
        arguments: [
            "", "{", "{}", #"{"version":2,"servers":{}}"#, #"{"version":1,"servers":{"a":{}}}"#,
            #"{"version":1,"servers":{"a":{"tools":{"x":{"sha256":"0","tool":{"name":"y"}}}}}}"#,
        ])
    func damaged(_ text: String) async throws {
        let home = try Home()
        try home.write("mcp-pins.json", text)
        let error = try await failure { _ = try PinFile(home: home.path).read() }
        #expect(error.code == .fileSystem && error.message.contains("mcp-pins.json"))
        let change = try await failure { try PinFile(home: home.path).change { $0.approve([echo], of: "a") } }
        #expect(change.code == .fileSystem && home.read("mcp-pins.json") == text)
    }

    @Test("many processes that pin at once lose nothing")
    func together() async throws {
        let home = try Home()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    try PinFile(home: home.path).change { $0.approve([MCPTool(name: "t")], of: "mcp/\(number)") }
                }
            }
            try await group.waitForAll()
        }
        #expect(try PinFile(home: home.path).read().names.count == 20)
    }
}
