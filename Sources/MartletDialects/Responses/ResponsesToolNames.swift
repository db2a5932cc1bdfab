import MartletWire

/// How a client of Responses declared a tool, and so how its calls go back.
package struct ResponsesTool: Sendable, Hashable {
    package enum Form: Sendable, Hashable {
        case function
        /// Takes free text.
        case custom
        case localShell, shell, applyPatch
        /// Finds tools; the client runs the search.
        case search
    }

    package var form: Form
    package var name: String
    package var namespace: String?

    package init(_ form: Form = .function, name: String, namespace: String? = nil) {
        self.form = form
        self.name = name
        self.namespace = namespace
    }
}

/// One flat name for each tool, whether it stands in a namespace or not.
struct ResponsesToolNames: Sendable, Hashable {
    private struct Key: Sendable, Hashable {
        var namespace: String?
        var name: String
    }

    private var names: [Key: String] = [:]
    /// By flat name.
    private(set) var tools: [String: ResponsesTool] = [:]

    /// `f`, or `N__f` in namespace N; with a digest behind it where another tool has that name.
    /// - Returns: nil when the tool has been declared before.
    mutating func declare(_ tool: ResponsesTool) -> String? {
        let key = Key(namespace: tool.namespace, name: tool.name)
        guard names[key] == nil else { return nil }
        var flat = tool.namespace.map { "\($0)__\(tool.name)" } ?? tool.name
        if tools[flat] != nil {
            flat += "_" + Digest.hex("\(tool.namespace ?? "")\u{0}\(tool.name)", digits: 8)
        }
        names[key] = flat
        tools[flat] = tool
        return flat
    }

    func known(_ name: String, namespace: String? = nil) -> String? { names[Key(namespace: namespace, name: name)] }

    /// The tool a call in the conversation was made to; one that is offered no more is declared for its name's sake.
    mutating func called(_ tool: ResponsesTool) -> String {
        if let known = known(tool.name, namespace: tool.namespace) { return known }
        // Histories written by others may have the flat name already.
        if tool.namespace == nil, tools[tool.name] != nil { return tool.name }
        return declare(tool) ?? tool.name
    }

    /// By a name alone, as choices have it: outside of namespaces, flat, or in the only namespace that has it.
    func chosen(_ name: String) -> String? {
        if let known = known(name) { return known }
        if tools[name] != nil { return name }
        let inside = names.filter { $0.key.name == name }
        return inside.count == 1 ? inside.first?.value : nil
    }

    func flatNames(in namespace: String) -> [String] {
        names.filter { $0.key.namespace == namespace }.map(\.value)
    }
}
