import Logging
import MartletEngine
import MartletGateway
import MartletServer
import MartletWire
import NIOCore
import Testing

@Suite("the log for whoever reads along")
struct LogFeedTests {
    private let feed = LogFeed(now: { 1_770_573_629_123 })

    private func text(_ batch: EventBatch) -> String { String(buffer: batch.bytes) }

    /// What comes after the first batch, which is there at once.
    private func begin() async throws -> Following {
        let following = try #require(feed.reply.following)
        let batch = await following.source.events(from: following.place)
        #expect(text(batch) == ": the server's log from here on\n\n")
        return try #require(batch.rest)
    }

    @Test("a reader gets the lines from then on, each an event in LM Studio's words")
    func reading() async throws {
        feed.append(.info) { "before anybody reads" }
        var following = try await begin()
        feed.append(.warning) { "model=\"a b\" is slow" }
        feed.append(.debug) { "two" }
        var batch = await following.source.events(from: following.place)
        #expect(
            text(batch)
                == "data: {\"type\":\"server.log\",\"timestamp\":1770573629123,\"level\":\"warn\","
                + "\"content\":\"model=\\\"a b\\\" is slow\"}\n\n"
                + "data: {\"type\":\"server.log\",\"timestamp\":1770573629123,\"level\":\"debug\",\"content\":\"two\"}\n\n"
        )
        following = try #require(batch.rest)
        async let next = following.source.events(from: following.place)
        feed.append(.error) { "three" }
        batch = await next
        #expect(text(batch).contains("\"level\":\"error\",\"content\":\"three\""))
    }

    @Test("while nobody reads no line is made")
    func unread() async throws {
        feed.append(.info) {
            Issue.record("the line was made")
            return ""
        }
        var following: Following? = try await begin()
        #expect(feed.isRead)
        following = nil
        #expect(!feed.isRead && following == nil)
    }

    @Test("a reader that is slow misses the oldest lines, and is told so")
    func slow() async throws {
        let following = try await begin()
        for number in 0..<1500 { feed.append(.info) { "line \(number)" } }
        let batch = await following.source.events(from: following.place)
        #expect(text(batch).contains("\"level\":\"warn\",\"content\":\"500 lines were missed\""))
        #expect(text(batch).contains("\"line 500\"") && !text(batch).contains("\"line 499\""))
    }

    @Test("a line has a bound")
    func long() async throws {
        let following = try await begin()
        feed.append(.info) { String(repeating: "x", count: 1 << 20) }
        #expect(await following.source.events(from: following.place).bytes.readableBytes < 16 << 10)
    }

    @Test("the end of the server is the end of the stream, with the last lines before it")
    func end() async throws {
        let following = try await begin()
        feed.append(.info) { "bye" }
        feed.end()
        let batch = await following.source.events(from: following.place)
        #expect(text(batch).contains("bye") && batch.rest == nil)
    }

    @Test("a reader that leaves is waited for no longer", .timeLimit(.minutes(1)))
    func leaving() async throws {
        let following = try await begin()
        let waiting = Task { await following.source.events(from: following.place) }
        waiting.cancel()
        #expect(await waiting.value.rest == nil)
    }

    @Test("an engine's line is an event that names its instance, and is made only when somebody reads")
    func engines() async throws {
        let feed = LogFeed(.runtime, now: { 7 })
        feed.append {
            Issue.record("the line was made")
            return nil
        }
        let following = try #require(feed.reply.following)
        let rest = try #require(await following.source.events(from: following.place).rest)
        feed.append { nil }
        feed.append { EngineLine(instance: "m", version: "8123", level: .warn, text: "it is slow") }
        #expect(
            text(await rest.source.events(from: rest.place))
                == "data: {\"type\":\"runtime.log\",\"timestamp\":7,\"level\":\"warn\",\"message\":\"it is slow\","
                + "\"engineName\":\"llama.cpp\",\"engineVersion\":\"8123\",\"engineType\":\"llama.cpp\","
                + "\"modelIdentifier\":\"m\"}\n\n")
    }
}
