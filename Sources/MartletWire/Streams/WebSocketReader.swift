package import NIOCore

/// Reads what a client sends over a WebSocket (https://www.rfc-editor.org/rfc/rfc6455): masked frames, of
/// which one or several are a message.
///
/// However the bytes are cut into reads, the messages are the same. Payloads are unmasked as they come, so
/// that no more is held than the message so far. After `take`, call `next` until it gives nil. After a
/// violation there is nothing more.
package struct WebSocketReader: Sendable {
    package enum Message: Sendable, Hashable {
        /// Checked to be UTF-8.
        case text(ByteBuffer)
        case ping(ByteBuffer)
        case pong
        /// Nil: the client says no code.
        case close(UInt16?)
    }

    private struct Frame {
        var opcode: UInt8
        var isLast: Bool
        var mask: UInt32
        var length: Int
        var done = 0

        var isControl: Bool { opcode & 8 != 0 }
    }

    private let limit: Int
    private var unread = ByteBuffer()
    /// Its payload is being read.
    private var frame: Frame?
    /// The message that has begun, without the masks.
    private var text: ByteBuffer?
    private var control = ByteBuffer()
    private var fragments = 0
    private var isOver = false

    /// - Parameter limit: bytes of one message.
    package init(limit: Int) { self.limit = limit }

    /// Whether a message or a frame has begun and not ended.
    package var isInMessage: Bool { text != nil || frame != nil || unread.readableBytes > 0 }

    package mutating func take(_ read: ByteBuffer) {
        if isOver { return }
        if unread.readableBytes == 0 { unread = read } else { unread.writeImmutableBuffer(read) }
    }

    /// The next message; nil until more has been taken.
    package mutating func next() throws(WebSocketViolation) -> Message? {
        if isOver { return nil }
        do throws(WebSocketViolation) {
            while true {
                if frame == nil {
                    guard let begun = try head() else { return nil }
                    try check(begun)
                    frame = begun
                }
                guard let ended = payload() else { return nil }
                if let message = try message(of: ended) { return message }
            }
        } catch {
            isOver = true
            (unread, control, text, frame) = (ByteBuffer(), ByteBuffer(), nil, nil)
            throw error
        }
    }

    // MARK: Heads

    private mutating func head() throws(WebSocketViolation) -> Frame? {
        let at = unread.readerIndex
        guard let first = unread.getInteger(at: at, as: UInt8.self),
            let second = unread.getInteger(at: at + 1, as: UInt8.self)
        else { return nil }
        if first & 0x70 != 0 { throw .broken("a frame has reserved bits set, and no extension was agreed on") }
        if second & 0x80 == 0 { throw .broken("a client's frames have to be masked") }
        var length = Int(second & 0x7F)
        var size = 2
        if length == 126 {
            guard let long = unread.getInteger(at: at + 2, as: UInt16.self) else { return nil }
            if long < 126 { throw .broken("a frame's length is not in its shortest form") }
            length = Int(long)
            size += 2
        } else if length == 127 {
            guard let long = unread.getInteger(at: at + 2, as: UInt64.self) else { return nil }
            if long < 1 << 16 { throw .broken("a frame's length is not in its shortest form") }
            guard let exact = Int(exactly: long) else { throw .broken("a frame's length is none") }
            length = exact
            size += 8
        }
        guard let mask = unread.getInteger(at: at + size, as: UInt32.self) else { return nil }
        unread.moveReaderIndex(forwardBy: size + 4)
        return Frame(opcode: first & 0x0F, isLast: first & 0x80 != 0, mask: mask, length: length)
    }

    private mutating func check(_ frame: Frame) throws(WebSocketViolation) {
        switch frame.opcode {
        case 0: if text == nil { throw .broken("a frame goes on with a message that has not begun") }
        case 1: if text != nil { throw .broken("a message begins inside another") }
        case 2:
            throw WebSocketViolation(.unsupported, "messages are JSON in text frames, not in binary ones")
        case 8, 9, 10:
            guard frame.isLast, frame.length <= 125 else {
                throw .broken("a control frame is in fragments, or longer than 125 bytes")
            }
            return control.clear()
        default: throw .broken("a frame has the unknown opcode \(frame.opcode)")
        }
        guard frame.length <= limit - (text?.readableBytes ?? 0) else {
            throw WebSocketViolation(.tooBig, "a message may have \(limit) bytes")
        }
        if text == nil {
            text = ByteBuffer()
            fragments = 0
        }
        fragments += 1
        if fragments > WireLimits.webSocketFragments {
            throw WebSocketViolation(.tooBig, "a message may have \(WireLimits.webSocketFragments) fragments")
        }
    }

    // MARK: Payloads

    /// Takes what is there of the payload; the frame, once it is all there.
    private mutating func payload() -> Frame? {
        guard var frame else { return nil }
        let count = min(frame.length - frame.done, unread.readableBytes)
        if count > 0, let masked = unread.readSlice(length: count) {
            if frame.isControl {
                control.write(masked, unmaskedBy: frame.mask, from: frame.done)
            } else {
                text?.write(masked, unmaskedBy: frame.mask, from: frame.done)
            }
            frame.done += count
        }
        let hasEnded = frame.done == frame.length
        self.frame = hasEnded ? nil : frame
        return hasEnded ? frame : nil
    }

    private mutating func message(of frame: Frame) throws(WebSocketViolation) -> Message? {
        switch frame.opcode {
        case 8: return .close(try closeCode())
        case 9: return .ping(control)
        case 10: return .pong
        default:
            guard frame.isLast, let whole = text else { return nil }
            text = nil
            guard whole.isUTF8 else { throw WebSocketViolation(.notUTF8, "a message is not UTF-8") }
            return .text(whole)
        }
    }

    private func closeCode() throws(WebSocketViolation) -> UInt16? {
        if control.readableBytes == 0 { return nil }
        guard let code = control.getInteger(at: control.readerIndex, as: UInt16.self) else {
            throw .broken("the code of a close frame has two bytes")
        }
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: break
        default: throw .broken("\(code) is no code of a close frame")
        }
        guard control.part(2..<control.readableBytes).isUTF8 else {
            throw WebSocketViolation(.notUTF8, "the reason of a close frame is not UTF-8")
        }
        return code
    }
}

/// Why a WebSocket is closed, with the code its close frame has (RFC 6455, 7.4.1).
package struct WebSocketViolation: Error, Sendable, Hashable {
    package enum Code: UInt16, Sendable {
        case normal = 1000
        case goingAway = 1001
        case broken = 1002
        case unsupported = 1003
        case notUTF8 = 1007
        case refused = 1008
        case tooBig = 1009
    }

    package var code: Code
    package var reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    fileprivate static func broken(_ reason: String) -> WebSocketViolation { WebSocketViolation(.broken, reason) }
}

extension ByteBuffer {
    fileprivate var isUTF8: Bool { String(validating: readableBytesView, as: UTF8.self) != nil }

    /// - Parameter place: of the first byte in its frame's payload.
    fileprivate mutating func write(_ masked: ByteBuffer, unmaskedBy mask: UInt32, from place: Int) {
        let shift = UInt32(place & 3) * 8
        let turned = shift == 0 ? mask : mask << shift | mask >> (32 - shift)
        let word = (UInt64(turned) << 32 | UInt64(turned)).bigEndian
        masked.withUnsafeReadableBytes { source in
            _ = writeWithUnsafeMutableBytes(minimumWritableBytes: source.count) { target in
                var at = 0
                while at + 8 <= source.count {
                    let value = source.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ word
                    target.storeBytes(of: value, toByteOffset: at, as: UInt64.self)
                    at += 8
                }
                while at < source.count {
                    target[at] = source[at] ^ UInt8(truncatingIfNeeded: turned >> (24 - UInt32(at & 3) * 8))
                    at += 1
                }
                return source.count
            }
        }
    }
}
