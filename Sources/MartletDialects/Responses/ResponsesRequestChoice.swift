import MartletWire
import NIOCore

/// What `tool_choice` says.
struct ResponsesChoice {
    var choice: ToolChoice?
    /// Flat names and types of hosted tools of what is left, where the choice says so.
    var allowed: Set<String>?
    /// An MCP server, or a tool of one.
    var served: ServedChoice?
    /// It names a hosted tool nobody offered.
    var isUnknown = false

    private enum Field: String, RequestField {
        case type, name, namespace, mode, tools, function, custom
        case label = "server_label"
    }

    private struct Members {
        var type: String?
        var name: String?
        var namespace: String?
        var mode: String?
        var label: String?
        var tools: [Members] = []
    }

    static func read(
        _ walk: inout RequestWalk, _ names: ResponsesToolNames, _ tools: [Tool]
    ) throws(DialectError) -> ResponsesChoice? {
        if try walk.kind() == .string { return ResponsesChoice(choice: ToolChoice(word: try walk.string())) }
        let members = try members(&walk, depth: 0)
        if members.type == "allowed_tools" {
            var allowed: Set<String> = []
            for tool in members.tools { allowed.formUnion(flatNames(tool, names, tools)) }
            return ResponsesChoice(choice: members.mode.flatMap(ToolChoice.init(word:)), allowed: allowed)
        }
        if members.type == "mcp", let label = flatNames(members, names, tools).first {
            return ResponsesChoice(
                choice: .tool(name: label), served: ServedChoice(server: label, tool: members.name))
        }
        if let name = flatNames(members, names, tools).first { return ResponsesChoice(choice: .tool(name: name)) }
        if let name = members.name { return ResponsesChoice(choice: .tool(name: name)) }
        return members.type == nil ? nil : ResponsesChoice(isUnknown: true)
    }

    private static func members(_ walk: inout RequestWalk, depth: Int) throws(DialectError) -> Members {
        var members = Members()
        try walk.object(Field.self) { (walk, field) throws(DialectError) in
            if try walk.takeNull() { return }
            switch field {
            case .type: members.type = try walk.stringIfAny()
            case .name: members.name = try walk.stringIfAny()
            case .namespace: members.namespace = try walk.stringIfAny()
            case .mode: members.mode = try walk.stringIfAny()
            case .label: members.label = try walk.stringIfAny()
            case .tools:
                guard depth == 0 else {
                    _ = try walk.skip()
                    return
                }
                try walk.array { (walk, _) throws(DialectError) in
                    members.tools.append(try Self.members(&walk, depth: 1))
                }
            case .function, .custom:
                // Chat's form, in which the name stands one level deeper.
                guard depth < 2, try walk.kind() == .object else {
                    _ = try walk.skip()
                    return
                }
                members.name = try Self.members(&walk, depth: 2).name ?? members.name
            }
        }
        return members
    }

    /// The tools meant, sorted; several where a namespace is.
    private static func flatNames(_ members: Members, _ names: ResponsesToolNames, _ tools: [Tool]) -> [String] {
        switch members.type {
        case "namespace": return members.name.map { names.flatNames(in: $0).sorted() } ?? []
        case "function", "custom", nil:
            guard let name = members.name else { return [] }
            let known = members.namespace.map { names.known(name, namespace: $0) } ?? names.chosen(name)
            return known.map { [$0] } ?? []
        case "mcp":
            let servers = tools.filter { $0.kind == .server("mcp") }
            return servers.map(\.name).filter { members.label == nil || $0 == members.label }.prefix(1).map { $0 }
        case let type?:
            if ResponsesBuiltins.form(ofType: type) != nil, let name = names.known(type) { return [name] }
            // `web_search_preview` is chosen where `web_search_2025_08_26` was offered.
            let family = type.prefix { $0 != "_" }
            let hosted = tools.filter { tool in
                if case .server(let offered) = tool.kind { return offered.prefix { $0 != "_" } == family }
                return false
            }
            return hosted.prefix(1).map(\.name)
        }
    }
}
