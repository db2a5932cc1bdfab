import MartletDialects
import MartletWire
import NIOCore
import Testing

/// JSON that was asked for and came as reasoning, beside an empty text, on a Chat relay.
@Suite("JSON that lands in the reasoning of a relayed reply")
struct MisplacedJSONTests {
    static let context: ReplyContext = {
        var context = ReplyContext(wantsJSON: true)
        context.misplacesJSON = true
        return context
    }()

    static let stream =
        chunk("{'role':'assistant','reasoning_content':'{\\'a\\''}".replacing("\\'", with: "\\\""))
        + chunk("{'reasoning_content':':1}'}") + finishStop + done

    static func body(_ content: String, _ reasoning: String) -> ByteBuffer {
        ByteBuffer(
            string:
                #"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"\#(content)","reasoning_content":"\#(reasoning)"},"finish_reason":"stop"}]}"#
        )
    }

    func text(_ stream: String, _ mode: ChatFrameEdit.Mode, _ context: ReplyContext, cut: Int = 0) -> [String] {
        var target = replyTarget(.chat)
        target.mode = mode
        let relayed = run(Dialects.pipe(from: .chat, to: target, context: context), reads(stream, of: cut))
        var (content, reasoning) = ("", "")
        for line in relayed.text.split(separator: "\n") where line.hasPrefix("data: {") {
            let delta = (try? JSON(parsing: String(line.dropFirst(6))))?["choices"]?[0]?["delta"]
            content += delta?["content"]?.string ?? ""
            reasoning += delta?["reasoning_content"]?.string ?? ""
        }
        return [content, reasoning]
    }

    @Test("a stream's becomes its text, however it is cut", arguments: [0, 1, 7, 64])
    func streamed(cut: Int) {
        #expect(text(Self.stream, .repair, Self.context, cut: cut) == [#"{"a":1}"#, ""])
    }

    @Test("not in exact mode, and not where nobody asked for JSON")
    func left() {
        #expect(text(Self.stream, .exact, Self.context) == ["", #"{"a":1}"#])
        var context = Self.context
        context.wantsJSON = false
        #expect(text(Self.stream, .repair, context) == ["", #"{"a":1}"#])
    }

    @Test(
        "a whole reply's becomes its text, unless it has one",
        arguments: [("", #"{\"a\":1}"#, #"{"a":1}"#), ("x", #"{\"a\":1}"#, "x"), ("", "hm", "")])
    func whole(content: String, reasoning: String, expected: String) throws {
        let whole = try Dialects.translateWhole(
            Self.body(content, reasoning), from: .chat, to: replyTarget(.chat), context: Self.context)
        let reply = try JSON(parsing: whole.pieces.map(\.string).joined())
        #expect(reply["choices"]?[0]?["message"]?["content"]?.string ?? "" == expected)
    }
}
