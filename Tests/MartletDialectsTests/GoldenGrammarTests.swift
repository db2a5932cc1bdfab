import Foundation
import Testing

/// Every stream for a client of Chat, Messages or Responses that is kept in `Transcripts`, whoever wrote it there: also those
/// that end with a failure, and those that other suites only compare.
@Suite("Every golden stream, strictly read")
struct GoldenGrammarTests {
    /// Relative to the folder of transcripts.
    static let goldens: [String] = {
        func names(_ path: String) -> [String] {
            let folder = ReplyTranscriptTests.folder.appending(path: path).path
            return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map { path + $0 }
        }
        return names("").flatMap { names($0 + "/") }.flatMap { names($0 + "/") }.filter {
            let name = $0.split(separator: "/").last ?? ""
            return name.wholeMatch(of: /as-(chat|anthropic|responses).*\.sse/) != nil && !isTheirs($0)
        }.sorted()
    }()

    /// Relays of words that are not ours: Anthropic's own stream, and one whose items nobody has announced.
    private static func isTheirs(_ path: String) -> Bool {
        path.hasPrefix("anthropic/") && path.hasSuffix("/as-anthropic.sse")
            || path == "responses-upstream/bare/as-responses.sse"
    }

    @Test("there are goldens for clients of each dialect")
    func some() {
        for name in ["as-chat.sse", "as-chat-usage.sse", "as-anthropic.sse", "as-responses.sse"] {
            #expect(Self.goldens.count { $0.hasSuffix("/" + name) } >= 20, "\(name)")
        }
    }

    @Test("a golden obeys its client's grammar", arguments: goldens)
    func golden(_ path: String) throws {
        let stream = try String(contentsOf: ReplyTranscriptTests.folder.appending(path: path), encoding: .utf8)
        let name = path.split(separator: "/").last ?? ""
        if name.hasPrefix("as-chat") {
            #expect(strictFaults(stream) == [])
        } else if name.hasPrefix("as-anthropic") {
            #expect(StrictAnthropicReader(stream).faults == [])
        } else if path.hasPrefix("responses-upstream/") {
            #expect(UpstreamResponsesGrammar(stream).faults == [])
        } else {
            #expect(StrictResponsesReader(stream).faults == [])
        }
    }
}
