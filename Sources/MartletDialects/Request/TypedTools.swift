import MartletWire
import NIOCore

/// Tools whose arguments their type defines and which the client runs
/// (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/overview), said as plain functions.
enum TypedTools {
    struct Form {
        var description: String
        var schema: JSON
    }

    /// Nil for a type that cannot be said so.
    static func form(_ type: String) -> Form? {
        if type.hasPrefix("bash_") { return bash }
        if type.hasPrefix("text_editor_") { return editor }
        if type.hasPrefix("memory_") { return memory }
        return nil
    }

    private static var bash: Form {
        Form(
            description: "Runs a command in a bash session that lasts from call to call.",
            schema: object(["command": text("The command."), "restart": ["type": "boolean"]], required: []))
    }

    private static var editor: Form {
        Form(
            description: "Views and edits text files.",
            schema: object(
                [
                    "command": choice(["view", "create", "str_replace", "insert"]),
                    "path": text("Absolute path of the file or directory."),
                    "file_text": text("For create: the file's content."),
                    "old_str": text("For str_replace: the text to replace; it must occur once."),
                    "new_str": text("For str_replace: what replaces it."),
                    "insert_line": number("For insert: the line after which to insert, 0 for the beginning."),
                    "insert_text": text("For insert: the text."),
                    "view_range": range,
                ], required: ["command", "path"]))
    }

    private static var memory: Form {
        Form(
            description: "Keeps notes in files under /memories.",
            schema: object(
                [
                    "command": choice(["view", "create", "str_replace", "insert", "delete", "rename"]),
                    "path": text("Path of the file or directory."),
                    "view_range": range,
                    "file_text": text("For create: the file's content."),
                    "old_str": text("For str_replace: the text to replace."),
                    "new_str": text("For str_replace: what replaces it."),
                    "insert_line": number("For insert: the line after which to insert."),
                    "insert_text": text("For insert: the text."),
                    "old_path": text("For rename."),
                    "new_path": text("For rename."),
                ], required: ["command"]))
    }

    private static func object(_ properties: JSON, required: [JSON]) -> JSON {
        var schema: JSON = ["type": "object", "properties": properties]
        if !required.isEmpty { schema["required"] = .array(required) }
        return schema
    }

    private static func text(_ description: JSON) -> JSON { ["type": "string", "description": description] }
    private static func number(_ description: JSON) -> JSON { ["type": "integer", "description": description] }
    private static func choice(_ words: [JSON]) -> JSON { ["type": "string", "enum": .array(words)] }

    private static var range: JSON {
        [
            "type": "array", "items": ["type": "integer"],
            "description": "For view: first and last line, from 1; -1 is the file's end.",
        ]
    }
}
