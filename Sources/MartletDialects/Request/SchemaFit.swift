import MartletWire
import NIOCore

/// Makes JSON Schemas fit for what compiles them.
enum SchemaFit {
    /// The schema of a tool's arguments.
    static func parameters(_ schema: ByteBuffer?, _ profile: SchemaProfile) -> ByteBuffer {
        schema ?? ByteBuffer(string: #"{"type":"object","properties":{}}"#)
    }

    static func output(_ schema: ByteBuffer, _ profile: SchemaProfile) -> ByteBuffer { schema }
}
