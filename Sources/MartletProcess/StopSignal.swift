/// Says once, to one waiter, that something has to end.
///
/// Firing before anyone waits is remembered; firing twice is the same as once.
package struct StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    package init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func fire() { continuation.finish() }

    /// Returns when fired, or when the task is cancelled. One waiter only.
    package func wait() async {
        for await _ in stream {}
    }
}
