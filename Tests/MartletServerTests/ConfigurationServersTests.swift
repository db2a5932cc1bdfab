import MartletServer
import Testing

@Suite("Servers whose tools requests get unasked")
struct ConfigurationServersTests {
    private static let servers = #"{"mcpServers":{"My_Files":{"command":"a"},"off":{"command":"b","disabled":true}}}"#

    @Test("their names are read, and ids without their beginning, from a file and from the environment")
    func names() throws {
        let file = "mcp:\n  installed: on\n  chat: [mcp/My_Files]\n"
        let loaded = try Written.load(file, servers: Self.servers, variables: ["MARTLET_MCP_MESSAGES": "my-files, off"])
        #expect(loaded.shown("mcp.chat") == "[My_Files]" && loaded.origin("mcp.chat") == "file martlet.yaml:3")
        #expect(loaded.shown("mcp.messages") == "[my-files, off]")
        #expect(loaded.origin("mcp.messages") == "MARTLET_MCP_MESSAGES")
    }

    @Test(
        "one that mcp.json does not have is an error at the key that names it",
        arguments: [
            (servers, "wiki, which is no MCP server of mcp.json (there are: My_Files, off)"),
            (nil, "(it names none). Add it with: martlet mcp add wiki"), ("{", "mcp.json is not JSON"),
            (#"{"mcpServers":[]}"#, "is no object"),
        ])
    func unknown(servers: String?, words: String) throws {
        for key in ["chat", "messages"] {
            let file = "mcp:\n  installed: on\n  \(key): [wiki]\n"
            let refusal = try #require(Written.refusal(file, servers: servers))
            #expect(refusal.hasPrefix("martlet.yaml:3: mcp.\(key) ") && refusal.contains(words), "\(refusal)")
        }
    }

    @Test("a label that two have is an error with both names; a name that one has is that one")
    func twins() throws {
        let servers = #"{"mcpServers":{"a_b":{"command":"a"},"a-b":{"command":"b"}}}"#
        let file = "mcp:\n  installed: on\n  chat: "
        let refusal = try #require(Written.refusal(file + "[A-B]\n", servers: servers))
        #expect(refusal.contains("A-B may be each of a_b, a-b of mcp.json"), "\(refusal)")
        #expect(try Written.load(file + "[a_b, a-b]\n", servers: servers).shown("mcp.chat") == "[a_b, a-b]")
    }

    @Test("where requests may not use the servers of mcp.json, the grant is named that is missing")
    func denied() throws {
        let refusal = try #require(Written.refusal("mcp:\n  chat: [my-files]\n", servers: Self.servers))
        #expect(refusal.hasPrefix("martlet.yaml:2: mcp.chat ") && refusal.contains("mcp.installed: on"))
        #expect(Written.refusal("mcp:\n  max_tokens: 0\n")?.contains("mcp.max_tokens") == true)
    }
}
