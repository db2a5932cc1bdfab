import MartletWire

/// Which tools a request offers, once deferral, additions and removals are worked out.
enum ToolOffer {
    /// In the order of their declaration; those activated on the way last, in the order of their activation, so that
    /// the list only ever grows at its end.
    static func tools(_ table: ToolTable, _ items: [Item]) -> [Tool] {
        let mustWait = table.tools.contains { !$0.isDeferred && isSearch($0) }
        var declared: [String: Tool] = [:]
        var offered: [Tool] = []
        var names: Set<String> = []
        for tool in table.tools {
            if tool.isDeferred, mustWait, !tool.isServer {
                declared[tool.name] = tool
            } else if names.insert(tool.name).inserted {
                offered.append(tool)
            }
        }
        func activate(_ tool: Tool?) {
            guard let tool, names.insert(tool.name).inserted else { return }
            offered.append(tool)
        }
        for item in items {
            switch item {
            case .toolCall(let call): activate(declared[call.name])
            case .toolResult(let result):
                for part in result.parts {
                    if case .toolReference(let name) = part.content { activate(declared[name]) }
                }
            case .toolChange(.add(let tool)):
                declared[tool.name] = tool
                activate(tool)
            case .toolChange(.activate(let name)): activate(declared[name])
            case .toolChange(.remove(let name)):
                guard let place = offered.firstIndex(where: { $0.name == name }) else { break }
                declared[name] = offered.remove(at: place)
                names.remove(name)
            case .instruction, .message, .reasoning, .opaque: break
            }
        }
        return offered
    }

    /// A client's tool that finds deferred ones. One the API would run itself finds nothing
    /// here, so it holds nothing back.
    private static func isSearch(_ tool: Tool) -> Bool {
        guard !tool.isServer else { return false }
        let name = tool.name.lowercased().filter { $0 != "_" && $0 != "-" }
        return name.contains("toolsearch") || name.contains("searchtool")
    }
}
