import Crypto
import MartletWire

/// What a tool says of itself, as 64 hexadecimal digits: SHA-256 of its JSON with the members of all objects in order.
package enum ToolDigest {
    package static func of(_ tool: MCPTool) -> String {
        let digits = Array("0123456789abcdef")
        var text = ""
        for byte in SHA256.hash(data: Array(canonical(tool.json).text.utf8)) {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return text
    }

    /// The same value with the members of each object by their names' bytes. Numbers keep their spelling.
    static func canonical(_ json: JSON) -> JSON {
        switch json {
        case .array(let elements): return .array(elements.map(canonical))
        case .object(let members):
            let sorted = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            return .object(JSONObject(sorted.map { ($0.key, canonical($0.value)) }))
        default: return json
        }
    }
}
