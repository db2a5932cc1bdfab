import MartletGateway
import MartletTransport
import NIOCore
import Testing

@Suite("Framing of replies, against llhttp")
struct ResponseFramingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var text: String
        /// What our reader says where it is stricter than llhttp, on purpose.
        var stricter: String?

        init(_ name: String, _ text: String, stricter: String? = nil) {
            testDescription = name
            self.text = text
            self.stricter = stricter
        }
    }

    static let ok = "HTTP/1.1 200 OK\r\n"
    static let five = "content-length: 5\r\n\r\nhello"
    static let chunked = "transfer-encoding: chunked\r\n\r\n"

    static let valid: [Case] = [
        Case("length", ok + five),
        Case("length zero", ok + "content-length: 0\r\n\r\n"),
        Case("length with white space", ok + "Content-Length:\t 5  \r\n\r\nhello"),
        Case("length with leading zeros", ok + "Content-Length: 0005\r\n\r\nhello"),
        Case("chunks", ok + chunked + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        Case("chunks in upper case", ok + "Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        Case("chunk extensions", ok + chunked + "5;a=b;c\r\nhello\r\n0;x\r\n\r\n"),
        Case("trailers", ok + chunked + "5\r\nhello\r\n0\r\nx-a: b\r\nx-c:\r\n\r\n"),
        Case("many zeros before a chunk's size", ok + chunked + "00000000005\r\nhello\r\n000\r\n\r\n"),
        Case("no chunks at all", ok + chunked + "0\r\n\r\n"),
        Case("until close", ok + "content-type: text/event-stream\r\n\r\ndata: x\n\n"),
        Case("until close, nothing", ok + "\r\n"),
        Case("HTTP/1.0", "HTTP/1.0 200 OK\r\n" + five),
        Case("HTTP/1.0 kept alive", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n" + five),
        Case("connection close", ok + "connection: close\r\n" + five),
        Case("connection close, then keep-alive", ok + "connection: close\r\nconnection: keep-alive\r\n" + five),
        Case("connection with several words", ok + "connection: x, Close , y\r\n" + five),
        Case("no reason", "HTTP/1.1 200\r\n" + five),
        Case("empty reason", "HTTP/1.1 200 \r\n" + five),
        Case("reason that is no ASCII", "HTTP/1.1 200 \u{e9}t\u{e9}\r\n" + five),
        Case("no content", "HTTP/1.1 204 No Content\r\n\r\n"),
        Case("no content with a length", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"),
        Case("not modified", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        Case("not modified, chunked", "HTTP/1.1 304 Not Modified\r\n" + chunked),
        Case("reset content with a body", "HTTP/1.1 205 Reset\r\n" + five),
        Case("continue first", "HTTP/1.1 100 Continue\r\n\r\n" + ok + five),
        Case("early hints first", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + ok + five),
        Case("server error", "HTTP/1.1 500 Oops\r\nretry-after: 3\r\n" + five),
        Case("empty values", ok + "x-a:\r\nx-b: \r\n" + five),
        Case("odd but legal names", ok + "x!#$%&'*+-.^_`|~1: y\r\n" + five),
        Case("values that are no ASCII", ok + "x-a: \u{e9}\u{4f60}\r\n" + five),
        Case("a colon in a value", ok + "x-a: b:c: d\r\n" + five),
        Case("content-encoding identity", ok + "content-encoding: Identity\r\n" + five),
    ]

    static let invalid: [Case] = [
        Case("no HTTP", "hello world, this is no HTTP\r\n\r\n"),
        Case("HTML", "<html><body>Bad gateway</body></html>\r\n\r\n"),
        Case("HTTP/2.0", "HTTP/2.0 200 OK\r\n" + five),
        Case("HTTP/1.2", "HTTP/1.2 200 OK\r\n" + five, stricter: "its status line is not HTTP/1.1"),
        Case("no space", "HTTP/1.1200 OK\r\n" + five),
        Case("two digits", "HTTP/1.1 20 OK\r\n" + five),
        Case("four digits", "HTTP/1.1 2000 OK\r\n" + five),
        Case("no digits", "HTTP/1.1 abc OK\r\n" + five),
        Case("a sign", "HTTP/1.1 +20 OK\r\n" + five),
        Case("lower case", "http/1.1 200 OK\r\n" + five),
        Case("status 099", "HTTP/1.1 099 X\r\n" + five, stricter: "its status line is not HTTP/1.1"),
        Case("status 999", "HTTP/1.1 999 X\r\n" + five, stricter: "its status line is not HTTP/1.1"),
        Case("switching protocols", "HTTP/1.1 101 X\r\n\r\n", stricter: "it switched protocols unasked"),
        Case("an empty line first", "\r\n" + ok + five, stricter: "its status line is not HTTP/1.1"),
        Case("line feeds only", "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"),
        Case("one line feed", "HTTP/1.1 200 OK\r\nx-a: b\ncontent-length: 5\r\n\r\nhello"),
        Case("a carriage return in a value", ok + "x-a: b\rc\r\n" + five),
        Case("a carriage return in a number", ok + "content-length: 5\r5\r\n\r\nhello"),
        Case("two carriage returns", ok + "x-a: b\r\r\n" + five),
        Case("no colon", ok + "x-a\r\n" + five),
        Case("no name", ok + ": b\r\n" + five),
        Case("a space before the colon", ok + "content-length : 5\r\n\r\nhello"),
        Case("a space in a name", ok + "content length: 5\r\n\r\nhello"),
        Case("a control character in a name", ok + "x\u{1}a: 5\r\n" + five),
        Case("a control character in a value", ok + "x-a: \u{1}\r\n" + five),
        Case("NUL in a value", ok + "x-a: \u{0}\r\n" + five),
        Case("DEL in a value", ok + "x-a: \u{7f}\r\n" + five),
        Case("a folded line", ok + "x-a: b\r\n c\r\n" + five, stricter: "a header line is folded"),
        Case("a folded first line", ok + " c: d\r\n" + five),
        Case("length with a sign", ok + "content-length: +5\r\n\r\nhello"),
        Case("length below zero", ok + "content-length: -0\r\n\r\n"),
        Case("empty length", ok + "content-length:\r\n\r\n"),
        Case("length in hex", ok + "content-length: 0x5\r\n\r\nhello"),
        Case("list of lengths", ok + "content-length: 5, 5\r\n\r\nhello"),
        Case("length of two words", ok + "content-length: 5 5\r\n\r\nhello"),
        Case("length that overflows", ok + "content-length: 99999999999999999999\r\n\r\nhello"),
        Case("two lengths", ok + "content-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        Case("the same length twice", ok + "content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        Case("length and chunks", ok + "content-length: 5\r\n" + chunked + "5\r\nhello\r\n0\r\n\r\n"),
        Case(
            "chunks and length", ok + "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        Case("gzip", ok + "content-encoding: gzip\r\n" + five, stricter: "it has a content-encoding nobody asked for"),
        Case(
            "transfer-encoding gzip", ok + "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            stricter: "its transfer-encoding is not chunked"),
        Case(
            "transfer-encoding identity", ok + "transfer-encoding: identity\r\n\r\nx",
            stricter: "its transfer-encoding is not chunked"),
        Case("a chunk without a size", ok + chunked + "\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk's size that is none", ok + chunked + "x\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk's size below zero", ok + chunked + "-5\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk's size with 0x", ok + chunked + "0x5\r\nhello\r\n0\r\n\r\n"),
        Case("a space before a chunk's size", ok + chunked + " 5\r\nhello\r\n0\r\n\r\n"),
        Case("a space after a chunk's size", ok + chunked + "5 \r\nhello\r\n0\r\n\r\n"),
        Case("a tab after a chunk's size", ok + chunked + "5\t;a\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk's size that overflows", ok + chunked + "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk's size that is huge", ok + chunked + "fffffffffffff\r\nhello\r\n0\r\n\r\n"),
        Case(
            "a chunk's size with too many zeros", ok + chunked + "0000000000005\r\nhello\r\n0\r\n\r\n",
            stricter: "a chunk's size is too large"),
        Case("a chunk's size without CR", ok + chunked + "5\nhello\r\n0\r\n\r\n"),
        Case("a carriage return in an extension", ok + chunked + "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk that is too long", ok + chunked + "4\r\nhello\r\n0\r\n\r\n"),
        Case("a chunk without CR", ok + chunked + "5\r\nhello\n0\r\n\r\n"),
        Case("the end without CR", ok + chunked + "5\r\nhello\r\n0\n\n"),
        Case("a trailer without a colon", ok + chunked + "0\r\nxyz\r\n\r\n"),
        Case("a control character in a trailer", ok + chunked + "0\r\nx: \u{1}\r\n\r\n"),
        Case("a trailer without CR", ok + chunked + "0\r\nx: y\n\r\n"),
        Case("a head that is cut off", ok + "content-le"),
        Case("a body that is cut off", ok + "content-length: 6\r\n\r\nhello"),
        Case("chunks that are cut off", ok + chunked + "5\r\nhello\r\n"),
        Case("trailers that are cut off", ok + chunked + "0\r\n"),
        Case("a chunk that is cut off", ok + chunked + "5\r\nhel"),
        Case("nothing", ""),
    ]

    /// Ours against the oracle; nil when they agree.
    static func difference(_ pieces: [[UInt8]], stricter: (String) -> Bool) -> String? {
        let ours = FramedReply.read(pieces, closes: true)
        let oracle = FramedReply.oracle(pieces, closes: true)
        if let error = ours.error {
            if oracle.error != nil || stricter(error) { return nil }
            // llhttp takes a lone CR for the end of the status line; we wait for the line's end, in vain.
            let bytes = pieces.joined()
            if error == "cut off", zip(bytes, bytes.dropFirst()).contains(where: { $0 == 0x0D && $1 != 0x0A }) {
                return nil
            }
            return "only we say: \(error); llhttp reads \(oracle)"
        }
        if let error = oracle.error { return "only llhttp says: \(error); we read \(ours)" }
        if ours.isReusable, !oracle.isReusable { return "only we would use the connection again" }
        var same = oracle
        same.isReusable = ours.isReusable
        return ours == same ? nil : "we read \(ours), llhttp \(oracle)"
    }

    static func cuts(_ bytes: [UInt8], every size: Int) -> [[UInt8]] {
        stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
    }

    @Test("A valid reply is read as llhttp reads it, cut at any place", arguments: valid)
    func reads(_ one: Case) {
        let bytes = Array(one.text.utf8)
        let whole = FramedReply.read([bytes], closes: true)
        #expect(whole.error == nil)
        #expect(whole.hasEnded)
        #expect(Self.difference([bytes], stricter: { _ in false }) == nil)
        for at in 1..<max(2, bytes.count) {
            let pieces = [Array(bytes[..<at]), Array(bytes[at...])]
            #expect(FramedReply.read(pieces, closes: true) == whole, "cut at \(at)")
        }
        for size in [1, 2, 3, 7] {
            #expect(FramedReply.read(Self.cuts(bytes, every: size), closes: true) == whole, "in pieces of \(size)")
        }
    }

    @Test(
        "What is wrong for llhttp is wrong for us, cut at any place; where we are stricter we say so",
        arguments: invalid)
    func refuses(_ one: Case) {
        let bytes = Array(one.text.utf8)
        for pieces in [[bytes]] + [1, 2, 3, 7].map({ Self.cuts(bytes, every: $0) }) {
            let ours = FramedReply.read(pieces, closes: true)
            #expect(ours.error != nil)
            if let stricter = one.stricter {
                #expect(ours.error == stricter)
            } else {
                #expect(FramedReply.oracle(pieces, closes: true).error != nil, "we are stricter, and do not say so")
            }
        }
    }

    @Test(
        "What is wrong is noticed when it comes, not when the connection ends",
        arguments: [
            "hello world, this is no HTTP\r\n\r\n", "<html>\n<body>\n</body>\n</html>\n",
            "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
        ])
    func early(text: String) {
        #expect(FramedReply.read([Array(text.utf8)], closes: false).error != nil)
    }

    /// Why we may refuse what llhttp takes.
    static let stricter: Set<String> = [
        "its status line is not HTTP/1.1", "it switched protocols unasked", "a header line is folded",
        "it has a content-encoding nobody asked for", "its transfer-encoding is not chunked",
        "a chunk's size is too large", "its content-length is not a number", "a chunk's extension is odd",
    ]

    @Test("A connection is kept only when nothing follows the reply")
    func leftOver() {
        #expect(FramedReply.read([Array((Self.ok + Self.five).utf8)], closes: false).isReusable)
        #expect(!FramedReply.read([Array((Self.ok + Self.five + "x").utf8)], closes: false).isReusable)
        #expect(!FramedReply.read([Array((Self.ok + Self.chunked + "0\r\n\r\nHTTP").utf8)], closes: false).isReusable)
    }

    @Test(
        "Heads, lines and trailers have bounds",
        arguments: [
            (ResponseFramingTests.ok + "x: ", "", "its head is too long"),
            (ResponseFramingTests.ok + ResponseFramingTests.chunked + "5;", "", "a line is too long"),
            (ResponseFramingTests.ok + ResponseFramingTests.chunked + "0\r\n", "x: y\r\n", "its trailers are too long"),
        ])
    func bounds(start: String, line: String, reason: String) {
        let filler =
            line.isEmpty ? [UInt8](repeating: 0x61, count: 70_000) : Array(String(repeating: line, count: 12_000).utf8)
        #expect(FramedReply.read([Array(start.utf8), filler], closes: false).error == reason)
        #expect(FramedReply.read([Array(start.utf8)] + Self.cuts(filler, every: 4096), closes: false).error == reason)
    }

    @Test(
        "The head's facts",
        arguments: [
            ("content-type: text/event-stream; charset=utf-8", UpstreamHead.Content.eventStream, TimeAmount?.none),
            ("Content-Type: Application/JSON", .json, nil), ("content-type: text/html", .other, nil),
            ("retry-after: 7", .other, .seconds(7)), ("retry-after-ms: 250", .other, .milliseconds(250)),
            ("retry-after: Fri, 31 Dec 1999 23:59:59 GMT", .other, nil), ("retry-after: -1", .other, nil),
            ("retry-after: 99999999999", .other, nil),
        ])
    func facts(line: String, content: UpstreamHead.Content, retryAfter: TimeAmount?) throws {
        var framing = ResponseFraming()
        let head = try framing.take(ByteBuffer(string: "HTTP/1.1 429 X\r\n\(line)\r\ncontent-length: 0\r\n\r\n")).head
        #expect(head?.status == 429)
        #expect(head?.content == content)
        #expect(head?.retryAfter == retryAfter)
    }
}
