package import MartletDialects
package import NIOCore

/// What a request over a WebSocket has beyond one over HTTP.
package struct SocketTurn: Sendable {
    /// False: no reply is wanted, only something to continue from.
    package let generates: Bool
    /// The conversation of the response it continues, if the connection still holds it.
    package let remembered: [ByteBuffer]?

    package init(generates: Bool = true, remembered: [ByteBuffer]? = nil) {
        self.generates = generates
        self.remembered = remembered
    }
}

/// A message of a WebSocket that is not answered with a reply.
package struct SocketRefusal: Error, Sendable, Hashable {
    package let error: GatewayError
    /// The lane it was meant for, where it names one.
    package let stream: String?
}

/// The requests of one WebSocket, and what they can continue from. It holds no socket and no clock.
///
/// One request is answered at a time, in the order they came, of whichever lane they are; each lane's latest reply that
/// is stored nowhere is held, so that the next can continue from it (specs 1.4.6).
package struct SocketSession: Sendable {
    private struct Held {
        var lane: String?
        var response: RememberedResponse
    }

    /// Bytes of a message, and so of all that wait together.
    private let maxBody: Int
    private var waiting: [ResponsesCreate] = []
    private var waitingBytes = 0
    private var lanes: Set<String> = []
    /// The oldest first.
    private var held: [Held] = []
    /// The request that is being answered.
    package private(set) var current: ResponsesCreate?

    package init(maxBody: Int) { self.maxBody = maxBody }

    package var isIdle: Bool { current == nil && waiting.isEmpty }

    /// Takes a message, to be answered when its turn has come.
    /// - Throws: what is wrong with it; `tooManyStreams`, `queueFull`.
    package mutating func take(_ message: ByteBuffer) throws(SocketRefusal) {
        let create: ResponsesCreate
        do throws(GatewayError) {
            create = try ResponsesCreate(message)
        } catch {
            throw SocketRefusal(error: error, stream: nil)
        }
        do throws(GatewayError) {
            try queue(create)
        } catch {
            throw SocketRefusal(error: error, stream: create.stream)
        }
    }

    private mutating func queue(_ create: ResponsesCreate) throws(GatewayError) {
        if let lane = create.stream, !lanes.contains(lane) {
            guard lanes.count < Limits.socketLanes else {
                throw GatewayError(
                    code: .tooManyStreams,
                    message:
                        "this WebSocket has \(Limits.socketLanes) stream_ids, and there may be no more; use one of "
                        + "them, or another WebSocket",
                    param: "stream_id")
            }
            lanes.insert(lane)
        }
        let bytes = waitingBytes + create.body.readableBytes
        guard waiting.isEmpty || waiting.count < Limits.socketWaiting && bytes <= maxBody else {
            throw GatewayError(
                code: .queueFull,
                message:
                    "\(waiting.count) requests of this WebSocket wait for their turn, and there may be no more; wait "
                    + "for one to be answered",
                retryAfter: .seconds(1))
        }
        waiting.append(create)
        waitingBytes = bytes
    }

    /// The next request, if it is its turn.
    package mutating func begin() -> SocketTurn? {
        guard current == nil, !waiting.isEmpty else { return nil }
        let create = waiting.removeFirst()
        waitingBytes -= create.body.readableBytes
        current = create
        let known = create.previousID.flatMap { id in held.last { $0.response.id == id } }
        return SocketTurn(generates: create.generates, remembered: known?.response.items)
    }

    /// The request has been answered.
    /// - Parameter response: what can be continued from here on; nil: nothing, because it failed, or is stored.
    package mutating func end(_ outcome: ExchangeRecord.Outcome, remembering response: RememberedResponse?) {
        guard let create = current else { return }
        current = nil
        switch outcome {
        case .complete:
            held.removeAll { $0.lane == create.stream }
            guard let response else { return }
            held.append(Held(lane: create.stream, response: response))
            var bytes = held.reduce(0) { $0 + $1.response.bytes }
            while bytes > Limits.socketMemory, !held.isEmpty { bytes -= held.removeFirst().response.bytes }
        case .failed, .clientGone:
            // A lane that only branched off leaves the other's reply where it is.
            held.removeAll { $0.lane == create.stream && $0.response.id == create.previousID }
        }
    }
}
