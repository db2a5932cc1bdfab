import CScan
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Mutated texts against the obvious way to read them; see `Fuzz` for how long, and `Scripts/fuzz`.
@Suite("Fuzzing bytes, JSON and event streams", .serialized)
struct WireFuzzTests {
    static let texts: [[UInt8]] = [
        #"{"id":"c","object":"chat.completion.chunk","created":1,"choices":[{"index":0,"delta":{"content":"Hé \u00e9 \ud83d\ude00 \"q\" \\ \/"},"finish_reason":null}],"usage":null}"#,
        #"[0,-1.5e+10,true,false,null,"",[],{},[[1,[2,[3]]]],{"a":{"b":{"c":["x\n\t\r\b\f"]}}}]"#,
        #"{"type":"image","data":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="}"#,
        #" { "日本語" : "\u65e5\u672c" , "😀":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef日" } "#,
    ].map(\.bytes)

    static let streams: [[UInt8]] = [
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: ping\n\ndata: a\ndata: b\nid: 7\nretry: 10\n\n",
        "data: {\"choices\":[]}\r\n\r\ndata: x\r\rdata: y\n\r\ndata: [DONE]\n\n",
        "\u{FEFF}data\n\ndata:\n\n:\n\nevent\n\n",
    ].map(\.bytes)

    @Test("the block scanner finds what a look at each byte finds, wherever it begins")
    func scanner() {
        let fault = Fuzz(.scanner).run(Self.texts + Self.streams, count: 1500) { bytes, random in
            let from = random.below(bytes.count + 1)
            return bytes.withUnsafeBufferPointer { whole in
                guard let start = whole.baseAddress else { return nil }
                return Self.scannerFault(UnsafeBufferPointer(start: start + from, count: whole.count - from))
            }
        }
        #expect(fault == nil)
    }

    private static func scannerFault(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        guard let p = bytes.baseAddress else { return nil }
        let n = bytes.count
        if cscan_line_end(p, n, 0) != bytes.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) ?? n { return "line end" }
        let plain = bytes.firstIndex { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C } ?? n
        if cscan_plain(p, n) != plain { return "plain" }
        let digits = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        if (cscan_is_base64(p, n) != 0) != bytes.allSatisfy(digits.contains) { return "base64" }
        if n >= 64 {
            var mask: UInt64 = 0
            for k in 0..<64 where cscan_is_special(p[k]) != 0 { mask |= 1 << UInt64(k) }
            if cscan_special64(p) != mask { return "special" }
        }
        // Through a small room, step by step, as a writer with little space does.
        var escaped: [UInt8] = []
        var taken = 0
        while taken < n {
            var room = [UInt8](repeating: 0, count: 7)
            let step = cscan_escape(p + taken, n - taken, &room, room.count)
            if step.taken == 0 { return "escaping stands still" }
            taken += step.taken
            escaped += room.prefix(step.written)
        }
        let isText = String(validating: bytes, as: UTF8.self) != nil
        if (cscan_is_content(escaped, escaped.count) != 0) != isText { return "escaped content" }
        var back = [UInt8](repeating: 0, count: escaped.count)
        let length = cscan_unescape(escaped, escaped.count, &back)
        return back.prefix(length).elementsEqual(bytes) ? nil : "escaped and unescaped"
    }

    @Test("a text is JSON exactly when the standard says so, and is written as it was read")
    func json() {
        let fault = Fuzz(.json).run(Self.texts, count: 1500) { bytes, _ in
            let text = ByteBuffer(bytes: bytes)
            let document = try? JSONDocument(checking: text)
            if (document != nil) != SlowJSON.accepts(bytes) { return "checker and standard differ" }
            do throws(JSONError) {
                let value = try JSON(parsing: text)
                guard document != nil else { return "parsed what the checker refuses" }
                let written = value.text
                if (try? JSON(parsing: written))?.text != written { return "written and read again differ" }
            } catch {
                if error.offset < 0 || error.offset > bytes.count { return "the error points outside" }
            }
            return nil
        }
        #expect(fault == nil)
    }

    @Test("joined frames are the stream, whatever the cuts")
    func framer() {
        let fault = Fuzz(.framer).run(Self.streams + Self.texts, count: 1500) { bytes, random in
            let whole = Self.frames(bytes) { bytes.count }
            for _ in 0..<3 {
                let most = random.pick([1, 3, 20, 200])
                if Self.frames(bytes, { 1 + random.below(most) }) != whole { return "cut, it differs" }
            }
            let joined = whole.flatMap { Array($0.bytes.readableBytesView) }
            return joined == bytes ? nil : "bytes were lost"
        }
        #expect(fault == nil)
    }

    private static func frames(_ bytes: [UInt8], _ size: () -> Int) -> [SSEFrame] {
        var framer = SSEFramer()
        var frames: [SSEFrame] = []
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + size())
            guard framer.take(ByteBuffer(bytes: bytes[at..<end])) else { return frames }
            while let frame = framer.next() { frames.append(frame) }
            at = end
        }
        if let frame = framer.finish() { frames.append(frame) }
        return frames
    }
}
