package import MartletDialects
package import MartletGateway
package import MartletLedger
import MartletWire
package import NIOCore
import Synchronization

/// A response that is made in the background: what it was asked, and what has come of it so far.
package final class BackgroundJob: BackgroundReply, EventSource {
    private struct State {
        var events: [ByteBuffer] = []
        var bytes = 0
        var cutter = ResponsesEventCutter()
        /// The Response, once it will not change.
        var ending: ByteBuffer?
        /// The ending counts once it is in the database.
        var isBeingStored = false
        /// The events end with a last one of our own, in place of those that there was no room for.
        var isCutShort = false
        /// No event will follow.
        var isEnded = false
        var stop: (@Sendable () -> Void)?
        var isStopped = false
        var isStored = false
        var readers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextReader: UInt64 = 0
    }

    package let owner: KeyTable.Digest
    let previous: String?
    /// As it was queued, with its input.
    let queued: StoredResponse
    private let state = Mutex(State())
    private let onEnd: @Sendable (BackgroundJob) -> Void

    /// - Parameter onEnd: called once, on the loop that makes it.
    package init(
        _ queued: StoredResponse, of owner: KeyTable.Digest, previous: String?,
        onEnd: @escaping @Sendable (BackgroundJob) -> Void
    ) {
        self.queued = queued
        self.owner = owner
        self.previous = previous
        self.onEnd = onEnd
    }

    var id: String { queued.id }

    package var isEnded: Bool { state.withLock { $0.isEnded } }

    /// The Response as it is now.
    package var object: ByteBuffer {
        let queued = ByteBuffer(bytes: queued.object)
        return state.withLock { state in
            if let ending = state.ending, !state.isBeingStored { return ending }
            return state.events.isEmpty ? queued : ResponsesDraft.begun(queued)
        }
    }

    /// The Response, if it will not change; of a failure that could not be stored it is in the last event only.
    var ending: ByteBuffer? {
        state.withLock { state in
            if state.ending == nil, state.isEnded {
                state.ending = state.events.last.flatMap(ResponsesDraft.ending)
            }
            return state.ending
        }
    }

    /// All events there are, one behind the other; nil when they do not tell the whole response.
    package var events: [UInt8]? {
        state.withLock { state in
            if state.isCutShort { return nil }
            var all: [UInt8] = []
            all.reserveCapacity(state.bytes)
            for event in state.events { all.append(contentsOf: event.readableBytesView) }
            return all
        }
    }

    /// Its ending is in the database.
    var isStored: Bool { state.withLock { $0.isStored } }

    /// The response with its ending, as it is stored.
    func finished(_ object: ByteBuffer) -> StoredResponse {
        var response = queued
        if let json = try? JSON(parsing: object) { response.end(in: object, json) }
        return response
    }

    /// Takes the Response its exchange ended in. False when it has been ended before.
    package func settle(_ object: ByteBuffer) -> Bool {
        state.withLock { state in
            guard state.ending == nil else { return false }
            state.ending = object
            state.isBeingStored = true
            return true
        }
    }

    /// - Parameter isStored: else the ending is taken back, for what follows it says that it could not be kept.
    package func settled(isStored: Bool) {
        state.withLock { state in
            state.isStored = isStored
            state.isBeingStored = false
            if !isStored { state.ending = nil }
        }
    }

    /// Ends it. False when it has ended by itself already.
    package func cancel() -> Bool {
        let stop = state.withLock { state -> (@Sendable () -> Void)?? in
            guard state.ending == nil, !state.isEnded else { return nil }
            say(ResponsesDraft.ended(ByteBuffer(bytes: queued.object), .cancelled), in: &state)
            state.isStopped = true
            return .some(state.stop)
        }
        guard let stop else { return false }
        stop?()
        wake(ended: true)
        return true
    }

    // MARK: Being made

    package func began(stop: @escaping @Sendable () -> Void) {
        let isStopped = state.withLock { state in
            state.stop = stop
            return state.isStopped
        }
        if isStopped { stop() }
    }

    package func append(_ piece: ByteBuffer) -> Bool {
        let fits = state.withLock { state in
            guard !state.isEnded, !state.isCutShort else { return true }
            if let events = state.cutter.take(piece) {
                state.bytes += events.reduce(0) { $0 + $1.readableBytes }
                if state.bytes <= Limits.backgroundEvents {
                    state.events += events
                    return true
                }
            }
            guard let ending = state.ending else { return false }
            // It is stored as it ended, and that is what its last event says.
            say(ending, in: &state)
            state.isCutShort = true
            return true
        }
        wake(ended: false)
        return fits
    }

    package func fail(_ error: GatewayError) {
        state.withLock { state in
            guard state.ending == nil else { return }
            say(ResponsesDraft.ended(ByteBuffer(bytes: queued.object), .failed, error), in: &state)
        }
    }

    package func end() {
        wake(ended: true)
        onEnd(self)
    }

    /// The last event, or all of them where there were none.
    private func say(_ object: ByteBuffer, in state: inout State) {
        state.ending = object
        if state.events.isEmpty {
            state.events = ResponsesDraft.events(object)
        } else {
            state.events.append(ResponsesDraft.lastEvent(object, number: state.events.count))
        }
    }

    // MARK: Being read

    package func events(from place: Int) async -> EventBatch {
        while !Task.isCancelled {
            if let batch = batch(from: place) { return batch }
            await change(at: place)
        }
        return EventBatch(bytes: ByteBuffer(), rest: nil)
    }

    private func batch(from place: Int) -> EventBatch? {
        state.withLock { state in
            var bytes = ByteBuffer()
            var next = place
            while next < state.events.count, bytes.readableBytes < Limits.followedBatch {
                bytes.writeImmutableBuffer(state.events[next])
                next += 1
            }
            guard state.isEnded, next >= state.events.count else {
                return bytes.readableBytes == 0
                    ? nil : EventBatch(bytes: bytes, rest: Following(source: self, place: next))
            }
            bytes.writeImmutableBuffer(ResponsesDraft.endMark)
            return EventBatch(bytes: bytes, rest: nil)
        }
    }

    /// Waits until there is something to read at a place, or the task is cancelled.
    private func change(at place: Int) async {
        let number = state.withLock { state in
            state.nextReader += 1
            return state.nextReader
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { reader in
                let isReady = state.withLock { state in
                    // Who cancels from here on finds the reader, for he waits for the lock.
                    if Task.isCancelled || state.isEnded || state.events.count > place { return true }
                    state.readers[number] = reader
                    return false
                }
                if isReady { reader.resume() }
            }
        } onCancel: {
            state.withLock { $0.readers.removeValue(forKey: number) }?.resume()
        }
    }

    private func wake(ended: Bool) {
        let readers = state.withLock { state in
            if ended { state.isEnded = true }
            defer { state.readers = [:] }
            return state.readers.values
        }
        for reader in readers { reader.resume() }
    }
}

extension StoredResponse {
    /// - Parameter json: the same.
    mutating func end(in object: ByteBuffer, _ json: JSON) {
        self.object = [UInt8](buffer: object)
        output = json["output"]?.array?.map { [UInt8](buffer: $0.buffer) } ?? []
    }
}
