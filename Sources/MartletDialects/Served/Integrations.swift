package import MartletWire
import NIOCore

extension Dialects {
    /// The MCP servers a request names, before anything else of it is read.
    /// - Throws: `invalidRequest` for one that cannot be understood, or whose calls somebody would have to approve.
    package static func integrations(
        of document: JSONDocument, from client: DialectID
    ) throws(GatewayError) -> [Integration] {
        switch client {
        case .chat, .completions: []
        case .anthropic: try AnthropicServers.read(document)
        case .responses: try ResponsesServer.all(document)
        case .lmstudio: try LMStudioRequest.integrations(document)
        }
    }
}

extension JSONDocument {
    /// A list among its members that has these bytes in it; nil when there is none.
    fileprivate func list(_ name: String, with word: StaticString) throws(GatewayError) -> ByteBuffer? {
        do throws(JSONError) {
            guard let member = try self.member(name), member.kind == .array, member.value.count > 2 else { return nil }
            let text = slice(member.value)
            return text.holds(word) ? text : nil
        } catch {
            throw GatewayError(refusing: DialectError(error, at: name))
        }
    }
}

extension ByteBuffer {
    fileprivate func holds(_ word: StaticString) -> Bool {
        withUnsafeReadableBytes { bytes in
            let count = word.utf8CodeUnitCount
            guard bytes.count >= count else { return false }
            for start in 0...(bytes.count - count) where bytes[start] == word.utf8Start[0] {
                if (0..<count).allSatisfy({ bytes[start + $0] == word.utf8Start[$0] }) { return true }
            }
            return false
        }
    }
}

/// A tool of type `mcp` (https://platform.openai.com/docs/guides/tools-connectors-mcp).
enum ResponsesServer {
    static func all(_ document: JSONDocument) throws(GatewayError) -> [Integration] {
        guard let list = try document.list("tools", with: "\"mcp\"") else { return [] }
        var all: [Integration] = []
        for (place, text) in ((try? list.rawElements()) ?? []).enumerated() {
            guard let tool = try? RawObject(text), tool["type"]?.rawString?.unescaped() == "mcp" else { continue }
            do throws(DialectError) {
                all.append(try integration(tool))
            } catch {
                throw GatewayError(refusing: error.inside("tools[\(place)]"))
            }
        }
        return all
    }

    private static func integration(_ tool: RawObject) throws(DialectError) -> Integration {
        guard let label = try tool.string("server_label"), !label.isEmpty else {
            throw DialectError(.unexpected, at: "server_label", "the label of an MCP server is required")
        }
        if tool.has("connector_id") {
            throw DialectError(.unexpected, at: "connector_id", "connectors are run by OpenAI only; give a server_url")
        }
        // By default an answer of OpenAI's waits for the client. Here a server runs only for who may use it.
        if tool.has("require_approval"), try tool.string("require_approval") != "never" {
            throw DialectError(
                .unexpected, at: "require_approval",
                "calls are not approved one by one here; say \"never\", and name the tools in allowed_tools")
        }
        guard let url = try tool.string("server_url") else {
            return Integration(.installed(label: label), allowedTools: try allowed(tool))
        }
        var headers = try tool.strings("headers") ?? [:]
        if let token = try tool.string("authorization") { headers["Authorization"] = "Bearer \(token)" }
        return Integration(.ephemeral(label: label, url: url, headers: headers), allowedTools: try allowed(tool))
    }

    private static func allowed(_ tool: RawObject) throws(DialectError) -> [String]? {
        guard tool.has("allowed_tools"), let value = tool["allowed_tools"] else { return nil }
        guard value.rawKind == .object else { return try value.names(at: "allowed_tools") }
        guard let filter = try? RawObject(value), !filter.has("read_only"), let names = filter["tool_names"] else {
            throw DialectError(.unexpected, at: "allowed_tools", "a list of tools' names is required")
        }
        return try names.names(at: "allowed_tools.tool_names")
    }

    /// The same without what is between its client and the server.
    static func withoutSecrets(_ text: ByteBuffer) -> ByteBuffer {
        guard var tool = try? RawObject(text) else { return text }
        for name in ["headers", "authorization"] where tool[name] != nil { tool.set(name, .rawNull) }
        return tool.text
    }
}

/// `mcp_servers` of a Messages request (https://docs.anthropic.com/en/docs/agents-and-tools/mcp-connector).
enum AnthropicServers {
    static func read(_ document: JSONDocument) throws(GatewayError) -> [Integration] {
        guard let list = try document.list("mcp_servers", with: "{") else { return [] }
        let allowed = try toolsets(document)
        var all: [Integration] = []
        for (place, text) in ((try? list.rawElements()) ?? []).enumerated() {
            do throws(DialectError) {
                guard let server = try? RawObject(text), let name = try server.string("name"), !name.isEmpty else {
                    throw DialectError(.unexpected, at: "name", "the name of an MCP server is required")
                }
                guard let url = try server.string("url") else {
                    throw DialectError(.unexpected, at: "url", "the address of an MCP server is required")
                }
                var headers: [String: String] = [:]
                if let token = try server.string("authorization_token") { headers["Authorization"] = "Bearer \(token)" }
                var tools = allowed[name]
                if let form = server["tool_configuration"].flatMap({ try? RawObject($0) }) {
                    if String(buffer: form["enabled"] ?? ByteBuffer()) == "false" { continue }
                    if form.has("allowed_tools") { tools = try form["allowed_tools"]?.names(at: "allowed_tools") }
                }
                all.append(Integration(.ephemeral(label: name, url: url, headers: headers), allowedTools: tools))
            } catch {
                throw GatewayError(refusing: error.inside("mcp_servers[\(place)]"))
            }
        }
        return all
    }

    /// By server, the tools that a `mcp_toolset` turns on one by one.
    private static func toolsets(_ document: JSONDocument) throws(GatewayError) -> [String: [String]] {
        guard let list = try document.list("tools", with: "\"mcp_toolset\"") else { return [:] }
        var allowed: [String: [String]] = [:]
        for text in (try? list.rawElements()) ?? [] {
            guard let set = try? RawObject(text), set["type"]?.rawString?.unescaped() == "mcp_toolset",
                let server = set["mcp_server_name"]?.rawString?.unescaped(),
                isOff(set["default_config"]), let configs = set["configs"].flatMap({ try? RawObject($0) })
            else { continue }
            allowed[server] = configs.members.filter { !isOff($0.value) }.map(\.name)
        }
        return allowed
    }

    private static func isOff(_ config: ByteBuffer?) -> Bool {
        guard let config = config.flatMap({ try? RawObject($0) }), let enabled = config["enabled"] else { return false }
        return String(buffer: enabled) == "false"
    }
}

extension RawObject {
    fileprivate func has(_ name: String) -> Bool { self[name].map { $0.rawKind != .null } ?? false }

    /// Nil when it is absent or null.
    fileprivate func string(_ name: String) throws(DialectError) -> String? {
        guard has(name), let value = self[name] else { return nil }
        guard let text = value.rawString else { throw DialectError(.unexpected, at: name, "a string was expected") }
        return text.unescaped()
    }

    fileprivate func strings(_ name: String) throws(DialectError) -> [String: String]? {
        guard has(name), let value = self[name] else { return nil }
        guard let object = try? RawObject(value) else {
            throw DialectError(.unexpected, at: name, "an object was expected")
        }
        var texts: [String: String] = [:]
        for member in object.members { texts[member.name] = try object.string(member.name) }
        return texts
    }
}

extension ByteBuffer {
    fileprivate func names(at place: String) throws(DialectError) -> [String] {
        guard let elements = try? rawElements() else {
            throw DialectError(.unexpected, at: place, "a list of tools' names is required")
        }
        return try elements.map { (element) throws(DialectError) in
            guard let name = element.rawString else {
                throw DialectError(.unexpected, at: place, "a list of tools' names is required")
            }
            return name.unescaped()
        }
    }
}
