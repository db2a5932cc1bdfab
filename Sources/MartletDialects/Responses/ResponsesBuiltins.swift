import MartletWire
import NIOCore

/// Tools of Responses whose arguments the API defines and whose calls the client runs, said as plain functions: what
/// they look like to a model, and how their calls are said both ways.
enum ResponsesBuiltins {
    /// Nil for a type the client does not run.
    static func form(ofType type: String) -> ResponsesTool.Form? {
        switch type {
        case "local_shell": .localShell
        case "shell": .shell
        case "apply_patch": .applyPatch
        case "tool_search": .search
        default: nil
        }
    }

    static func description(_ form: ResponsesTool.Form) -> String {
        switch form {
        case .localShell: "Runs a command on the user's machine."
        case .shell: "Runs shell commands, one after another."
        case .applyPatch: "Creates, changes or deletes one file. A change is a diff in the V4A format."
        case .search: "Finds tools that are not loaded yet, and loads them."
        case .function, .custom: ""
        }
    }

    static func schema(_ form: ResponsesTool.Form) -> ByteBuffer {
        let text: String
        switch form {
        case .localShell:
            text = """
                {"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},\
                "description":"The program and its arguments."},"workdir":{"type":"string"},\
                "timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}}},\
                "required":["command"]}
                """
        case .shell:
            text = """
                {"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},\
                "description":"Command lines."},"timeout_ms":{"type":"integer"},\
                "max_output_length":{"type":"integer"}},"required":["commands"]}
                """
        case .applyPatch:
            text = """
                {"type":"object","properties":{"operation":{"type":"object","properties":{"type":{"type":"string",\
                "enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},\
                "diff":{"type":"string"}},"required":["type","path"]}},"required":["operation"]}
                """
        case .search, .function, .custom:
            text = #"{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}"#
        }
        return ByteBuffer(string: text)
    }

    // MARK: - Calls in a conversation

    /// The arguments of the function, for a call as the client has it.
    /// - Parameter action: its `action`, `operation` or `arguments`; nil when it has none.
    static func arguments(_ form: ResponsesTool.Form, _ action: ByteBuffer?) -> ByteBuffer {
        guard let action else { return ByteBuffer(string: "{}") }
        switch form {
        case .localShell:
            return pick(
                [
                    ("command", "command"), ("working_directory", "workdir"), ("timeout_ms", "timeout_ms"),
                    ("env", "env"),
                ], of: action)
        case .shell:
            return pick(
                [
                    ("commands", "commands"), ("timeout_ms", "timeout_ms"),
                    ("max_output_length", "max_output_length"),
                ], of: action)
        case .applyPatch:
            var object = RawObject()
            object.set("operation", action)
            return object.text
        case .search, .function, .custom: return action
        }
    }

    /// Members that are there and not null or empty, under their new names.
    private static func pick(_ names: [(old: String, new: String)], of object: ByteBuffer) -> ByteBuffer {
        guard let object = try? RawObject(object) else { return ByteBuffer(string: "{}") }
        var picked = RawObject()
        for name in names {
            guard let value = object[name.old], value.rawKind != .null, value != ByteBuffer(string: "{}") else {
                continue
            }
            picked.set(name.new, value)
        }
        return picked.text
    }

    // MARK: - Calls in a reply

    /// Whether the arguments say all that the item of such a call is about. A client would run what is made up.
    static func fits(_ form: ResponsesTool.Form, _ arguments: EscapedText) -> Bool {
        guard let given = try? RawObject(ReplyArguments.object(arguments, isCut: false)) else { return false }
        switch form {
        case .localShell: return isCommand(given["command"])
        case .shell:
            if let commands = given["commands"] { return isCommand(commands) }
            // The words of one command are not several commands.
            guard let command = given["command"], isCommand(command) else { return false }
            return (try? command.rawElements())?.count ?? 1 == 1
        case .applyPatch:
            guard let operation = operation(given), let type = operation["type"]?.rawString?.unescaped(),
                operation["path"]?.rawString?.isEmpty == false
            else { return false }
            switch type {
            case "create_file", "update_file": return operation["diff"]?.rawKind == .string
            default: return type == "delete_file"
            }
        case .search, .function, .custom: return true
        }
    }

    private static func isCommand(_ command: ByteBuffer?) -> Bool {
        guard let command else { return false }
        if let line = command.rawString { return !line.isEmpty }
        guard let words = try? command.rawElements() else { return false }
        return !words.isEmpty && words.allSatisfy { $0.rawKind == .string }
    }

    /// Some models leave out the object around it.
    private static func operation(_ given: RawObject) -> RawObject? {
        guard let inner = given["operation"], inner.rawKind == .object else { return given }
        return try? RawObject(inner)
    }

    /// What the item of a call holds besides its ids: `"action":…`, one line.
    /// - Parameter arguments: an object; nil while the call has only begun.
    static func body(_ form: ResponsesTool.Form, _ arguments: ByteBuffer?) -> ByteBuffer {
        let given = arguments.flatMap { try? RawObject($0) } ?? RawObject()
        var object = RawObject()
        var out = ByteBuffer()
        switch form {
        case .localShell:
            object.set("type", .rawString("exec"))
            object.set("command", words(given["command"]))
            object.set("env", given["env"].flatMap { $0.rawKind == .object ? $0 : nil } ?? ByteBuffer(string: "{}"))
            if let value = given["workdir"] ?? given["working_directory"], value.rawKind == .string {
                object.set("working_directory", value)
            }
            if let value = given["timeout_ms"], value.rawKind == .number { object.set("timeout_ms", value) }
            out.writeString("\"action\":")
            object.write(into: &out)
        case .shell:
            object.set("commands", lines(given["commands"] ?? given["command"]))
            for name in ["timeout_ms", "max_output_length"] {
                let value = given[name].flatMap { $0.rawKind == .number ? $0 : nil }
                object.set(name, value ?? ByteBuffer(string: "null"))
            }
            out.writeString("\"action\":")
            object.write(into: &out)
        case .applyPatch:
            object = operation(given) ?? RawObject()
            for (name, value) in [("type", "update_file"), ("path", ""), ("diff", "")] {
                let isDelete = object["type"]?.rawString?.unescaped() == "delete_file"
                if object[name] == nil, !(isDelete && name == "diff") { object.set(name, .rawString(value)) }
            }
            out.writeString("\"operation\":")
            object.write(into: &out)
        case .search, .function, .custom:
            out.writeString("\"execution\":\"client\",\"arguments\":")
            given.write(into: &out)
        }
        return out.onOneLine
    }

    /// A command as a list of words; a line is for the shell to take apart.
    private static func words(_ command: ByteBuffer?) -> ByteBuffer {
        guard let command else { return ByteBuffer(string: "[]") }
        switch command.rawKind {
        case .array: return command
        case .string: return .rawArray([.rawString("bash"), .rawString("-lc"), command])
        default: return ByteBuffer(string: "[]")
        }
    }

    private static func lines(_ commands: ByteBuffer?) -> ByteBuffer {
        guard let commands else { return ByteBuffer(string: "[]") }
        switch commands.rawKind {
        case .array: return commands
        case .string: return .rawArray([commands])
        default: return ByteBuffer(string: "[]")
        }
    }
}
