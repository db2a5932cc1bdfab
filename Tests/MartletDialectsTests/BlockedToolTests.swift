import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Tools that are asked for and may not be run")
struct BlockedToolTests {
    private static let blocked = [
        BlockedTool(label: "wiki", name: "search", reason: "search of wiki is new: martlet mcp approve wiki"),
        BlockedTool(label: "other", name: "lookup", reason: "lookup of other is new: martlet mcp approve other"),
    ]

    private static func ask(
        _ choice: String, from client: DialectID, offering tools: [ServedTool] = [], own: String = ""
    ) throws(GatewayError) {
        let mcp = "{'type':'mcp','server_label':'wiki'},{'type':'mcp','server_label':'other'}"
        let offered =
            switch client {
            case .responses: "'tools':[\(mcp)\(own)]"
            case .lmstudio: "'integrations':['mcp/wiki','mcp/other']"
            default: "'mcp_servers':[{'type':'url','name':'wiki','url':'https://a/'}],'max_tokens':9"
            }
        let input = client == .anthropic ? "'messages':[{'role':'user','content':'hi'}]" : "'input':'hi'"
        let body = ByteBuffer(json: "{'model':'m',\(input),\(offered),'tool_choice':\(choice)}")
        let document = try Result { try JSONDocument(checking: body) }
            .mapError { _ in GatewayError(code: .invalidJSON, message: "") }.get()
        _ = try Dialects.translateRequest(
            document, from: client, to: .chat,
            for: WriteTarget(model: "local", capabilities: Capabilities(), streams: true), version: "2023-06-01",
            serving: ServedTools(tools, without: blocked, isHidden: false))
    }

    @Test(
        "A call that is demanded, and that only they could be, is refused with what to do",
        arguments: [
            ("'required'", DialectID.responses, "martlet mcp approve wiki; blocked are also lookup"),
            ("'required'", .lmstudio, "martlet mcp approve wiki; blocked are also lookup"),
            ("{'type':'any'}", .anthropic, "martlet mcp approve wiki; blocked are also lookup"),
            ("{'type':'mcp','server_label':'other'}", .responses, "martlet mcp approve other"),
            ("{'type':'mcp','server_label':'wiki','name':'search'}", .responses, "martlet mcp approve wiki"),
            ("{'type':'function','function':{'name':'other__lookup'}}", .lmstudio, "martlet mcp approve other"),
            ("{'type':'tool','name':'search'}", .anthropic, "martlet mcp approve wiki"),
        ])
    func demanded(choice: String, client: DialectID, words: String) throws {
        let error = #expect(throws: GatewayError.self) { try Self.ask(choice, from: client) }
        #expect(error?.code == .mcpDenied && error?.param == "tool_choice")
        #expect(error?.message.hasPrefix("tool_choice demands a call, and ") == true)
        #expect(error?.message.hasSuffix(words) == true, "\(error?.message ?? "")")
    }

    @Test("One of another server stands in for no call that is demanded of theirs")
    func another() throws {
        let lookup = [Rounds.weather]
        try Self.ask("'required'", from: .responses, offering: lookup)
        try Self.ask("{'type':'mcp','server_label':'wiki'}", from: .responses, offering: lookup)
        #expect(throws: GatewayError.self) {
            try Self.ask("{'type':'mcp','server_label':'other'}", from: .responses, offering: lookup)
        }
        #expect(throws: GatewayError.self) {
            try Self.ask(
                "{'type':'mcp','server_label':'other'}", from: .responses, own: ",{'type':'function','name':'own'}")
        }
        try Self.ask("'required'", from: .responses, own: ",{'type':'function','name':'own'}")
        try Self.ask("'auto'", from: .responses)
    }

    @Test("Their names are fit for a header, and told only to whom has asked for their servers")
    func names() {
        let odd = BlockedTool(label: "w", name: "a\r\nset-cookie: ü", reason: "")
        let served = ServedTools([], without: Self.blocked + [odd], isHidden: false)
        #expect(served.blockedNames == ["wiki.search", "other.lookup", "w.a__set-cookie____"])
        #expect(ServedTools([], without: Self.blocked, isHidden: true).blockedNames.isEmpty)
    }
}
