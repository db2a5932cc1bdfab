import MartletWire
import NIOCore

/// Reads `tools`, at the top level and wherever else tools are declared.
struct ResponsesToolReader {
    /// In the order of their declaration.
    private(set) var tools: [Tool] = []
    /// The tools as replies repeat them: a function with each of its members.
    private(set) var echo: [ByteBuffer] = []
    private(set) var names = ResponsesToolNames()
    /// All tools so far, wherever they were declared.
    private var count = 0

    private enum Field: String, RequestField {
        case type, name, description, parameters, strict, format, tools, function, execution
        case isDeferred = "defer_loading"
        case label = "server_label"
    }

    private struct Members {
        var type: String?
        var name: String?
        var description: EscapedText?
        var parameters: ByteBuffer?
        var strict: Bool?
        var format: ByteBuffer?
        var tools: ByteBuffer?
        var function: ByteBuffer?
        var execution: String?
        var isDeferred = false
        var label: String?
        var seen: Set<String> = []
    }

    /// The request's own list.
    /// - Throws: also when a tool stands twice.
    mutating func readTop(_ walk: inout RequestWalk) throws(DialectError) {
        try walk.array { (walk, _) throws(DialectError) in
            let text = try walk.skip()
            let members = try Self.members(text)
            echo.append(Self.whole(text, members))
            guard let found = try declare(members) else {
                throw DialectError(.unexpected, at: "name", "another tool has this name")
            }
            tools += found
        }
    }

    /// Tools declared in the conversation; those that are known already are not declared again.
    mutating func read(_ list: ByteBuffer) throws(DialectError) -> [Tool] {
        var all: [Tool] = []
        try RequestWalk.over(list) { (walk) throws(DialectError) in
            guard try walk.kind() == .array else { return }
            try walk.array { (walk, _) throws(DialectError) in
                all += try declare(Self.members(walk.skip())) ?? []
            }
        }
        return all
    }

    mutating func append(_ more: [Tool]) { tools += more }

    mutating func called(_ tool: ResponsesTool) -> String { names.called(tool) }

    // MARK: - One tool

    private static func members(_ text: ByteBuffer) throws(DialectError) -> Members {
        try RequestWalk.over(text) { (walk) throws(DialectError) in
            var members = Members()
            try walk.object(Field.self) { (walk, field) throws(DialectError) in
                members.seen.insert(field.rawValue)
                if try walk.takeNull() { return }
                switch field {
                case .type: members.type = try walk.string()
                case .name: members.name = try walk.string()
                case .description: members.description = try walk.escapedIfAny()
                case .parameters: members.parameters = try walk.skip()
                case .strict: members.strict = try walk.boolIfAny()
                case .format: members.format = try walk.skip()
                case .tools: members.tools = try walk.skip()
                case .function: members.function = try walk.skip()
                case .execution: members.execution = try walk.stringIfAny()
                case .isDeferred: members.isDeferred = try walk.boolIfAny() ?? false
                case .label: members.label = try walk.stringIfAny()
                }
            }
            return members
        }
    }

    /// Clients validate the members of a repeated function: none may be missing.
    private static func whole(_ text: ByteBuffer, _ members: Members) -> ByteBuffer {
        if members.type == "mcp" { return ResponsesServer.withoutSecrets(text) }
        guard members.type == "function", members.function == nil else { return text }
        let missing = ["description", "parameters", "strict"].filter { !members.seen.contains($0) }
        guard !missing.isEmpty else { return text }
        var whole = text.part(0..<text.readableBytes - 1)
        for name in missing { whole.writeString(",\"\(name)\":null") }
        whole.writeString("}")
        return whole
    }

    /// - Returns: nil when a tool of that name has been declared before.
    private mutating func declare(
        _ members: Members, in namespace: String? = nil
    ) throws(DialectError) -> [Tool]? {
        count += 1
        guard count <= RequestLimits.tools else {
            throw DialectError(.unexpected, "more than \(RequestLimits.tools) tools")
        }
        switch members.type {
        case "namespace": return try declareNamespace(members)
        case "function", nil: return try declareFunction(members, namespace)
        case "custom":
            return try declare(
                Tool(name: "", kind: .custom(format: members.format)), .custom, members, members.name, namespace)
        case let type?:
            if let form = ResponsesBuiltins.form(ofType: type), form != .search || members.execution == "client" {
                var tool = Tool(name: "", schema: members.parameters ?? ResponsesBuiltins.schema(form))
                tool.description = EscapedText(escaping: ResponsesBuiltins.description(form))
                return try declare(tool, form, members, members.name ?? type, namespace)
            }
            // What has a schema is a function, whatever it calls itself.
            guard members.name == nil || members.parameters == nil else {
                return try declareFunction(members, namespace)
            }
            return [Tool(name: members.label ?? members.name ?? type, kind: .server(type))]
        }
    }

    private mutating func declareFunction(_ members: Members, _ namespace: String?) throws(DialectError) -> [Tool]? {
        guard let inner = members.function, members.name == nil else {
            let tool = Tool(name: "", schema: members.parameters, strict: members.strict)
            return try declare(tool, .function, members, members.name, namespace)
        }
        // Chat's form, in which the function's members stand one level deeper.
        let function = try Self.members(inner)
        let tool = Tool(name: "", schema: function.parameters, strict: function.strict)
        return try declare(tool, .function, function, function.name, namespace)
    }

    private mutating func declare(
        _ tool: Tool, _ form: ResponsesTool.Form, _ members: Members, _ name: String?, _ namespace: String?
    ) throws(DialectError) -> [Tool]? {
        guard let name, !name.isEmpty else { throw DialectError(.unexpected, at: "name", "a name is required") }
        guard let flat = names.declare(ResponsesTool(form, name: name, namespace: namespace)) else { return nil }
        var tool = tool
        tool.name = flat
        tool.description = members.description ?? tool.description
        tool.isDeferred = members.isDeferred
        return [tool]
    }

    /// Its functions one by one; the first also says what the namespace is for.
    private mutating func declareNamespace(_ members: Members) throws(DialectError) -> [Tool]? {
        guard let name = members.name, !name.isEmpty else {
            throw DialectError(.unexpected, at: "name", "a name is required")
        }
        guard let list = members.tools else { return [] }
        var all: [Tool] = []
        do {
            try RequestWalk.over(list) { (walk) throws(DialectError) in
                try walk.array { (walk, _) throws(DialectError) in
                    var inner = try Self.members(walk.skip())
                    if members.isDeferred { inner.isDeferred = true }
                    guard inner.type != "namespace" else { return }
                    all += try declare(inner, in: name) ?? []
                }
            }
        } catch {
            throw error.inside("tools")
        }
        if let purpose = members.description, !purpose.isEmpty, let first = all.firstIndex(where: { !$0.isServer }) {
            all[first].description = TextBuilder.paragraphs([purpose, all[first].description ?? EscapedText()])
        }
        return all
    }
}
