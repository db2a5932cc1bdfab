package import MartletEngine
package import MartletGateway
package import MartletWire
import NIOCore
import Synchronization

/// A load that is told as it goes on. It is stopped when nobody reads it any more.
package final class LoadStream: EventSource {
    private let feed = LoadFeed()
    private let task: Task<Void, Never>

    /// - Parameter load: tells the feed everything, and returns when that is done.
    package init(_ load: @escaping @Sendable (LoadFeed) async -> Void) {
        let feed = self.feed
        task = Task {
            await load(feed)
            feed.end()
        }
    }

    deinit { task.cancel() }

    package func events(from place: Int) async -> EventBatch {
        let (bytes, isOver) = await feed.next()
        if Task.isCancelled { task.cancel() }
        return EventBatch(bytes: bytes, rest: isOver ? nil : Following(source: self, place: place + 1))
    }
}

/// Events of one load on their way to its one reader.
package final class LoadFeed: Sendable {
    private struct State {
        var bytes = ByteBuffer()
        var hasBegun = false
        var isOver = false
        var reader: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// What is told of a load while it goes on (docs/LMSTUDIO.md, its own API).
    package func tell(_ progress: LoadProgress) {
        guard progress.phase != .queued else {
            return say("model_load.queued", ["model": .string(progress.name), "message": .string(progress.sentence)])
        }
        let isFirst = state.withLock { state in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
        if isFirst { say("model_load.start", ["model_instance_id": .string(progress.name)]) }
        guard let fraction = progress.fraction else { return }
        say(
            "model_load.progress",
            ["model_instance_id": .string(progress.name), "progress": .double(Self.shown(fraction))])
    }

    /// To the thousandth.
    static func shown(_ fraction: Double) -> Double { (fraction * 1000).rounded() / 1000 }

    package func say(_ event: String, _ payload: JSON) {
        var payload = payload
        payload["type"] = .string(event)
        var bytes = ByteBuffer(string: "event: \(event)\ndata: ")
        payload.write(into: &bytes)
        bytes.writeString("\n\n")
        change { $0.bytes.writeBuffer(&bytes) }
    }

    func end() { change { $0.isOver = true } }

    /// Everything since the last time; waits until there is something, or the end, or the task is cancelled.
    func next() async -> (bytes: ByteBuffer, isOver: Bool) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    guard state.bytes.readableBytes == 0, !state.isOver, !Task.isCancelled else { return true }
                    state.reader = continuation
                    return false
                }
                if isThere { continuation.resume() }
            }
        } onCancel: {
            change { _ in }
        }
        return state.withLock { state in
            defer { state.bytes.clear() }
            return (state.bytes, state.isOver)
        }
    }

    private func change(_ change: (inout State) -> Void) {
        let reader = state.withLock { state in
            change(&state)
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }
}
