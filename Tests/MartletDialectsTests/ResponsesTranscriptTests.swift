import Foundation
import MartletDialects
import MartletWire
import NIOCore
import Testing

/// `Transcripts/responses/<case>/request.json` is what a client of Responses sent; beside it `chat-request.json`, what a
/// Chat upstream gets for it, `chat-reply.sse`, what that answers, and `as-responses.sse`, what the client gets.
/// Transcripts of the other upstreams have an `as-responses.sse` too, for a client that asked for nothing special.
/// With `MARTLET_REWRITE_GOLDENS=1` they are written anew; review the difference.
@Suite("Transcripts for clients of Responses")
struct ResponsesTranscriptTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Transcripts")
    static let rewrites = ProcessInfo.processInfo.environment["MARTLET_REWRITE_GOLDENS"] == "1"

    static func cases(_ dialect: String, with file: String) -> [String] {
        let folder = folder.appending(path: dialect)
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { FileManager.default.fileExists(atPath: folder.appending(path: "\($0)/\(file)").path) }
            .map { "\(dialect)/\($0)" }.sorted()
    }

    static let exchanges = cases("responses", with: "chat-reply.sse")
    static let replies = cases("chat", with: "reply.sse") + cases("anthropic", with: "reply.sse")

    static func read(_ name: String, _ file: String) throws -> String {
        try String(contentsOf: folder.appending(path: "\(name)/\(file)"), encoding: .utf8)
    }

    func compare(_ name: String, _ file: String, _ text: String) throws {
        let place = Self.folder.appending(path: "\(name)/\(file)")
        if Self.rewrites { try text.write(to: place, atomically: true, encoding: .utf8) }
        #expect(try text == String(contentsOf: place, encoding: .utf8), "\(name)/\(file)")
    }

    @Test("there are transcripts")
    func some() { #expect(Self.exchanges.count >= 6 && Self.replies.count >= 13) }

    @Test("an exchange: what the upstream is sent, and what the client gets", arguments: exchanges)
    func exchange(name: String) throws {
        let made = try responsesToChat(Self.read(name, "request.json")) {
            $0.reasoningIn = .field("reasoning_content")
            $0.toolChoice = .full
        }
        #expect(try responsesToChat(Self.read(name, "request.json")).request.body.readableBytes > 0)
        try compare(name, "chat-request.json", made.text + "\n")
        let stream = try Self.read(name, "chat-reply.sse")
        let relayed = asResponses(stream, made.request.context)
        try compare(name, "as-responses.sse", relayed.text)
        #expect(StrictResponsesReader(relayed.text).faults == [])
        for cut in [1, 2, 3, 7, 64] { #expect(asResponses(stream, made.request.context, cut: cut) == relayed) }
    }

    @Test("the next turn of an agent is taken, and begins with the one before", arguments: exchanges)
    func nextTurn(name: String) throws {
        let request = try JSON(parsing: Self.read(name, "request.json"))
        guard let input = request["input"]?.array else { return }
        let flags: (inout Capabilities) -> Void = { $0.reasoningIn = .field("reasoning_content") }
        let first = try responsesToChat(request.text, flags)
        let reader = StrictResponsesReader(
            asResponses(try Self.read(name, "chat-reply.sse"), first.request.context).text)
        var next = request
        var items = input + reader.output
        for item in reader.output {
            guard let id = item["call_id"], let type = item["type"]?.string else { continue }
            if type == "tool_search_call" {
                items.append(["type": "tool_search_output", "call_id": id, "tools": []])
            } else {
                items.append(["type": .string(type + "_output"), "call_id": id, "output": "done"])
            }
        }
        items.append(["role": "user", "content": "go on"])
        next["input"] = .array(items)
        let second = try responsesToChat(next.text, flags)
        #expect(second.messages.starts(with: first.messages))
        #expect(second.messages.count > first.messages.count)
        #expect(second.request.dropped == first.request.dropped)
    }

    @Test("another upstream's stream", arguments: replies)
    func reply(name: String) throws {
        let upstream: UpstreamDialect = name.hasPrefix("chat/") ? .chat : .anthropic
        let stream = try Self.read(name, "reply.sse")
        let relayed = asResponses(stream, from: upstream)
        try compare(name, "as-responses.sse", relayed.text)
        #expect(StrictResponsesReader(relayed.text).faults == [])
        for cut in 1...8 { #expect(asResponses(stream, from: upstream, cut: cut) == relayed) }
    }
}
