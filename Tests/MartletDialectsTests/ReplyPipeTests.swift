import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("The pipe between upstream and client")
struct ReplyPipeTests {
    static let a = chunk("{'content':'a'}")

    @Test("findings grow from nothing to usable to complete")
    func findings() {
        var pipe = chatPipe(.repair)
        var out = ByteBuffer()
        #expect(pipe.pass(ByteBuffer(json: ": hi\n\n"), into: &out) == .nothing)
        #expect(pipe.pass(ByteBuffer(json: chunk("{'role':'assistant'}")), into: &out) == .nothing)
        #expect(pipe.pass(ByteBuffer(json: Self.a), into: &out) == .usable)
        #expect(pipe.pass(ByteBuffer(json: finishStop), into: &out) == .usable)
        #expect(pipe.pass(ByteBuffer(json: done), into: &out) == .complete)
        #expect(pipe.pass(ByteBuffer(json: Self.a), into: &out) == .complete)
        let length = out.readableBytes
        #expect(pipe.finish(into: &out) == .complete)
        #expect(out.readableBytes == length)
        #expect(pipe.tally.finishReason == .stop)
        #expect(pipe.tally.deltas == 1 && pipe.tally.deltaBytes == 1)
        #expect(pipe.tally.id == "c" && pipe.tally.model == "m")
    }

    static let verdicts: [(String, ErrorCode?)] = [
        ("", .upstreamClosedEarly),
        (a, .upstreamClosedEarly),
        (a + "data: {'id':'c", .upstreamClosedEarly),
        (a + finishStop, nil),
        (a + done, nil),
        (a + finishStop + done, nil),
        (done, .upstreamBadReply), ("{'id':'c','choices':[]}", .upstreamBadReply),
        (head + "'choices':[]}\n\n" + done, .upstreamBadReply),
        ("data: {'error':{'message':'x'}}\n\n", .upstreamFailed),
        (a + finishStop + "data: {'error':{'message':'x'}}\n\n", .upstreamFailed),
    ]

    @Test("the end of a stream gets its verdict", arguments: verdicts)
    func verdict(stream: String, code: ErrorCode?) {
        for mode in [ChatFrameEdit.Mode.exact, .repair] {
            let finding = relay(json(stream), mode).finding
            if case .failed(let error) = finding {
                #expect(error.code == code)
            } else {
                #expect(finding == .complete)
                #expect(code == nil)
            }
        }
    }

    @Test("a failed frame is not written; its failure is said once, by whoever decides")
    func failedFrame() {
        var pipe = chatPipe(.repair)
        var out = ByteBuffer()
        let finding = pipe.pass(ByteBuffer(json: Self.a + "data: {'error':'boom'}\n\n" + Self.a), into: &out)
        #expect(
            finding == .failed(GatewayError(code: .upstreamFailed, message: "boom", detail: "upstream HTTP 500: boom")))
        #expect(out.string == Self.a)
        #expect(pipe.finish(into: &out) == finding)
        #expect(out.string == Self.a)
    }

    @Test("an exact relay gives the upstream's own error in its own words")
    func exactError() {
        let error = json("data: {'error':{'message':'boom','code':'odd'}}\n\n")
        #expect(relay(Self.a + error + done, .exact).text == Self.a + error)
    }

    @Test("a relay that only watches passes on what it cannot read")
    func unreadable() {
        #expect(
            relay("data: oops\n\n" + Self.a + finishStop + done, .exact).text == "data: oops\n\n" + Self.a + finishStop
                + done)
        let bare = ReplyPipe(reader: ChatStreamReader(), dialect: .chat)
        #expect(
            run(bare, reads("data: oops\n\n" + finishStop + done, of: 3)).text == "data: oops\n\n" + finishStop + done)
    }

    @Test("an event that the upstream's end has torn goes to nobody, and the failure follows cleanly")
    func torn() {
        let relayed = relay(Self.a + json("data: {'id':"), .exact)
        #expect(relayed.text.hasPrefix(Self.a + json("data: {'error':{'message':'upstream closed")))
    }

    @Test("an event that lacks only its blank line goes on, and a failure begins a line of its own")
    func unclosed() {
        let whole = String(Self.a.dropLast(2))
        let relayed = relay(whole, .exact)
        #expect(relayed.text.hasPrefix(whole + json("\n\ndata: {'error':{'message':'upstream closed")))
    }

    @Test("a whole reply where a stream was asked for becomes one", arguments: [0, 1, 7])
    func whole(cut: Int) {
        let body =
            "\n {'id':'c','object':'chat.completion','created':1,'model':'up','choices':[{'index':0,"
            + "'message':{'role':'assistant','content':'a\\nb'},'finish_reason':'stop'}],'usage':{'prompt_tokens':1}}"
        let relayed = run(chatPipe(.repair), reads(json(body), of: cut))
        #expect(relayed.text == chunk("{'role':'assistant','content':'a\\nb'}", finish: "'stop'") + done)
        #expect(relayed.finding == .complete)
        #expect(relayed.tally.usage.input == 1)
    }

    @Test("a whole error where a stream was asked for fails before anything is written")
    func wholeError() {
        var pipe = chatPipe(.repair)
        var out = ByteBuffer()
        let body = "{'error':'Unexpected endpoint or method. (POST /v1/chat/completions)'}"
        _ = pipe.pass(ByteBuffer(json: body), into: &out)
        guard case .failed(let error) = pipe.finish(into: &out) else {
            Issue.record("not failed")
            return
        }
        #expect(error.code == .notFound)
        #expect(out.readableBytes == 0)
    }

    @Test("an event over the limit fails")
    func tooLong() {
        var pipe = chatPipe(.exact)
        var out = ByteBuffer()
        var finding = Finding.nothing
        let read = ByteBuffer(repeating: UInt8(ascii: "x"), count: 1 << 20)
        for _ in 0...16 where finding == .nothing { finding = pipe.pass(read, into: &out) }
        #expect(finding == .failed(.eventTooLong))
    }

    @Test("keep-alives and failures have their dialect's form")
    func forms() {
        var out = ByteBuffer()
        var chat = ReplyPipe(reader: ChatStreamReader(), dialect: .chat)
        chat.keepAlive(into: &out)
        chat.fail(.closedEarly, into: &out)
        #expect(
            out.string
                == json(
                    ": keepalive\n\ndata: {'error':{'message':'upstream closed the stream early',"
                        + "'type':'server_error','param':null,'code':'upstream_closed'}}\n\n"))
        out.clear()
        var anthropic = ReplyPipe(reader: ChatStreamReader(), dialect: .anthropic, requestID: "req_1")
        anthropic.keepAlive(into: &out)
        anthropic.fail(.closedEarly, into: &out)
        #expect(
            out.string
                == json(
                    "event: ping\ndata: {'type':'ping'}\n\nevent: error\ndata: {'type':'error','error':"
                        + "{'type':'api_error','message':'upstream closed the stream early'},'request_id':'req_1'}\n\n")
        )
        out.clear()
        var edited = chatPipe(.repair)
        edited.keepAlive(into: &out)
        #expect(out.string == ": keepalive\n\n")
    }
}
