import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// A client's frame.
private func frame(
    _ opcode: UInt8, _ payload: [UInt8] = [], isLast: Bool = true, mask: [UInt8] = [0xA1, 0x02, 0xF3, 0x04]
) -> [UInt8] {
    var bytes = [opcode | (isLast ? 0x80 : 0)]
    switch payload.count {
    case 0..<126: bytes.append(0x80 | UInt8(payload.count))
    case 126..<(1 << 16): bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default: bytes += [0x80 | 127] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
    }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
}

private func frame(_ opcode: UInt8, _ payload: String, isLast: Bool = true) -> [UInt8] {
    frame(opcode, Array(payload.utf8), isLast: isLast)
}

private struct Read: Hashable {
    var messages: [WebSocketReader.Message] = []
    var end: WebSocketViolation.Code?
    var isInMessage = false
}

private func read(_ bytes: [UInt8], limit: Int = 1 << 20, cut: (Int) -> Int) -> Read {
    var reader = WebSocketReader(limit: limit)
    var read = Read()
    var at = 0
    while at < bytes.count {
        let end = min(bytes.count, at + max(1, cut(at)))
        reader.take(ByteBuffer(bytes: bytes[at..<end]))
        at = end
        do throws(WebSocketViolation) {
            while let message = try reader.next() { read.messages.append(message) }
        } catch {
            #expect(!error.reason.isEmpty)
            read.end = error.code
        }
    }
    read.isInMessage = reader.isInMessage
    return read
}

private func text(_ text: String) -> WebSocketReader.Message { .text(ByteBuffer(string: text)) }

@Suite("What clients send over WebSockets")
struct WebSocketReaderTests {
    private static let long = String(repeating: "åb", count: 300)
    fileprivate static let good: [(String, [UInt8], [WebSocketReader.Message])] = [
        ("nothing", [], []),
        ("a text", frame(1, "{}"), [text("{}")]),
        ("an empty text", frame(1), [text("")]),
        ("a long text", frame(1, long), [text(long)]),
        (
            "fragments, cut inside a character",
            frame(1, [0xE2], isLast: false) + frame(0, [], isLast: false) + frame(0, [0x82, 0xAC]), [text("€")]
        ),
        (
            "controls between fragments",
            frame(1, "a", isLast: false) + frame(9, "p") + frame(10, "q") + frame(0, "b") + frame(1, "c"),
            [.ping(ByteBuffer(string: "p")), .pong, text("ab"), text("c")]
        ),
        (
            "the longest ping", frame(9, String(repeating: "x", count: 125)),
            [
                .ping(ByteBuffer(string: String(repeating: "x", count: 125)))
            ]
        ),
        ("a close without a code", frame(8), [.close(nil)]),
        ("a close", frame(8, [3, 232] + Array("bye".utf8)), [.close(1000)]),
        ("a close with a code of one's own", frame(8, [0x0F, 0xA0]), [.close(4000)]),
    ]

    @Test("However they are cut, messages are the same", arguments: good.indices)
    func cuts(index: Int) {
        let (name, bytes, messages) = Self.good[index]
        for size in 1...max(1, bytes.count) {
            #expect(read(bytes) { _ in size } == Read(messages: messages), "\(name) in pieces of \(size)")
        }
    }

    fileprivate static let bad: [(String, [UInt8], WebSocketViolation.Code)] = [
        ("no mask", [0x81, 0x02, 0x7B, 0x7D], .broken),
        ("a reserved bit", [0xC1, 0x80, 1, 2, 3, 4], .broken),
        ("an unknown opcode", frame(3, "x"), .broken),
        ("an unknown control opcode", frame(11), .broken),
        ("a continuation of nothing", frame(0, "x"), .broken),
        ("a text inside a text", frame(1, "a", isLast: false) + frame(1, "b"), .broken),
        ("a control in fragments", frame(9, "a", isLast: false), .broken),
        ("a control that is too long", frame(9, String(repeating: "x", count: 126)), .broken),
        ("two bytes for a short length", [0x81, 0xFE, 0, 125, 1, 2, 3, 4], .broken),
        ("eight bytes for a short length", [0x81, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4], .broken),
        ("a length of more than 63 bits", [0x81, 0xFF, 255, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], .broken),
        ("a close of one byte", frame(8, [3]), .broken),
        ("a close that no one may send", frame(8, [3, 237]), .broken),
        ("a close below all codes", frame(8, [0, 1]), .broken),
        ("a binary message", frame(2, "{}"), .unsupported),
        ("bytes that are not UTF-8", frame(1, [0xC0, 0x80]), .notUTF8),
        ("half a character", frame(1, [0xE2, 0x82], isLast: false) + frame(0, "x"), .notUTF8),
        ("a reason that is not UTF-8", frame(8, [3, 232, 0xFF]), .notUTF8),
        ("a frame over the limit", [0x81, 0xFE, 4, 1, 1, 2, 3, 4], .tooBig),
        (
            "fragments over the limit together",
            frame(1, String(repeating: "x", count: 1000), isLast: false) + frame(0, String(repeating: "x", count: 25)),
            .tooBig
        ),
        ("a length nobody could keep", [0x81, 0xFF, 127, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4], .tooBig),
    ]

    @Test("What breaks the protocol ends it with its code", arguments: bad.indices)
    func violations(index: Int) {
        let (name, bytes, code) = Self.bad[index]
        for size in 1...bytes.count {
            let said = read(frame(1, "before") + bytes + frame(1, "behind"), limit: 1024) { _ in size }
            #expect(said == Read(messages: [text("before")], end: code), "\(name) in pieces of \(size)")
        }
    }

    @Test("A message has a bounded number of fragments, also of empty ones")
    func fragments() {
        let most = WireLimits.webSocketFragments
        let begun = frame(1, [], isLast: false)
        let more = frame(0, [], isLast: false)
        let fits = begun + Array(repeating: more, count: most - 2).joined() + frame(0, "x")
        #expect(read(fits) { _ in 4096 } == Read(messages: [text("x")]))
        #expect(read(begun + Array(repeating: more, count: most).joined()) { _ in 4096 }.end == .tooBig)
    }

    @Test("A message that has begun is known to have")
    func begun() {
        #expect(read(frame(1, "a", isLast: false)) { _ in 1 }.isInMessage)
        #expect(read(Array(frame(1, "abc").dropLast())) { _ in 3 }.isInMessage)
        #expect(read([0x81]) { _ in 1 }.isInMessage)
        #expect(!read(frame(9, "a")) { _ in 1 }.isInMessage)
    }

    @Test("Random messages in random fragments and reads come out as they went in", arguments: 0..<40)
    func random(seed: UInt64) {
        var random = Seeded(seed)
        var bytes: [UInt8] = []
        var messages: [WebSocketReader.Message] = []
        for _ in 0..<random.below(6) + 1 {
            let length = random.below(10) == 0 ? 70_000 : random.below(300)
            let content = String((0..<length).map { _ in random.pick(Array("aß€😀{")) })
            var rest = Array(content.utf8)[...]
            var opcode: UInt8 = 1
            repeat {
                let piece = rest.prefix(rest.count > 1000 ? random.below(60_000) : random.below(rest.count + 1))
                rest = rest.dropFirst(piece.count)
                let mask = (0..<4).map { _ in UInt8(random.below(256)) }
                bytes += frame(opcode, Array(piece), isLast: rest.isEmpty, mask: mask)
                opcode = 0
                if !rest.isEmpty, random.below(3) == 0 {
                    bytes += frame(9, "p")
                    messages.append(.ping(ByteBuffer(string: "p")))
                }
            } while !rest.isEmpty
            messages.append(text(content))
        }
        let said = read(bytes, limit: 1 << 20) { _ in random.below(random.pick([3, 100, 5000])) }
        #expect(said == Read(messages: messages), "seed \(seed)")
    }
}

/// Mutated frames; see `Fuzz` for how long, and `Scripts/fuzz`.
@Suite("Fuzzing WebSockets", .serialized)
struct WebSocketFuzzTests {
    @Test("mutated frames are the same messages in any cut, and no message is over its limit")
    func sockets() {
        let corpus = WebSocketReaderTests.good.map(\.1) + WebSocketReaderTests.bad.map(\.1)
        let fault = Fuzz(.sockets).run(corpus, count: 1500) { bytes, random in
            let whole = read(bytes, limit: 500) { _ in bytes.count }
            for _ in 0..<3 {
                let most = random.pick([1, 3, 50])
                if read(bytes, limit: 500, cut: { _ in 1 + random.below(most) }) != whole { return "cut, it differs" }
            }
            for case .text(let text) in whole.messages where text.readableBytes > 500 { return "over the limit" }
            return nil
        }
        #expect(fault == nil)
    }
}

@Suite("What servers send over WebSockets")
struct WebSocketWriterTests {
    @Test("A length takes as few bytes as it can", arguments: [0, 1, 125, 126, 65535, 65536, 100_000])
    func lengths(count: Int) {
        var out = ByteBuffer()
        let half = ByteBuffer(repeating: 0x61, count: count / 2)
        out.writeWebSocketFrame(.text, [half, ByteBuffer(repeating: 0x62, count: count - count / 2)])
        let bytes = Array(out.readableBytesView)
        let head = count < 126 ? 2 : count < 65536 ? 4 : 10
        #expect(bytes.count == head + count && bytes[0] == 0x81)
        let length = head == 2 ? Int(bytes[1]) : bytes[2..<head].reduce(0) { $0 << 8 | Int($1) }
        #expect(length == count && (head == 2 || bytes[1] == (head == 4 ? 126 : 127)))
        #expect(bytes[head...].prefix(count / 2).allSatisfy { $0 == 0x61 } && bytes.last != 0x61)
    }

    @Test("A close frame has room for a code and as much of a reason as fits, in whole characters")
    func close() {
        var out = ByteBuffer()
        out.writeWebSocketClose(nil)
        #expect(Array(out.readableBytesView) == [0x88, 0])
        out.clear()
        out.writeWebSocketClose(1001, reason: String(repeating: "€", count: 60))
        let bytes = Array(out.readableBytesView)
        #expect(bytes[..<4] == [0x88, 125, 3, 233])
        #expect(String(validating: bytes[4...], as: UTF8.self) == String(repeating: "€", count: 41))
    }
}
