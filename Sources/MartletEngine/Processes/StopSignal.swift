/// Says once, to one waiter, that something has to end.
///
/// Firing before anyone waits is remembered; firing twice is the same as once.
struct StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func fire() { continuation.finish() }

    /// Returns when fired, or when the task is cancelled. One waiter only.
    func wait() async {
        for await _ in stream {}
    }
}
