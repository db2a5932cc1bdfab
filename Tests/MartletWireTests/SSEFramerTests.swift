import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// What a frame says, for comparing.
private struct Seen: Hashable, CustomStringConvertible {
    var bytes: String
    var name: String?
    var data: String?
    var isClosed = true

    init(_ bytes: String, _ name: String? = nil, data: String? = nil, isClosed: Bool = true) {
        self.bytes = bytes
        self.name = name
        self.data = data
        self.isClosed = isClosed
    }

    init(_ frame: SSEFrame) {
        self.init(frame.bytes.shown, frame.event?.name?.shown, data: frame.event?.data.shown, isClosed: frame.isClosed)
    }

    var description: String { "\(bytes.debugDescription) \(name ?? "-") \(data.debugDescription) \(isClosed)" }
}

private func frames(_ stream: [UInt8], cut: Int = .max, limit: Int = WireLimits.event) -> [Seen] {
    frames(stream, limit: limit) { _ in cut }
}

private func frames(_ stream: [UInt8], limit: Int = WireLimits.event, cut: (Int) -> Int) -> [Seen] {
    var framer = SSEFramer(limit: limit)
    var seen = [Seen]()
    var at = 0
    while at < stream.count {
        let end = min(stream.count, at + min(stream.count, max(1, cut(at))))
        guard framer.take(ByteBuffer(bytes: stream[at..<end])) else { return seen }
        while let frame = framer.next() { seen.append(Seen(frame)) }
        at = end
    }
    if let frame = framer.finish() { seen.append(Seen(frame)) }
    #expect(framer.finish() == nil)
    return seen
}

@Suite("Event streams are cut into frames")
struct SSEFramerTests {
    private static let streams: [(String, [Seen])] = [
        ("", []),
        ("data: a\n\n", [Seen("data: a\n\n", data: "a")]),
        ("data:a\n\ndata:  b\n\n", [Seen("data:a\n\n", data: "a"), Seen("data:  b\n\n", data: " b")]),
        ("event: ping\ndata: {}\n\n", [Seen("event: ping\ndata: {}\n\n", "ping", data: "{}")]),
        ("data: {}\nevent: late\n\n", [Seen("data: {}\nevent: late\n\n", "late", data: "{}")]),
        ("event: a\nevent:b\ndata: 1\n\n", [Seen("event: a\nevent:b\ndata: 1\n\n", "b", data: "1")]),
        ("event:\ndata: 1\n\n", [Seen("event:\ndata: 1\n\n", data: "1")]),
        ("event: ping\n\n", [Seen("event: ping\n\n")]),
        (": keepalive\n\n", [Seen(": keepalive\n\n")]),
        (": c\ndata: 1\nid: 7\nretry: 10\n\n", [Seen(": c\ndata: 1\nid: 7\nretry: 10\n\n", data: "1")]),
        ("data: a\ndata: b\ndata\n\n", [Seen("data: a\ndata: b\ndata\n\n", data: "a\nb\n")]),
        ("data\n\n", [Seen("data\n\n", data: "")]),
        ("data:\n\n", [Seen("data:\n\n", data: "")]),
        ("data: \n\n", [Seen("data: \n\n", data: "")]),
        ("datax: 1\nDATA: 2\n data: 3\neventx: 4\n\n", [Seen("datax: 1\nDATA: 2\n data: 3\neventx: 4\n\n")]),
        ("data: a:b: c\n\n", [Seen("data: a:b: c\n\n", data: "a:b: c")]),
        ("\n\n", [Seen("\n"), Seen("\n")]),
        ("\ndata: x\n\n", [Seen("\n"), Seen("data: x\n\n", data: "x")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", [Seen("data: a\r\n\r\n", data: "a"), Seen("data: b\r\n\r\n", data: "b")]),
        ("data: a\r\n\rdata: b\r\n\r\n", [Seen("data: a\r\n\r", data: "a"), Seen("data: b\r\n\r\n", data: "b")]),
        ("event: e\r\ndata: a\r\n\r\n", [Seen("event: e\r\ndata: a\r\n\r\n", "e", data: "a")]),
        ("data: a\r\rdata: b\r\r", [Seen("data: a\r\r", data: "a"), Seen("data: b\r\r", data: "b")]),
        ("data: a\r\r\ndata: b\n\n", [Seen("data: a\r\r", data: "a"), Seen("\n"), Seen("data: b\n\n", data: "b")]),
        ("data: a\n\r\ndata: b\n\n", [Seen("data: a\n\r", data: "a"), Seen("\n"), Seen("data: b\n\n", data: "b")]),
        ("data: a\r\ndata: b\n\r\n", [Seen("data: a\r\ndata: b\n\r", data: "a\nb"), Seen("\n")]),
        ("data: a\r\ndata: b\n\n", [Seen("data: a\r\ndata: b\n\n", data: "a\nb")]),
        (
            "\u{FEFF}data: a\n\n\u{FEFF}data: b\n\n",
            [Seen("\u{FEFF}data: a\n\n", data: "a"), Seen("\u{FEFF}data: b\n\n")]
        ),
        ("\u{FEFF}\ndata: a\n\n", [Seen("\u{FEFF}\ndata: a\n\n", data: "a")]),
        ("data: é你😀\n\n", [Seen("data: é你😀\n\n", data: "é你😀")]),
        // What stands at the end without its blank line counts.
        (
            "data: a\n\ndata: [DONE]",
            [Seen("data: a\n\n", data: "a"), Seen("data: [DONE]", data: "[DONE]", isClosed: false)]
        ),
        ("data: b\n", [Seen("data: b\n", data: "b", isClosed: false)]),
        ("event: x\ndata: b\r\n\r", [Seen("event: x\ndata: b\r\n\r", "x", data: "b")]),
        (": half a comm", [Seen(": half a comm", isClosed: false)]),
        ("data", [Seen("data", data: "", isClosed: false)]),
        ("dat", [Seen("dat", isClosed: false)]),
    ]

    @Test("the rules of the standard, one by one", arguments: streams)
    private func table(_ stream: String, _ expected: [Seen]) {
        #expect(frames(stream.bytes) == expected)
    }

    @Test("any cut of the bytes gives the same frames", arguments: streams, [1, 2, 3, 7, 64])
    private func cuts(_ stream: (String, [Seen]), _ cut: Int) {
        #expect(frames(stream.0.bytes, cut: cut) == stream.1)
    }

    @Test("any two reads give the same frames", arguments: streams)
    private func twoReads(_ stream: String, _ expected: [Seen]) {
        let bytes = stream.bytes
        for place in 0..<max(1, bytes.count) {
            #expect(frames(bytes) { $0 == 0 ? place : .max } == expected, "cut at \(place)")
        }
    }

    @Test(
        "random streams: joined frames are the stream, whatever the cuts",
        arguments: [61, 62, .random(in: 0 ... .max)] as [UInt64])
    func random(_ seed: UInt64) {
        var random = Seeded(seed)
        let pieces = [
            "data: ", "data:", "data", "event: ", "event: x\n", ": c", "\n", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n",
            "{\"a\":\"b c\"}", " ", ":",
            "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n", "event: ping\ndata: {}\n\n", "\u{FEFF}",
            "é",
        ]
        for _ in 0..<1500 {
            let stream = (0..<random.below(25)).flatMap { _ in random.pick(pieces).bytes }
            let whole = frames(stream)
            #expect(whole.map(\.bytes).joined().bytes == stream, "seed \(seed)")
            var cuts = Seeded(random.next())
            let cut = frames(stream) { _ in 1 + cuts.below(12) }
            #expect(cut == whole, "seed \(seed): \(String(decoding: stream, as: UTF8.self).debugDescription)")
            #expect(whole.compactMap(\.data) == plainReading(stream), "seed \(seed)")
        }
    }

    /// The data of all events, by the standard's own algorithm over lines, an unfinished event at the end included.
    private func plainReading(_ stream: [UInt8]) -> [String] {
        var text = String(decoding: stream, as: UTF8.self).unicodeScalars
        if text.first == "\u{FEFF}" { text.removeFirst() }
        var lines = [""]
        var previous: UnicodeScalar?
        for scalar in text {
            defer { previous = scalar }
            if scalar == "\n", previous == "\r" { continue }
            if scalar == "\n" || scalar == "\r" {
                lines.append("")
            } else {
                lines[lines.count - 1].unicodeScalars.append(scalar)
            }
        }
        var events = [String]()
        var data: [String] = []
        for line in lines + [""] {
            if line.unicodeScalars.isEmpty {
                if !data.isEmpty { events.append(data.joined(separator: "\n")) }
                data = []
            } else if line == "data" {
                data.append("")
            } else if line.utf8.starts(with: "data:".utf8) {
                let value = line.unicodeScalars.dropFirst(5)
                data.append(String(String.UnicodeScalarView(value.first == " " ? value.dropFirst() : value)))
            }
        }
        return events
    }

    @Test("a frame in one read shares the read's storage")
    func slices() throws {
        var framer = SSEFramer()
        for read in ["data: first\n\n", "event: e\ndata: second\n\n"] {
            let read = read.buffer
            #expect(framer.take(read) == true)
            let next = framer.next()
            let frame = try #require(next)
            let event = try #require(frame.event)
            let (low, high) = read.withUnsafeReadableBytes { bytes -> (UInt, UInt) in
                let start = UInt(bitPattern: bytes.baseAddress)
                return (start, start + UInt(bytes.count))
            }
            for part in [frame.bytes, event.data] {
                let place = part.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
                #expect(place >= low && place < high)
            }
        }
    }

    @Test("where the data stands in the frame is known, if it stands in one piece")
    func dataRange() {
        func range(_ text: String) -> Range<Int>? {
            var framer = SSEFramer()
            #expect(framer.take((": first\n\n" + text).buffer) == true)
            _ = framer.next()
            return framer.next()?.dataRange
        }
        #expect(range("event: e\ndata: {}\n\n") == 15..<17)
        #expect(range("data:x\r\n\r\n") == 5..<6)
        #expect(range("data: a\ndata: b\n\n") == nil)
        #expect(range(": c\n\n") == nil)
    }

    @Test("a frame as long as the limit is taken, one byte more is not", arguments: [1, 3, 10, 1000])
    func limit(_ cut: Int) {
        let frame = "data: 0123456789\n\n"  // 18 bytes
        let stream = Array((frame + ": c\n\n" + frame).utf8)
        #expect(frames(stream, cut: cut, limit: 18).count == 3)
        var framer = SSEFramer(limit: 17)
        var refused = false
        var at = 0
        while at < stream.count {
            let end = min(stream.count, at + cut)
            if !framer.take(ByteBuffer(bytes: stream[at..<end])) { refused = true }
            while let frame = framer.next() { #expect(!refused, "yielded \(frame)") }
            at = end
        }
        #expect(refused)
        #expect(framer.finish() == nil)
        #expect(framer.take("data: x\n\n".buffer) == false)
        #expect(framer.next() == nil)
    }

    @Test("an endless line is refused at the limit, not stored for ever")
    func endless() {
        var framer = SSEFramer(limit: 1000)
        let read = ByteBuffer(repeating: 0x61, count: 300)
        var taken = [Bool]()
        for _ in 0..<5 {
            taken.append(framer.take(read))
            #expect(framer.next() == nil)
        }
        #expect(taken == [true, true, true, false, false])
    }

    @Test("reads taken without asking for frames are not lost")
    func takenTwice() {
        var framer = SSEFramer()
        #expect(framer.take("data: a\n\nda".buffer) == true)
        #expect(framer.take("ta: b\n\n".buffer) == true)
        #expect(framer.next().map { Seen($0) } == Seen("data: a\n\n", data: "a"))
        #expect(framer.take("data: c\n\n".buffer) == true)
        #expect(framer.next().map { Seen($0) } == Seen("data: b\n\n", data: "b"))
        #expect(framer.next().map { Seen($0) } == Seen("data: c\n\n", data: "c"))
        #expect(framer.next() == nil)
    }

    @Test("names and the end mark are recognised")
    func recognised() {
        #expect(SSEEvent(name: "error".buffer, data: "".buffer).isNamed("error"))
        #expect(!SSEEvent(name: "errors".buffer, data: "".buffer).isNamed("error"))
        #expect(SSEEvent(data: "".buffer).isNamed("message"))
        #expect(!SSEEvent(data: "".buffer).isNamed("error"))
        for done in ["[DONE]", " [DONE] ", "\t[DONE]"] { #expect(SSEEvent(data: done.buffer).isDone) }
        for other in ["", "[DONE", "[DONE]x", "\"[DONE]\"", "{}", "[done]", "      "] {
            #expect(!SSEEvent(data: other.buffer).isDone)
        }
    }
}
