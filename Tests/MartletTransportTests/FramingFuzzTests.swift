import MartletTestSupport
import Testing

/// Mutated replies of HTTP/1.1; see `Fuzz` for how long, and `Scripts/fuzz`.
@Suite("Fuzzing the framing of replies")
struct FramingFuzzTests {
    /// Why we may refuse what llhttp takes.
    static let stricter: Set<String> = [
        "its status line is not HTTP/1.1", "it switched protocols unasked", "a header line is folded",
        "it has a content-encoding nobody asked for", "its transfer-encoding is not chunked",
        "a chunk's size is too large", "its content-length is not a number", "a chunk's extension is odd",
    ]

    @Test("a mutated reply is read as llhttp reads it, in any cut")
    func framing() {
        let corpus = (ResponseFramingTests.valid + ResponseFramingTests.invalid).map { Array($0.text.utf8) }
        let fault = Fuzz(.framing).run(corpus, count: 1500) { bytes, random in
            let whole = FramedReply.read([bytes], closes: true)
            var pieces: [[UInt8]] = []
            var rest = bytes[...]
            let most = random.pick([1, 3, 30])
            while !rest.isEmpty {
                pieces.append(Array(rest.prefix(1 + random.below(most))))
                rest = rest.dropFirst(pieces.last?.count ?? 0)
            }
            var cut = FramedReply.read(pieces, closes: true)
            // Bytes behind a reply are seen with its end, or come later to a connection that waits, which is then closed.
            if !whole.isReusable { cut.isReusable = false }
            if (cut.error == nil) != (whole.error == nil) || cut.error == nil && cut != whole {
                return "whole \(whole), cut \(cut)"
            }
            let difference = ResponseFramingTests.difference(pieces, stricter: Self.stricter.contains)
            // llhttp reads the fields behind a chunked body like those of a head; we leave them unread.
            let isChunked = whole.headers.contains { $0.lowercased().hasPrefix("transfer-encoding") }
            let isAboutFields = difference.map { $0.hasPrefix("only llhttp says: ") && $0.contains("header") } ?? false
            return isChunked && isAboutFields ? nil : difference
        }
        #expect(fault == nil)
    }
}
