import MartletWire
import NIOCore

/// Values that requests of several dialects have alike.
extension RequestMembers {
    /// A limit in tokens.
    mutating func limit(_ name: String) throws(DialectError) -> Int? {
        try read(name) { (walk) throws(DialectError) in
            let limit = try walk.int()
            guard limit >= 0 else { throw DialectError(.unexpected, "must not be negative") }
            return limit
        }
    }

    /// The end user's opaque name: the newer member before the older.
    mutating func endUser() throws(DialectError) -> EscapedText? {
        let user = try escapedIfAny("user")
        return try escapedIfAny("safety_identifier") ?? user
    }
}

extension RequestWalk {
    /// Stop strings, each once; empty ones stop nothing.
    mutating func stops() throws(DialectError) -> [String] {
        var stops: [String] = []
        try array { (walk, _) throws(DialectError) in
            let stop = try walk.string()
            guard stops.count < RequestLimits.stops else {
                throw DialectError(.unexpected, "more than \(RequestLimits.stops) stop strings")
            }
            if !stop.isEmpty, !stops.contains(stop) { stops.append(stop) }
        }
        return stops
    }

    /// A string, which is one text, or a list of parts. Some clients write a text without the part around it.
    mutating func parts(
        _ part: (inout RequestWalk) throws(DialectError) -> [Part]
    ) throws(DialectError) -> [Part] {
        if try kind() == .string {
            let text = try escaped()
            return text.isEmpty ? [] : [Part(.text(text))]
        }
        var parts: [Part] = []
        try array { (walk, _) throws(DialectError) in
            parts += try walk.kind() == .string ? [Part(.text(walk.escaped()))] : part(&walk)
        }
        return parts
    }

    /// A list of tools, no two of one name.
    ///
    /// - Parameter nameAt: where a tool's name stands in it.
    mutating func tools(
        nameAt: String, _ read: (inout RequestWalk) throws(DialectError) -> Tool
    ) throws(DialectError) -> ToolTable {
        var tools: [Tool] = []
        var names: Set<String> = []
        try array { (walk, index) throws(DialectError) in
            guard index < RequestLimits.tools else {
                throw DialectError(.unexpected, "more than \(RequestLimits.tools) tools")
            }
            let tool = try read(&walk)
            guard !tool.name.isEmpty else { throw DialectError(.unexpected, at: nameAt, "a name is required") }
            guard names.insert(tool.name).inserted || tool.isServer else {
                throw DialectError(.unexpected, at: nameAt, "another tool has this name")
            }
            tools.append(tool)
        }
        return ToolTable(tools)
    }

    private enum AudioField: String, RequestField { case data, format }

    /// OpenAI's `input_audio`.
    mutating func audio() throws(DialectError) -> Audio {
        var audio = Audio(format: "", base64: EscapedText())
        try object(AudioField.self) { (walk, field) throws(DialectError) in
            switch field {
            case .data: audio.base64 = try walk.escaped()
            case .format: audio.format = try walk.stringIfAny() ?? ""
            }
        }
        return audio
    }
}

extension MediaSource {
    /// - Parameter name: where it stands, for the error.
    init(dataURL text: EscapedText, at name: String = "") throws(DialectError) {
        guard let data = DataURL(text) else {
            throw DialectError(.unexpected, at: name, "not a data URL with base64 content")
        }
        self = .base64(mediaType: data.mediaType, EscapedText(data.payload))
    }

    /// A data URL's content, or an address.
    init(address: EscapedText, at name: String = "") throws(DialectError) {
        self = try address.hasScheme("data:") ? MediaSource(dataURL: address, at: name) : .url(address)
    }
}

extension ToolChoice {
    /// OpenAI's words; nil for others.
    init?(word: String) {
        switch word {
        case "none": self = .never
        case "auto": self = .auto
        case "required", "any": self = .required
        default: return nil
        }
    }
}

extension Settings {
    mutating func take(effort word: String) {
        if word == "none" {
            thinking = .off
        } else if let known = Effort(rawValue: word) {
            effort = known
        } else {
            hasUnknownEffort = true
        }
    }

    /// The model has to make a call.
    var demandsCall: Bool {
        switch toolChoice {
        case .required, .tool: true
        case .auto, .never, nil: false
        }
    }
}

extension OutputFormat {
    /// What OpenAI's `type` says; nil for plain text.
    ///
    /// - Parameter member: where the schema stands, for the error.
    static func of(
        _ type: String?, _ schema: JSONSchemaFormat?, in member: String
    ) throws(DialectError) -> OutputFormat? {
        switch type {
        case "json_object": return .jsonObject
        case "json_schema":
            guard let schema else { throw DialectError(.unexpected, at: member, "a JSON Schema is required") }
            return .jsonSchema(schema)
        case nil, "text": return nil
        case let type?: throw DialectError(.unexpected, at: "type", "\"\(type.prefix(64))\" is not supported")
        }
    }
}
