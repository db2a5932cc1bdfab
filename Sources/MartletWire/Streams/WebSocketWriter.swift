package import NIOCore

/// What a server sends over a WebSocket.
package enum WebSocketFrame {
    package enum Kind: UInt8, Sendable {
        case text = 1
        case close = 8
        case ping = 9
        case pong = 10
    }
}

extension ByteBuffer {
    /// Writes one whole frame. A server's are not masked.
    /// - Parameter pieces: its payload; of a control frame at most 125 bytes.
    package mutating func writeWebSocketFrame(_ kind: WebSocketFrame.Kind, _ pieces: [ByteBuffer] = []) {
        let count = pieces.reduce(0) { $0 + $1.readableBytes }
        reserveCapacity(minimumWritableBytes: count + 10)
        writeInteger(0x80 | kind.rawValue)
        switch count {
        case 0..<126: writeInteger(UInt8(count))
        case 126..<(1 << 16):
            writeInteger(UInt8(126))
            writeInteger(UInt16(count))
        default:
            writeInteger(UInt8(127))
            writeInteger(UInt64(count))
        }
        for piece in pieces { writeImmutableBuffer(piece) }
    }

    /// Writes a close frame. A reason is cut to what has room.
    package mutating func writeWebSocketClose(_ code: UInt16?, reason: String = "") {
        guard let code else { return writeWebSocketFrame(.close) }
        var payload = ByteBuffer()
        payload.writeInteger(code)
        var kept = reason[...]
        while kept.utf8.count > 123 { kept = kept.dropLast() }
        payload.writeSubstring(kept)
        writeWebSocketFrame(.close, [payload])
    }
}
