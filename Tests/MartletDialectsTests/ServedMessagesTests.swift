import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Servers that a Messages request names, and what its client gives back of them.
@Suite("MCP servers of Messages")
struct ServedMessagesTests {
    private static let wiki = "{'type':'url','name':'wiki','url':'https://wiki.example/mcp'}"

    private func read(_ tools: String, _ servers: String = wiki, betas: [String] = []) throws -> [Integration] {
        let document = try JSONDocument(checking: ByteBuffer(json: "{'mcp_servers':[\(servers)],'tools':[\(tools)]}"))
        return try Dialects.integrations(of: document, from: .anthropic, betas: betas)
    }

    private func toolset(_ more: String = "", server: String = "wiki") -> String {
        "{'type':'mcp_toolset','mcp_server_name':'\(server)'\(more.isEmpty ? "" : ",")\(more)}"
    }

    @Test(
        "A toolset turns tools on and off one by one, or all that it does not name",
        arguments: [
            ("", ["a", "b", "c"]),
            ("'configs':{'b':{'enabled':false}}", ["a", "c"]),
            ("'default_config':{'enabled':true},'configs':{'b':{'enabled':false},'a':{'enabled':true}}", ["a", "c"]),
            ("'default_config':{'enabled':false}", []),
            ("'default_config':{'enabled':false},'configs':{}", []),
            ("'default_config':{'enabled':false},'configs':{'b':{'enabled':true},'c':{'enabled':false}}", ["b"]),
            ("'default_config':{'enabled':false},'configs':{'b':{'defer_loading':true}}", []),
            ("'default_config':{'defer_loading':true},'configs':{'b':{'defer_loading':true}}", ["a", "b", "c"]),
        ])
    func toolsets(set: String, offered: [String]) throws {
        let integration = try #require(try read(toolset(set)).first)
        #expect(["a", "b", "c"].filter(integration.offers) == offered)
    }

    @Test("What either of its two forms withholds of a server is withheld")
    func olderForm() throws {
        func older(_ form: String, _ tools: String = "") throws -> [String] {
            let server = Self.wiki.dropLast() + ",'tool_configuration':{\(form)}}"
            return try ["a", "b", "c"].filter(#require(try read(tools, String(server)).first).offers)
        }
        #expect(try older("'allowed_tools':['a','b']") == ["a", "b"])
        #expect(try older("'enabled':false,'allowed_tools':['a']") == [])
        #expect(try older("'allowed_tools':['a','b']", toolset("'configs':{'a':{'enabled':false}}")) == ["b"])
        let some = toolset("'default_config':{'enabled':false},'configs':{'b':{},'c':{'enabled':true}}")
        #expect(try older("'allowed_tools':['a','c']", some) == ["c"])
    }

    @Test("Each server is named by one toolset, and each toolset names a server")
    func pairs() throws {
        let other = "{'type':'url','name':'crm','url':'https://crm.example/mcp'}"
        let both = "\(Self.wiki),\(other)"
        #expect(try read("\(toolset()),\(toolset(server: "crm"))", both).map(\.label) == ["wiki", "crm"])
        #expect(try read("", both, betas: ["mcp-client-2025-04-04"]).map(\.label) == ["wiki", "crm"])
        func refusal(_ tools: String, _ servers: String = Self.wiki, betas: [String] = []) -> String? {
            #expect(throws: GatewayError.self) { try read(tools, servers, betas: betas) }?.message
        }
        #expect(refusal(toolset(), both)?.hasPrefix("mcp_servers[1].name: no mcp_toolset") == true)
        #expect(refusal("", betas: ["a,mcp-client-2025-11-20"])?.contains("\"wiki\"") == true)
        let unknown = "tools[1].mcp_server_name: \"crm\" is none of the request's mcp_servers"
        #expect(refusal("\(toolset()),\(toolset(server: "crm"))") == unknown)
        #expect(refusal(toolset(), "")?.hasPrefix("tools[0].mcp_server_name: \"wiki\" is none") == true)
        #expect(refusal("\(toolset()),\(toolset())")?.contains("another mcp_toolset") == true)
        #expect(refusal(toolset("'default_config':{'enabled':'no'}"))?.contains("default_config.enabled") == true)
        #expect(refusal("{'type':'mcp_toolset'}")?.contains("mcp_server_name") == true)
    }
}
