package import NIOCore

extension JSON {
    /// Writes the value without white space, and with no escapes but those that must be.
    package func write(into out: inout ByteBuffer) {
        switch self {
        case .null: out.writeStaticString("null")
        case .bool(let flag): out.writeStaticString(flag ? "true" : "false")
        case .number(let number): out.writeString(number.literal)
        case .string(let text): out.writeJSONString(text)
        case .array(let elements):
            out.writeInteger(UInt8(ascii: "["))
            for (place, element) in elements.enumerated() {
                if place > 0 { out.writeInteger(UInt8(ascii: ",")) }
                element.write(into: &out)
            }
            out.writeInteger(UInt8(ascii: "]"))
        case .object(let members):
            out.writeInteger(UInt8(ascii: "{"))
            for (place, member) in members.enumerated() {
                if place > 0 { out.writeInteger(UInt8(ascii: ",")) }
                out.writeJSONString(member.key)
                out.writeInteger(UInt8(ascii: ":"))
                member.value.write(into: &out)
            }
            out.writeInteger(UInt8(ascii: "}"))
        }
    }

    /// The value as JSON text.
    package var text: String { String(buffer: buffer) }

    /// The value as JSON text, in a buffer of its own.
    package var buffer: ByteBuffer {
        var out = ByteBuffer()
        write(into: &out)
        return out
    }
}

extension ByteBuffer {
    package mutating func writeJSON(_ value: JSON) { value.write(into: &self) }
}
