import Foundation
import MartletDialects
import MartletWire
import NIOCore
import Testing

/// `Transcripts/lmstudio/<case>/reply.sse` is what an upstream sent in LM Studio's own API; beside it `events.txt`, what it
/// means, and what clients get: `as-anthropic.sse`, `as-chat-usage.sse`, `as-responses.sse`.
/// With `MARTLET_REWRITE_GOLDENS=1` they are written anew; review the difference.
@Suite("Transcripts of LM Studio's own API")
struct LMStudioTranscriptTests {
    static let cases = ReplyTranscriptTests.cases("lmstudio")

    func stream(_ name: String) throws -> String { try ReplyTranscriptTests().stream(name) }

    func relayed(_ stream: String, to client: DialectID, cut: Int = 0) -> Relayed {
        let target = client == .responses ? responsesTarget() : replyTarget(client, usage: .asked)
        return run(Dialects.pipe(from: .lmstudio, to: target), reads(stream, of: cut))
    }

    @Test("there are transcripts")
    func some() { #expect(Self.cases.count >= 7) }

    @Test("a transcript means its events", arguments: cases)
    func meaning(name: String) throws {
        let lines = lmStudioMeaning(try stream(name))
        try ReplyTranscriptTests().compare(name, "events.txt", lines.joined(separator: "\n") + "\n")
        #expect(lmStudioMeaning(try stream(name), fast: false) == lines)
    }

    @Test("for an Anthropic client", arguments: cases)
    func anthropic(name: String) throws {
        let relayed = relayed(try stream(name), to: .anthropic)
        try ReplyTranscriptTests().compare(name, "as-anthropic.sse", relayed.text)
        #expect(StrictAnthropicReader(relayed.text).faults == [])
    }

    @Test("for a Chat client", arguments: cases)
    func chat(name: String) throws {
        let relayed = relayed(try stream(name), to: .chat)
        try ReplyTranscriptTests().compare(name, "as-chat-usage.sse", relayed.text)
        if relayed.finding == .complete { #expect(strictFaults(relayed.text) == []) }
    }

    @Test("for a client of Responses", arguments: cases)
    func responses(name: String) throws {
        let relayed = relayed(try stream(name), to: .responses)
        try ReplyTranscriptTests().compare(name, "as-responses.sse", relayed.text)
        #expect(StrictResponsesReader(relayed.text).faults == [])
    }

    @Test("any cut of the bytes gives the same output", arguments: cases, [1, 2, 3, 7, 64])
    func cuts(name: String, size: Int) throws {
        let stream = try stream(name)
        for client in DialectID.allCases {
            #expect(relayed(stream, to: client, cut: size) == relayed(stream, to: client))
        }
    }

    /// The last event brings the whole reply once more.
    @Test("the whole reply comes to what its stream came to", arguments: cases)
    func whole(name: String) throws {
        let stream = try stream(name)
        guard relayed(stream, to: .chat).finding == .complete else { return }
        let end = try #require(stream.split(separator: "\n").last { $0.hasPrefix("data: ") && $0.contains("chat.end") })
        let body = try #require(JSON(parsing: String(end.dropFirst(6)))["result"]).buffer
        let whole = try Dialects.translateWhole(body, from: .lmstudio, to: replyTarget(.anthropic))
        let message = try JSON(parsing: whole.pieces.map(\.string).joined())
        let streamed = StrictAnthropicReader(relayed(stream, to: .anthropic).text).message
        for name in ["content", "stop_reason", "usage"] { #expect(message[name] == streamed[name], "\(name)") }
    }
}
