package import MartletWire

/// A tool as a server describes it.
package struct MCPTool: Sendable, Hashable {
    package var name: String
    package var title: String?
    package var description: String?
    /// Always an object.
    package var inputSchema: JSON
    /// What else it says of itself that may change what is thought of it: `outputSchema`, `annotations`.
    package var outputSchema: JSON?
    package var annotations: JSON?

    package init(name: String, description: String? = nil, inputSchema: JSON = ["type": "object"]) {
        self.name = name
        self.description = description
        self.inputSchema = inputSchema
    }

    /// Nil when it has no name.
    package init?(_ json: JSON) {
        guard let name = json["name"]?.string, !name.isEmpty else { return nil }
        self.init(name: name, description: json["description"]?.string)
        title = json["title"]?.string
        if let schema = json["inputSchema"], schema.object != nil { inputSchema = schema }
        outputSchema = json["outputSchema"].flatMap { $0.isNull ? nil : $0 }
        annotations = json["annotations"].flatMap { $0.isNull ? nil : $0 }
    }

    /// All of it, as a list of tools has it.
    package var json: JSON {
        var json: JSON = ["name": .string(name), "inputSchema": inputSchema]
        json["title"] = title.map(JSON.string)
        json["description"] = description.map(JSON.string)
        json["outputSchema"] = outputSchema
        json["annotations"] = annotations
        return json
    }
}

/// A tool of a server's list, and why it cannot be used, if it cannot.
package struct ListedTool: Sendable, Hashable {
    package var tool: MCPTool
    package var fault: String?

    init(_ tool: MCPTool, isRepeated: Bool, limits: MCPLimits) {
        self.tool = tool
        if isRepeated {
            fault = "the server has several tools of this name"
        } else if tool.name.utf8.count > limits.name {
            fault = "its name has more than \(limits.name) bytes"
        } else if !tool.name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            fault = "its name has characters that a tool's name cannot have"
        } else if (tool.description?.utf8.count ?? 0) + (tool.title?.utf8.count ?? 0) > limits.description {
            fault = "its description has more than \(limits.description >> 10) KiB"
        } else if tool.inputSchema.text.utf8.count > limits.schema
            || (tool.outputSchema?.text.utf8.count ?? 0) + (tool.annotations?.text.utf8.count ?? 0) > limits.schema
        {
            fault = "its schema has more than \(limits.schema >> 10) KiB"
        }
    }
}

/// How a call has ended, if the server has answered.
package enum MCPResult: Sendable, Hashable {
    /// - Parameters:
    ///   - content: MCP's content array as JSON text: data, whatever it says.
    ///   - isError: the tool says that it has failed. That is a result too.
    case content(String, isError: Bool)
    /// The server took the call for a wrong one.
    case refused(RPCFault)
}
