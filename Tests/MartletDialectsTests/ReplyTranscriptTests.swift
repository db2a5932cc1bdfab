import Foundation
import MartletDialects
import MartletWire
import NIOCore
import Testing

/// The same transcripts for clients of the other dialect: `as-anthropic.sse` beside those of Chat upstreams, and
/// `Transcripts/anthropic/<case>/reply.sse` with `as-chat-usage.sse` and `as-anthropic.sse`.
/// With `MARTLET_REWRITE_GOLDENS=1` they are written anew; review the difference.
@Suite("Transcripts, translated")
struct ReplyTranscriptTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Transcripts")
    static let rewrites = ProcessInfo.processInfo.environment["MARTLET_REWRITE_GOLDENS"] == "1"
    static func cases(_ dialect: String) -> [String] {
        let folder = folder.appending(path: dialect)
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { FileManager.default.fileExists(atPath: folder.appending(path: "\($0)/reply.sse").path) }
            .map { "\(dialect)/\($0)" }.sorted()
    }
    static let chat = cases("chat")
    static let anthropic = cases("anthropic")

    func compare(_ name: String, _ file: String, _ text: String) throws {
        let file = Self.folder.appending(path: "\(name)/\(file)")
        if Self.rewrites { try text.write(to: file, atomically: true, encoding: .utf8) }
        #expect(try text == String(contentsOf: file, encoding: .utf8), "\(file.path)")
    }

    func stream(_ name: String) throws -> String {
        try String(contentsOf: Self.folder.appending(path: "\(name)/reply.sse"), encoding: .utf8)
    }

    @Test("there are transcripts")
    func some() { #expect(Self.chat.count >= 8 && Self.anthropic.count >= 5) }

    @Test("a Chat upstream's stream for an Anthropic client", arguments: chat)
    func chatToAnthropic(name: String) throws {
        let stream = try stream(name)
        let relayed = asAnthropic(stream)
        try compare(name, "as-anthropic.sse", relayed.text)
        #expect(StrictAnthropicReader(relayed.text).faults == [])
        for cut in 1...8 { #expect(asAnthropic(stream, cut: cut) == relayed) }
    }

    @Test("an Anthropic upstream's stream for a Chat client", arguments: anthropic)
    func anthropicToChat(name: String) throws {
        let stream = try stream(name)
        let relayed = asChat(stream, usage: .asked)
        try compare(name, "as-chat-usage.sse", relayed.text)
        if relayed.finding == .complete { #expect(strictFaults(relayed.text) == []) }
        for cut in 1...8 { #expect(asChat(stream, usage: .asked, cut: cut) == relayed) }
    }

    @Test("an Anthropic upstream's stream relayed", arguments: anthropic)
    func anthropicRelayed(name: String) throws {
        let stream = try stream(name)
        let relayed = run(Dialects.pipe(from: .anthropic, to: replyTarget(.anthropic)), reads(stream, of: 0))
        try compare(name, "as-anthropic.sse", relayed.text)
        #expect(
            relayed.text.hasPrefix(stream.replacing(/"model":"[^"]*"/, with: "\"model\":\"m\"", maxReplacements: 1)))
        for cut in [1, 7] {
            #expect(
                run(Dialects.pipe(from: .anthropic, to: replyTarget(.anthropic)), reads(stream, of: cut)) == relayed)
        }
    }

    @Test("the fast paths write what the slow ones do", arguments: anthropic)
    func fastAndSlow(name: String) throws {
        let stream = try stream(name)
        for usage in [ChatFrameEdit.UsagePlacement.asked, .hidden, .finalChunk] {
            let slow = ReplyPipe(
                reader: AnthropicStreamReader(readsFast: false),
                writer: ChatStreamWriter(replyTarget(.chat, usage: usage)),
                dialect: .chat, requestID: "req_1")
            #expect(run(slow, reads(stream, of: 0)) == asChat(stream, usage: usage))
        }
    }
}
