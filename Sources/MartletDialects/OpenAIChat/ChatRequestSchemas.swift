package import MartletWire
package import NIOCore

/// The JSON Schemas of a Chat request that is relayed: nothing else of it is read.
extension ChatRequest {
    /// What says "a JSON object" to an upstream that knows schemas only (specs 2.9.10); nil: that is not asked for.
    package static func objectFormat(_ document: JSONDocument) throws(JSONError) -> ByteBuffer? {
        guard let member = try document.member("response_format"), member.kind == .object,
            try JSON(parsing: document.slice(member.value))["type"] == "json_object"
        else { return nil }
        return ByteBuffer(
            string: #"{"type":"json_schema","json_schema":{"name":"output","schema":{"type":"object"},"strict":false}}"#
        )
    }

    /// Its `tools` and `response_format` with simpler schemas, each where it is there and can be read.
    package static func refitted(
        _ document: JSONDocument, _ rung: SchemaRung, _ own: SchemaProfile
    ) throws(JSONError) -> [(name: String, value: ByteBuffer)] {
        let profile = rung.profile(own)
        var changed: [(name: String, value: ByteBuffer)] = []
        if let member = try document.member("tools"),
            case .array(var tools) = try JSON(parsing: document.slice(member.value))
        {
            for place in tools.indices {
                guard var function = tools[place]["function"], function.object != nil else { continue }
                let isBare = profile == .bare || rung.bareTool.map { function["name"] == .string($0) } ?? false
                if let schema = function["parameters"] {
                    function["parameters"] =
                        isBare ? ["type": "object"] : SchemaFit.rewritten(schema, profile, isTool: true)
                }
                if isBare || profile == .minimal { function["strict"] = nil }
                tools[place]["function"] = function
            }
            changed.append(("tools", JSON.array(tools).buffer))
        }
        if profile != .bare, let member = try document.member("response_format"),
            var format = Optional(try JSON(parsing: document.slice(member.value))),
            let schema = format["json_schema"]?["schema"]
        {
            format["json_schema"]?["schema"] = SchemaFit.rewritten(schema, profile, isTool: false)
            if profile == .minimal { format["json_schema"]?["strict"] = nil }
            changed.append(("response_format", format.buffer))
        }
        return changed
    }
}
