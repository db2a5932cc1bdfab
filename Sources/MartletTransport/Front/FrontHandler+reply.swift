import MartletDialects
import MartletGateway
import NIOCore

extension FrontHandler {
    /// Room before the bytes of a chunk, for its size.
    static let chunkRoom = 18

    /// A head with the status line and what every reply carries.
    func head(status: Int) -> ReplyHead {
        var head = ReplyHead(status: status, into: ByteBufferAllocator().buffer(capacity: 512))
        head.add(line: loopContext.currentDateLine())
        if !keepsAlive { head.add(fixed: "connection: close\r\n") }
        if let corsOrigin {
            head.add("access-control-allow-origin", corsOrigin)
            // All of them: requests with cookies, for which the star is a mere name, are never granted.
            head.add(fixed: "access-control-expose-headers: *\r\nvary: origin\r\n")
        }
        return head
    }

    // MARK: Streams

    func beginStream(_ head: ReplyHead) {
        var head = head
        if usesChunks {
            head.add(fixed: "transfer-encoding: chunked\r\n")
        } else if keepsAlive {
            // An older client knows no chunks: the end of the connection is the end of the stream.
            keepsAlive = false
            head.add(fixed: "connection: close\r\n")
        }
        isStreaming = true
        write(head.end())
    }

    /// Sends what has been written since the last time as one chunk, and the last one after it.
    func send(chunk out: inout ByteBuffer, last: Bool) {
        guard let context, isStreaming else { return }
        if out.readableBytes > 0 {
            if usesChunks { frame(&out, last: last) }
            context.write(wrapOutboundOut(out), promise: nil)
        } else if last, usesChunks {
            context.write(wrapOutboundOut(ByteBuffer(staticString: "0\r\n\r\n")), promise: nil)
        }
        context.flush()
        FrontHandler.prepare(&out)
        if last {
            isStreaming = false
            hasReplied = true
        }
    }

    /// Empties the buffer and leaves room for the next chunk's size.
    static func prepare(_ out: inout ByteBuffer) {
        if out.readerIndex == chunkRoom, out.readableBytes == 0 { return }
        out.clear(minimumCapacity: 512)
        out.moveWriterIndex(to: chunkRoom)
        out.moveReaderIndex(to: chunkRoom)
    }

    private func frame(_ out: inout ByteBuffer, last: Bool) {
        var size = out.readableBytes
        var at = out.readerIndex
        guard at >= FrontHandler.chunkRoom else {
            // Nothing was reserved: the size goes in front in a write of its own.
            context?.write(
                wrapOutboundOut(ByteBuffer(string: String(size, radix: 16) + "\r\n")), promise: nil)
            out.writeStaticString(last ? "\r\n0\r\n\r\n" : "\r\n")
            return
        }
        at -= 2
        out.setInteger(UInt16(0x0D0A), at: at)
        repeat {
            at -= 1
            let digit = UInt8(truncatingIfNeeded: size & 15)
            out.setInteger(digit < 10 ? 0x30 + digit : 0x57 + digit, at: at)
            size >>= 4
        } while size > 0
        out.moveReaderIndex(to: at)
        out.writeStaticString(last ? "\r\n0\r\n\r\n" : "\r\n")
    }

    // MARK: Whole replies

    /// A head and a body in pieces.
    func send(_ head: ReplyHead, body: [ByteBuffer]) {
        guard let context else { return }
        var head = head
        if keepsAlive, !usesChunks { head.add(fixed: "connection: keep-alive\r\n") }
        head.add("content-length", String(body.reduce(0) { $0 + $1.readableBytes }))
        var bytes = head.end()
        if !isHead {
            if body.count == 1, body[0].readableBytes <= 16 << 10 {
                bytes.writeImmutableBuffer(body[0])
                context.write(wrapOutboundOut(bytes), promise: nil)
            } else {
                context.write(wrapOutboundOut(bytes), promise: nil)
                for piece in body { context.write(wrapOutboundOut(piece), promise: nil) }
            }
        } else {
            context.write(wrapOutboundOut(bytes), promise: nil)
        }
        context.flush()
        hasReplied = true
    }

    func send(whole reply: ControlReply, dialect: DialectID, requestID: String) {
        var head = head(status: reply.status)
        head.add("content-type", reply.contentType)
        head.add("x-request-id", requestID)
        if dialect == .anthropic { head.add("request-id", requestID) }
        head.add(fixed: "x-content-type-options: nosniff\r\n")
        for line in reply.headers { head.add(line: line + "\r\n") }
        send(head, body: [reply.body])
    }

    /// An error as a status and a body in the client's dialect.
    /// - Parameter upstream: the head of the upstream's own refusal, whose rate limits travel along.
    func send(
        _ error: GatewayError, dialect: DialectID, requestID: String, allow: [String] = [],
        upstream: UpstreamHead? = nil
    ) {
        var head = head(status: ErrorTable.status(error, for: dialect))
        head.add(fixed: "content-type: application/json\r\n")
        head.add("x-request-id", requestID)
        if dialect == .anthropic { head.add("request-id", requestID) }
        if let upstream { head.add(upstream, exact: false, contentType: false) }
        if let seconds = error.retryAfterSeconds, upstream?.retryAfter == nil {
            head.add("retry-after", String(seconds))
        }
        if error.status == 426 { head.add(fixed: "upgrade: websocket\r\nsec-websocket-version: 13\r\n") }
        if !allow.isEmpty { head.add("allow", allow.joined(separator: ", ")) }
        // A token that is missing is told alike in all of LM Studio's APIs.
        let isBare = isLegacy && error.code != .unauthorized
        send(
            head,
            body: [
                isBare
                    ? ErrorTable.bareBody(error) : ErrorTable.body(error, for: dialect, requestID: requestID)
            ])
    }

    func write(_ bytes: ByteBuffer) {
        context?.write(wrapOutboundOut(bytes), promise: nil)
    }
}
