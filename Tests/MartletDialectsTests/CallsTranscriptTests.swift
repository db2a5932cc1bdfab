import Foundation
import MartletDialects
import MartletWire
import NIOCore
import Testing

/// `Transcripts/calls/<case>/reply.sse` is what a Chat upstream sent that left its calls in the text; beside it what a
/// Chat client (`as-chat.sse`), an Anthropic client (`as-anthropic.sse`) and a client of Responses (`as-responses.sse`) get,
/// which had offered `tools.json`, and `tally.txt`, what was counted. With `MARTLET_REWRITE_GOLDENS=1` they are written anew; review the difference.
@Suite("Transcripts of calls left in the text")
struct CallsTranscriptTests {
    static let folder = ReplyTranscriptTests.folder.appending(path: "calls")
    static let cases = ReplyTranscriptTests.cases("calls")

    static let context: ReplyContext = {
        let tools = (try? Data(contentsOf: folder.appending(path: "tools.json"))) ?? Data()
        return ReplyContext(tools: OfferedTools(chat: ByteBuffer(bytes: tools)))
    }()

    func compare(_ name: String, _ file: String, _ text: String) throws {
        try ReplyTranscriptTests().compare(name, file, text)
    }

    func pipe(_ client: DialectID) -> ReplyPipe {
        Dialects.pipe(from: .chat, to: replyTarget(client, usage: .asked), context: Self.context)
    }

    @Test("there are transcripts, of every family")
    func some() throws {
        let tallies = try Self.cases.map {
            try String(contentsOf: ReplyTranscriptTests.folder.appending(path: "\($0)/tally.txt"), encoding: .utf8)
        }
        for family in CallFamily.allCases where family != .native {
            #expect(tallies.contains { $0.contains("\(family.rawValue)=") }, "\(family)")
        }
    }

    @Test("C11: calls become calls, what is none stays text, and clients get well-formed streams", arguments: cases)
    func goldens(name: String) throws {
        let stream = try ReplyTranscriptTests().stream(name)
        let chat = run(pipe(.chat), reads(stream, of: 0))
        try compare(name, "as-chat.sse", chat.text)
        #expect(strictFaults(chat.text) == [])
        let anthropic = run(pipe(.anthropic), reads(stream, of: 0))
        try compare(name, "as-anthropic.sse", anthropic.text)
        #expect(StrictAnthropicReader(anthropic.text).faults == [])
        let responses = run(pipe(.responses), reads(stream, of: 0))
        try compare(name, "as-responses.sse", responses.text)
        #expect(StrictResponsesReader(responses.text).faults == [])
        var counted = pipe(.chat)
        var out = ByteBuffer()
        _ = counted.pass(ByteBuffer(string: stream), into: &out)
        try compare(name, "tally.txt", counted.callTally.line + "\n")
    }

    @Test("any cut of the bytes gives the same output", arguments: cases, DialectID.allCases)
    func cuts(name: String, client: DialectID) throws {
        let stream = try ReplyTranscriptTests().stream(name)
        let whole = run(pipe(client), reads(stream, of: 0))
        for cut in [1, 2, 3, 5, 7, 64, 200] { #expect(run(pipe(client), reads(stream, of: cut)) == whole) }
    }

    /// However the upstream cuts its text into deltas, a client puts the same message together.
    @Test("any cut of the text gives the same message", arguments: cases, [1, 2, 3, 11, 10_000])
    func deltas(name: String, size: Int) throws {
        let stream = try ReplyTranscriptTests().stream(name)
        let expected = StrictAnthropicReader(run(pipe(.anthropic), reads(stream, of: 0)).text).message
        let reply = Reply(stream)
        let again = StrictAnthropicReader(run(pipe(.anthropic), reads(reply.stream(pieces: size), of: 0)).text).message
        #expect(Calls.blocks(again) == Calls.blocks(expected))
        #expect(again["stop_reason"] == expected["stop_reason"])
    }

    /// A transcript's text, put together.
    private struct Reply {
        var text = ""
        var reasoning = ""
        var finish = "stop"

        init(_ stream: String) {
            for line in stream.split(separator: "\n\n") where line.hasPrefix("data: {") {
                let choice = (try? JSON(parsing: String(line.dropFirst(6))))?["choices"]?[0]
                text += choice?["delta"]?["content"]?.string ?? ""
                reasoning +=
                    choice?["delta"]?["reasoning_content"]?.string ?? choice?["delta"]?["reasoning"]?.string ?? ""
                finish = choice?["finish_reason"]?.string ?? finish
            }
        }

        func stream(pieces: Int) -> String {
            Calls.stream(text, pieces: pieces, reasoning: reasoning, finish: finish)
        }
    }
}
