package import MartletWire
import NIOCore

extension Dialects {
    /// The MCP servers a request names, before anything else of it is read.
    /// - Parameter betas: the client's `anthropic-beta` lists.
    /// - Throws: `invalidRequest` for one that cannot be understood, or whose calls somebody would have to approve.
    package static func integrations(
        of document: JSONDocument, from client: DialectID, betas: [String] = []
    ) throws(GatewayError) -> [Integration] {
        switch client {
        case .chat, .completions: []
        case .anthropic: try AnthropicServers.read(document, betas: betas)
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
        var allowed = try tool.has("allowed_tools") ? names(tool["allowed_tools"], at: "allowed_tools") : nil
        if let unattended = try unattended(tool) { allowed = allowed?.filter(unattended.contains) ?? unattended }
        guard let url = try tool.string("server_url") else {
            return Integration(.installed(label: label), allowedTools: allowed)
        }
        var headers = try tool.strings("headers") ?? [:]
        if let token = try tool.string("authorization") { headers["Authorization"] = "Bearer \(token)" }
        return Integration(.ephemeral(label: label, url: url, headers: headers), allowedTools: allowed)
    }

    /// Names of the tools whose calls nobody has to approve; nil: all. Left out it asks for no approval, unlike at
    /// OpenAI: here a server runs only for who may use it, and LM Studio knows no approval.
    private static func unattended(_ tool: RawObject) throws(DialectError) -> [String]? {
        let place = "require_approval"
        guard tool.has(place), let value = tool[place], value.rawString?.unescaped() != "never" else { return nil }
        guard let filters = try? RawObject(value), filters.has("never") else {
            throw DialectError(
                .unexpected, at: place,
                "calls are not approved one by one here; say \"never\", or name the tools that may run without: "
                    + "{\"never\": {\"tool_names\": [\"…\"]}} (others are not offered)")
        }
        let never = try names(filters["never"], at: "\(place).never")
        let always = try filters.has("always") ? names(filters["always"], at: "\(place).always") : []
        return never.filter { !always.contains($0) }
    }

    /// A list of tools' names, or an object with one.
    private static func names(_ value: ByteBuffer?, at place: String) throws(DialectError) -> [String] {
        let value = value ?? ByteBuffer()
        guard value.rawKind == .object else { return try value.names(at: place) }
        guard let filter = try? RawObject(value), !filter.has("read_only"), let names = filter["tool_names"] else {
            throw DialectError(
                .unexpected, at: place,
                "name the tools: {\"tool_names\": [\"…\"]} (which of them a server calls read-only is not looked at)")
        }
        return try names.names(at: "\(place).tool_names")
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
    /// Since this version each server is named by one `mcp_toolset`; before it there were none.
    private static let toolsetBeta = "mcp-client-2025-11-20"

    static func read(_ document: JSONDocument, betas: [String]) throws(GatewayError) -> [Integration] {
        var toolsets = try toolsets(document)
        let needsToolsets = !toolsets.isEmpty || betas.contains { $0.contains(toolsetBeta) }
        var all: [Integration] = []
        let servers = try document.list("mcp_servers", with: "{").flatMap { try? $0.rawElements() } ?? []
        for (place, text) in servers.enumerated() {
            do throws(DialectError) {
                var integration = try integration(text)
                if let toolset = toolsets.removeValue(forKey: integration.label) {
                    toolset.narrow(&integration)
                } else if needsToolsets {
                    throw DialectError(
                        .unexpected, at: "name",
                        "no mcp_toolset of its own in tools names \"\(integration.label.prefix(128))\"; each server needs one"
                    )
                }
                all.append(integration)
            } catch {
                throw GatewayError(refusing: error.inside("mcp_servers[\(place)]"))
            }
        }
        guard let left = toolsets.min(by: { $0.value.place < $1.value.place }) else { return all }
        let name = left.key.prefix(128)
        let unknown = DialectError(
            .unexpected, at: "mcp_server_name", "\"\(name)\" is none of the request's mcp_servers")
        throw GatewayError(refusing: unknown.inside("tools[\(left.value.place)]"))
    }

    private static func integration(_ text: ByteBuffer) throws(DialectError) -> Integration {
        guard let server = try? RawObject(text), let name = try server.string("name"), !name.isEmpty else {
            throw DialectError(.unexpected, at: "name", "the name of an MCP server is required")
        }
        guard let url = try server.string("url") else {
            throw DialectError(.unexpected, at: "url", "the address of an MCP server is required")
        }
        var headers: [String: String] = [:]
        if let token = try server.string("authorization_token") { headers["Authorization"] = "Bearer \(token)" }
        var integration = Integration(.ephemeral(label: name, url: url, headers: headers))
        if let form = server["tool_configuration"].flatMap({ try? RawObject($0) }) {
            if form.has("allowed_tools") {
                integration.allowedTools = try form["allowed_tools"]?.names(at: "allowed_tools")
            }
            if try form.bool("enabled") == false { integration.allowedTools = [] }
        }
        return integration
    }

    /// Which tools of a server a `mcp_toolset` turns on.
    private struct Toolset {
        /// In `tools`.
        var place: Int
        /// Of tools that are not named.
        var isOn: Bool
        var named: [(name: String, isOn: Bool)]

        init(_ set: RawObject, at place: Int) throws(DialectError) {
            self.place = place
            isOn = try Self.isOn(set["default_config"], at: "default_config") ?? true
            named = []
            for config in set["configs"].flatMap({ try? RawObject($0) })?.members ?? [] {
                named.append((config.name, try Self.isOn(config.value, at: "configs.\(config.name)") ?? isOn))
            }
        }

        private static func isOn(_ config: ByteBuffer?, at place: String) throws(DialectError) -> Bool? {
            do {
                return try config.flatMap { try? RawObject($0) }?.bool("enabled")
            } catch {
                throw error.inside(place)
            }
        }

        /// What the server's own `tool_configuration` withholds stays withheld.
        func narrow(_ integration: inout Integration) {
            if isOn {
                integration.deniedTools = Set(named.lazy.filter { !$0.isOn }.map(\.name))
            } else {
                let on = named.filter(\.isOn).map(\.name)
                integration.allowedTools = integration.allowedTools.map { $0.filter(on.contains) } ?? on
            }
        }
    }

    /// By server.
    private static func toolsets(_ document: JSONDocument) throws(GatewayError) -> [String: Toolset] {
        guard let list = try document.list("tools", with: "\"mcp_toolset\"") else { return [:] }
        var all: [String: Toolset] = [:]
        for (place, text) in ((try? list.rawElements()) ?? []).enumerated() {
            guard let set = try? RawObject(text), set["type"]?.rawString?.unescaped() == "mcp_toolset" else { continue }
            do throws(DialectError) {
                guard let server = try set.string("mcp_server_name") else {
                    throw DialectError(.unexpected, at: "mcp_server_name", "the name of an MCP server is required")
                }
                guard all.updateValue(try Toolset(set, at: place), forKey: server) == nil else {
                    throw DialectError(.unexpected, at: "mcp_server_name", "another mcp_toolset names this server")
                }
            } catch {
                throw GatewayError(refusing: error.inside("tools[\(place)]"))
            }
        }
        return all
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

    /// Nil when it is absent or null.
    fileprivate func bool(_ name: String) throws(DialectError) -> Bool? {
        guard has(name), let value = self[name] else { return nil }
        switch String(buffer: value) {
        case "true": return true
        case "false": return false
        default: throw DialectError(.unexpected, at: name, "true or false was expected")
        }
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
