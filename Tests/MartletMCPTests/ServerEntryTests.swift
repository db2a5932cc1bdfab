import MartletMCP
import MartletWire
import Testing

@Suite struct ServerEntryTests {
    @Test(
        "a server's id is its name in kebab case",
        arguments: [
            ("Oracle_Stream", "oracle-stream"), ("files", "files"), ("myServer", "my-server"), ("a  b__c", "a-b-c"),
            ("-x-", "x"), ("v2", "v2"), ("HTTPServer", "httpserver"), ("日本", ""),
        ])
    func label(_ name: String, _ label: String) { #expect(ServerEntry.label(name) == label) }

    private func entries(_ text: String) throws -> [ServerEntry] {
        let home = try Home()
        try home.write("mcp.json", text)
        return try ServerFile(home: home.path).entries()
    }

    @Test("LM Studio's file is read as it is")
    func file() throws {
        let entries = try entries(
            """
            { "mcpServers": {
                "files": { "command": "npx", "args": ["-y", "some-mcp-server"], "env": { "ROOT": "/data", "PORT": 8 } },
                "Wiki_1": { "url": "https://mcp.example.org/mcp", "headers": { "Authorization": "Bearer abc" } },
                "crm": { "url": "https://crm.example.org/mcp", "auth": { "CLIENT_ID": "id" } } } }
            """)
        #expect(entries.map(\.id) == ["mcp/files", "mcp/wiki-1", "mcp/crm"])
        let program = ServerAccess.program(
            "npx", arguments: ["-y", "some-mcp-server"], environment: ["ROOT": "/data", "PORT": "8"], folder: nil)
        #expect(entries[0].access == .success(program))
        let url = try #require(ServerURL("https://mcp.example.org/mcp"))
        #expect(entries[1].access == .success(.remote(url, [try ServerHeader("Authorization", "Bearer abc")])))
        #expect(throws: MCPError.self) { try entries[2].access.get() }
    }

    @Test(
        "an entry that cannot be used says why, and keeps no other out",
        arguments: [
            (#"{"url":"https://a/","auth":{}}"#, "OAuth"), (#"{"url":"https://a/","type":"sse"}"#, "older transport"),
            (#"{"command":"a","disabled":true}"#, "switched off"), (#"{"command":"a","url":"http://a/"}"#, "either"),
            (#"{}"#, "either"), (#"[]"#, "no object"), (#"{"command":""}"#, "no text"),
            (#"{"command":"a","args":"b"}"#, "no list"), (#"{"command":"a","args":[1]}"#, "no texts"),
            (#"{"command":"a","env":{"a=b":"c"}}"#, "no environment"), (#"{"command":"a","cwd":"b"}"#, "whole path"),
            (#"{"url":"file:///etc/passwd"}"#, "no address of the web"),
            (#"{"url":"http://a/","headers":{"Host":"b"}}"#, "cannot be set"),
        ])
    func faults(_ entry: String, _ words: String) throws {
        let entries = try entries(#"{"mcpServers":{"bad":\#(entry),"good":{"command":"a"}}}"#)
        guard case .failure(let error) = entries[0].access else {
            Issue.record("it is taken")
            return
        }
        #expect(error.code == .badEntry && error.message.contains(words), "\(error.message)")
        #expect(throws: Never.self) { try entries[1].access.get() }
    }

    @Test("members of other clients are passed over and told")
    func ignored() throws {
        let entries = try entries(#"{"mcpServers":{"a":{"command":"a","type":"stdio","alwaysAllow":[],"timeout":3}}}"#)
        #expect(entries[0].ignored == ["alwaysAllow", "timeout"])
    }

    @Test("of two servers with one label each is found by its name, and the label alone by neither")
    func twins() throws {
        let entries = try entries(
            #"{"mcpServers":{"a_b":{"command":"1"},"a-b":{"command":"2"},"C_d":{"command":"3"}}}"#)
        #expect(entries.map(\.id) == ["mcp/a_b", "mcp/a-b", "mcp/c-d"])
        for (wanted, name) in [("a-b", "a-b"), ("mcp/a-b", "a-b"), ("mcp/a_b", "a_b"), ("c-d", "C_d"), ("C_d", "C_d")] {
            let found = try ServerEntry.find(wanted, among: entries)
            #expect(found?.name == name && (try? found?.access.get()) != nil, "\(wanted)")
        }
        let error = #expect(throws: MCPError.self) { try ServerEntry.find("mcp/A-B", among: entries) }
        #expect(error?.code == .badEntry && error?.message.contains("may be each of a_b, a-b of") == true)
        #expect(try ServerEntry.find("e", among: entries) == nil)
    }

    @Test("a byte order mark before the file is passed over")
    func mark() throws {
        #expect(try entries("\u{FEFF}" + #"{"mcpServers":{"a":{"command":"a"}}}"#).map(\.id) == ["mcp/a"])
    }

    @Test("comments are no JSON, and the error says so")
    func comments() async throws {
        let error = try await failure { _ = try entries("{ // mine\n}") }
        #expect(error.message.contains("has no comments"))
    }

    @Test("a file that is damaged is an error that names it", arguments: ["{", "[]", #"{"mcpServers":[]}"#])
    func damaged(_ text: String) async throws {
        let error = try await failure { _ = try entries(text) }
        #expect(error.code == .fileSystem && error.message.contains("mcp.json"))
    }

    @Test("adding and removing leaves all else in the file as it was")
    func changing() async throws {
        let home = try Home()
        let file = ServerFile(home: home.path)
        #expect(try file.entries().isEmpty)
        try home.write("mcp.json", #"{"inputs":[1.0],"mcpServers":{"a":{"command":"x","more":{}}},"z":null}"#)
        try file.add("New One", ["url": "http://a/"])
        let taken = try await failure { try file.add("new_one", [:]) }
        #expect(taken.code == .badEntry && taken.message.contains("New One"))
        #expect(try file.remove("mcp/new-one")?.name == "New One")
        #expect(try file.remove("nothing") == nil)
        let json = try JSON(parsing: try #require(home.read("mcp.json")))
        let before = try JSON(parsing: #"{"inputs":[1.0],"mcpServers":{"a":{"command":"x","more":{}}},"z":null}"#)
        #expect(json == before)
    }

    @Test("a server gets of our environment only what programs need, and what its entry says")
    func environment() {
        let environment = StdioCommand.environment(
            ["PATH": "/bin", "HOME": "/h", "HF_TOKEN": "secret", "MARTLET_X": "y", "LANG": "C"],
            adding: ["LANG": "de", "KEY": "v"])
        #expect(environment == ["PATH": "/bin", "HOME": "/h", "LANG": "de", "KEY": "v"])
    }
}
