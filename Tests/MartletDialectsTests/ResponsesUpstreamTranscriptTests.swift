import Foundation
import MartletDialects
import NIOCore
import Testing

/// `Transcripts/responses-upstream/<case>/reply.sse` is what the upstream sent; beside it `events.txt`, what it means,
/// and what clients get: `as-anthropic.sse`, `as-chat-usage.sse`, and `as-responses.sse` from a repairing relay.
/// With `MARTLET_REWRITE_GOLDENS=1` they are written anew; review the difference.
@Suite("Transcripts of Responses upstreams")
struct ResponsesUpstreamTranscriptTests {
    static let cases = ReplyTranscriptTests.cases("responses-upstream")

    func stream(_ name: String) throws -> String { try ReplyTranscriptTests().stream(name) }

    @Test("there are transcripts")
    func some() { #expect(Self.cases.count >= 8) }

    @Test("a transcript means its events", arguments: cases)
    func meaning(_ name: String) throws {
        let lines = responsesMeaning(try stream(name))
        try ReplyTranscriptTests().compare(name, "events.txt", lines.joined(separator: "\n") + "\n")
        #expect(responsesMeaning(try stream(name), fast: false) == lines)
    }

    @Test("for an Anthropic client", arguments: cases)
    func anthropic(_ name: String) throws {
        let relayed = fromResponses(try stream(name), to: .anthropic)
        try ReplyTranscriptTests().compare(name, "as-anthropic.sse", relayed.text)
        #expect(StrictAnthropicReader(relayed.text).faults == [])
    }

    @Test("for a Chat client", arguments: cases)
    func chat(_ name: String) throws {
        let relayed = fromResponses(try stream(name), to: .chat, usage: .asked)
        try ReplyTranscriptTests().compare(name, "as-chat-usage.sse", relayed.text)
        if relayed.finding == .complete { #expect(strictFaults(relayed.text) == []) }
    }

    @Test("repaired for a client of its own dialect", arguments: cases)
    func repaired(_ name: String) throws {
        let relayed = relayResponses(try stream(name))
        try ReplyTranscriptTests().compare(name, "as-responses.sse", relayed.text)
        // Items nobody has announced stay so.
        guard relayed.finding == .complete, !name.hasSuffix("/bare") else { return }
        #expect(UpstreamResponsesGrammar(relayed.text).faults == [])
    }

    @Test("an exact relay changes nothing but the model", arguments: cases)
    func exact(_ name: String) throws {
        let stream = try stream(name)
        let relayed = relayResponses(stream, .exact)
        let expected = stream.replacing(/"model":"[^"]*"/, with: "\"model\":\"m\"")
        if relayed.finding == .complete {
            #expect(relayed.text == expected)
        } else {
            let whole = expected.ranges(of: "\n\n").last.map { String(expected[..<$0.upperBound]) } ?? ""
            #expect(relayed.text.hasPrefix(whole))
        }
    }

    @Test("any cut of the bytes gives the same output", arguments: cases, [1, 2, 3, 7, 64])
    func cuts(_ name: String, _ size: Int) throws {
        let stream = try stream(name)
        for client in [DialectID.chat, .anthropic] {
            #expect(fromResponses(stream, to: client, cut: size) == fromResponses(stream, to: client))
        }
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            #expect(relayResponses(stream, mode, cut: size) == relayResponses(stream, mode))
        }
    }
}
