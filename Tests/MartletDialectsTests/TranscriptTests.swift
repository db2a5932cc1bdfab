import Foundation
import MartletDialects
import NIOCore
import Testing

/// `Transcripts/chat/<case>/reply.sse` is what the upstream sent; beside it `events.txt`, what it means, and
/// `as-chat.sse` and `as-chat-usage.sse`, what a client that did not ask for usage, or did, gets from a repairing relay.
/// With `MARTLET_REWRITE_GOLDENS=1` they are written anew; review the difference.
@Suite("Transcripts of Chat Completions upstreams")
struct TranscriptTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Transcripts/chat")
    static let rewrites = ProcessInfo.processInfo.environment["MARTLET_REWRITE_GOLDENS"] == "1"
    static let cases =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter {
            FileManager.default.fileExists(atPath: folder.appending(path: "\($0)/reply.sse").path)
        }.sorted()

    static func read(_ name: String, _ file: String) throws -> String {
        try String(contentsOf: folder.appending(path: "\(name)/\(file)"), encoding: .utf8)
    }

    func compare(_ name: String, _ file: String, _ text: String) throws {
        if Self.rewrites {
            try text.write(to: Self.folder.appending(path: "\(name)/\(file)"), atomically: true, encoding: .utf8)
        }
        #expect(try text == Self.read(name, file), "\(name)/\(file)")
    }

    @Test("there are transcripts")
    func some() { #expect(Self.cases.count >= 8) }

    @Test("a transcript means its events", arguments: cases)
    func meaning(_ name: String) throws {
        let lines = events(try Self.read(name, "reply.sse"))
        try compare(name, "events.txt", lines.joined(separator: "\n") + "\n")
    }

    @Test("a transcript is repaired as its golden says, and a strict reader accepts it", arguments: cases)
    func repaired(_ name: String) throws {
        let stream = try Self.read(name, "reply.sse")
        let hidden = run(chatPipe(.repair, model: "local"), reads(stream, of: 0))
        try compare(name, "as-chat.sse", hidden.text)
        let asked = run(chatPipe(.repair, usage: .asked, model: "local"), reads(stream, of: 0))
        try compare(name, "as-chat-usage.sse", asked.text)
        if hidden.finding == .complete { #expect(strictFaults(hidden.text) == []) }
    }

    @Test("any cut of a transcript gives the same output", arguments: cases, [1, 2, 3, 7, 64])
    func cuts(_ name: String, _ size: Int) throws {
        let stream = try Self.read(name, "reply.sse")
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            let whole = run(chatPipe(mode, model: "local"), reads(stream, of: 0))
            #expect(run(chatPipe(mode, model: "local"), reads(stream, of: size)) == whole)
        }
    }

    @Test("an exact relay changes nothing but the model", arguments: cases)
    func exact(_ name: String) throws {
        let stream = try Self.read(name, "reply.sse")
        let relayed = run(chatPipe(.exact, model: "local"), reads(stream, of: 0))
        let models = stream.matches(of: /"model":"([^"]*)"/).map { String($0.output.1) }
        let model = try #require(models.first)
        let expected = stream.replacing("\"model\":\"\(model)\"", with: "\"model\":\"local\"")
        #expect(relayed.text.hasPrefix(withoutTornEvent(expected)))
        if relayed.finding == .complete { #expect(relayed.text == expected) }
        let same = run(chatPipe(.exact, model: model), reads(stream, of: 0))
        #expect(same.text.hasPrefix(withoutTornEvent(stream)))
    }
}
