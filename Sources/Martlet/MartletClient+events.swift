import AsyncHTTPClient
package import MartletWire
import NIOCore
import NIOHTTP1

/// Calls as the commands make them: whatever route, and what it says as it says it.
extension MartletClient {
    /// - Parameters:
    ///   - path: with its slash.
    ///   - body: nil asks with GET.
    ///   - time: until the whole answer is there.
    /// - Throws: ``MartletError``.
    package func ask(_ path: String, _ body: JSON? = nil, within time: Duration = .seconds(10)) async throws -> JSON {
        let parts = time.components
        let amount = TimeAmount.nanoseconds(parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000)
        let response = try await send(makeRequest(path, body), within: amount)
        guard (200..<300).contains(Int(response.status.code)) else { throw try await failure(response) }
        return try await json(response)
    }

    /// The events of a stream, of which the first may take any time. Leaving the loop ends the request at the server.
    /// - Throws: ``MartletError``; so does the stream.
    package func events(_ path: String, _ body: JSON? = nil) async throws -> EventStream {
        let response = try await send(makeRequest(path, body), within: .hours(24))
        guard (200..<300).contains(Int(response.status.code)) else { throw try await failure(response) }
        guard response.headers.first(name: "content-type")?.hasPrefix("text/event-stream") == true else {
            // LM Studio says with 200 that it does not know a route (specs lmstudio 0.3).
            let reply = try await json(response)
            throw MartletError(
                .routeMissing, reply["error"]?.string ?? "\(base) answers \(path) with one piece, and not with events")
        }
        return EventStream(body: response.body)
    }
}

/// An answer of events, each JSON. Pulled by its consumer: nothing is buffered beyond what one read brought.
package struct EventStream: AsyncSequence, Sendable {
    package typealias Element = JSON
    fileprivate let body: HTTPClientResponse.Body

    package func makeAsyncIterator() -> Iterator { Iterator(body: body.makeAsyncIterator()) }

    package struct Iterator: AsyncIteratorProtocol {
        private var body: HTTPClientResponse.Body.AsyncIterator
        private var framer = SSEFramer()

        fileprivate init(body: HTTPClientResponse.Body.AsyncIterator) { self.body = body }

        /// Nil at `[DONE]`, and where the stream ends.
        /// - Throws: ``MartletError`` when the connection breaks.
        package mutating func next() async throws -> JSON? {
            while true {
                while let frame = framer.next() {
                    guard let event = frame.event else { continue }
                    if event.isDone { return nil }
                    if let json = try? JSON(parsing: event.data) { return json }
                }
                let chunk: ByteBuffer?
                do {
                    chunk = try await body.next(isolation: #isolation)
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    throw MartletError(.connection, "the connection broke in the middle of the answer")
                }
                guard let chunk else { return nil }
                guard framer.take(chunk) else {
                    throw MartletError(.server, "the server sent an event that is too long")
                }
            }
        }
    }
}

@available(*, unavailable)
extension EventStream.Iterator: Sendable {}
