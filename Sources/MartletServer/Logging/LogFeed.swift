package import Logging
import MartletDialects
package import MartletEngine
package import MartletGateway
import MartletWire
import NIOCore
import Synchronization

/// The last lines of a log, for whoever reads along. Never a prompt, a reply or a secret, for none of them is ever logged.
///
/// It costs nothing while nobody reads: lines are made and kept only for readers.
package final class LogFeed: Sendable {
    package enum Source: String, Sendable, CaseIterable {
        /// What stands on stderr, and a line for each exchange.
        case server
        /// What engines say.
        case runtime
    }

    /// Lines that wait for a slow reader; older ones are missed.
    static let most = 1000
    /// Bytes of a line.
    static let lineLength = 8 << 10

    private struct State {
        var lines: [ByteBuffer] = []
        /// The number of the first of them.
        var first = 0
        /// Replies that read along.
        var readers = 0
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var nextWaiting: UInt64 = 0
        var isEnded = false

        var next: Int { first + lines.count }
    }

    fileprivate let source: Source
    private let state = Mutex(State())
    /// Milliseconds since 1970.
    private let now: @Sendable () -> Int

    package init(
        _ source: Source = .server, now: @escaping @Sendable () -> Int = { MachineName.millisecondsSince1970 }
    ) {
        self.source = source
        self.now = now
    }

    /// Whether somebody reads along.
    package var isRead: Bool { state.withLock { $0.readers > 0 } }

    /// - Parameter line: without a line's end; is made only when somebody reads.
    package func append(_ level: Logger.Level, _ line: () -> String) {
        guard isRead else { return }
        append(Self.event(level, line(), at: now()))
    }

    /// - Parameter line: is made only when somebody reads; nil: it is not shown.
    package func append(_ line: () -> EngineLine?) {
        guard isRead, let line = line() else { return }
        append(Self.event(line, at: now()))
    }

    private func append(_ event: ByteBuffer) {
        let waiting = state.withLock { state in
            state.lines.append(event)
            if state.lines.count > Self.most {
                let surplus = state.lines.count - Self.most
                state.lines.removeFirst(surplus)
                state.first += surplus
            }
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for reader in waiting { reader.resume() }
    }

    /// No line will follow.
    package func end() {
        let waiting = state.withLock { state in
            state.isEnded = true
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for reader in waiting { reader.resume() }
    }

    // MARK: Being read

    /// A reply of all lines from now on.
    package var reply: ControlReply {
        var reply = ControlReply(status: 200, body: ByteBuffer())
        reply.following = Following(source: Reader(self), place: 0)
        return reply
    }

    /// Waits until there is a line from `place` on, or none will come. Ends early when the task is cancelled.
    /// - Returns: where it goes on; nil when that was all.
    fileprivate func lines(from place: Int) async -> (bytes: ByteBuffer, next: Int?) {
        while !Task.isCancelled {
            if let lines = written(from: place) { return lines }
            await change(at: place)
        }
        return (ByteBuffer(), nil)
    }

    private func written(from place: Int) -> (bytes: ByteBuffer, next: Int?)? {
        state.withLock { state in
            var bytes = ByteBuffer()
            if place < state.first {
                bytes = missed(state.first - place)
            }
            var next = max(place, state.first)
            while next < state.next, bytes.readableBytes < Limits.followedBatch {
                bytes.writeImmutableBuffer(state.lines[next - state.first])
                next += 1
            }
            if state.isEnded, next == state.next { return (bytes, nil) }
            return bytes.readableBytes == 0 ? nil : (bytes, next)
        }
    }

    /// Waits until there is a line at a place, or the task is cancelled.
    private func change(at place: Int) async {
        let number = state.withLock { state in
            state.nextWaiting += 1
            return state.nextWaiting
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { reader in
                let isReady = state.withLock { state in
                    // Who cancels from here on finds the reader, for he waits for the lock.
                    if Task.isCancelled || state.isEnded || state.next > place { return true }
                    state.waiting[number] = reader
                    return false
                }
                if isReady { reader.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
        }
    }

    fileprivate func open() -> Int {
        state.withLock { state in
            state.readers += 1
            return state.next
        }
    }

    fileprivate func close() {
        state.withLock { state in
            state.readers -= 1
            guard state.readers == 0 else { return }
            state.first = state.next
            state.lines = []
        }
    }

    private func missed(_ count: Int) -> ByteBuffer {
        let line = "\(count) lines were missed"
        return switch source {
        case .server: Self.event(.warning, line, at: now())
        case .runtime:
            Self.bytes(["type": "runtime.log", "timestamp": .int(now()), "level": "warn", "message": .string(line)])
        }
    }

    private static func event(_ level: Logger.Level, _ line: String, at time: Int) -> ByteBuffer {
        bytes([
            "type": "server.log", "timestamp": .int(time), "level": .string(shown(level)),
            "content": .string(cut(line)),
        ])
    }

    private static func event(_ line: EngineLine, at time: Int) -> ByteBuffer {
        let name = JSON.string(ModelRuntime.llamaCpp.name)
        return bytes([
            "type": "runtime.log", "timestamp": .int(time), "level": .string(line.level.rawValue),
            "message": .string(cut(line.text)), "engineName": name, "engineVersion": .string(line.version),
            "engineType": name, "modelIdentifier": .string(line.instance),
        ])
    }

    private static func bytes(_ event: JSON) -> ByteBuffer { ByteBuffer(string: "data: \(event.text)\n\n") }

    private static func cut(_ line: String) -> String {
        line.utf8.count > lineLength ? String(line.prefix(lineLength / 4)) + " …" : line
    }

    /// In LM Studio's words.
    private static func shown(_ level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "debug"
        case .info, .notice: "info"
        case .warning: "warn"
        case .error, .critical: "error"
        }
    }
}

/// One reply that reads along; the feed counts it as long as it lives.
private final class Reader: EventSource {
    private let feed: LogFeed
    private let start: Int

    init(_ feed: LogFeed) {
        self.feed = feed
        start = feed.open()
    }

    deinit { feed.close() }

    /// - Parameter place: lines since it began, and one more: the first batch comes at once, so that the client knows
    ///   that it is heard.
    func events(from place: Int) async -> EventBatch {
        guard place > 0 else {
            return EventBatch(
                bytes: ByteBuffer(string: ": the \(feed.source.rawValue)'s log from here on\n\n"),
                rest: Following(source: self, place: 1))
        }
        let (bytes, next) = await feed.lines(from: start + place - 1)
        return EventBatch(bytes: bytes, rest: next.map { Following(source: self, place: $0 - start + 1) })
    }
}
