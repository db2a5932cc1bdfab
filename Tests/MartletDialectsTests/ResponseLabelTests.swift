import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Responses that are kept here")
struct ResponseLabelTests {
    static let label = ResponseLabel(id: "resp_ours", previousID: "resp_before")

    static func pipe(_ mode: ChatFrameEdit.Mode) -> ReplyPipe {
        var target = responsesTarget()
        target.mode = mode
        target.label = label
        return Dialects.pipe(from: .responses, to: target)
    }

    /// The Responses in a stream.
    static func responses(_ stream: String) -> [JSON] {
        stream.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("data: {") else { return nil }
            return try? JSON(parsing: ByteBuffer(substring: line.dropFirst(6)))["response"]
        }
    }

    @Test("a relayed stream bears our id and says what stayed here, all else as it came", arguments: [0, 7, 1000])
    func relayed(cut: Int) throws {
        for (mode, stream) in [
            (ChatFrameEdit.Mode.exact, ResponsesFrameEditTests.full()), (.repair, ResponsesFrameEditTests.full()),
            (.exact, ResponsesFrameEditTests.full(terminal: "incomplete")),
            (.exact, String(ResponsesFrameEditTests.full().dropLast(done.count))),
        ] {
            var pipe = Self.pipe(mode)
            var out = ByteBuffer()
            for read in reads(stream, of: cut) where pipe.pass(read, into: &out) == .complete { break }
            let text = out.string
            let told = Self.responses(text)
            #expect(told.count == 3)
            for response in told {
                #expect(response["id"] == "resp_ours" && response["previous_response_id"] == "resp_before")
                #expect(response["store"] == true && response["background"] == false && response["model"] == "m")
            }
            #expect(text.matches(of: /"zz_new":{"a":\[1\.0\]}/).count == 3)
            #expect(text.hasSuffix(done) && text.contains("\"obfuscation\":\"q\""))
            #expect(try JSON(parsing: try #require(pipe.finalObject)) == told.last)
            #expect(UpstreamResponsesGrammar(text).faults == [])
        }
    }

    @Test(
        "the end of a relayed stream is taken back when it could not be stored",
        arguments: [ChatFrameEdit.Mode.exact, .repair])
    func takenBack(mode: ChatFrameEdit.Mode) throws {
        var pipe = Self.pipe(mode)
        var out = ByteBuffer()
        _ = pipe.pass(ByteBuffer(string: ResponsesFrameEditTests.full()), into: &out)
        pipe.takeBackEnd(from: &out)
        #expect(!out.string.contains("response.completed"))
        pipe.fail(GatewayError(code: .storeUnavailable, message: "full"), into: &out)
        let numbers = out.string.matches(of: /"sequence_number":(\d+)/).compactMap { Int($0.output.1) }
        #expect(numbers == Array(0..<numbers.count))
        let last = try #require(Self.responses(out.string).last)
        #expect(last["status"] == "failed" && last["id"] == "resp_ours" && last["error"]?["message"] == "full")
    }

    @Test(
        "a relayed stream that fails ends in a Response, whatever its upstream said",
        arguments: [ChatFrameEdit.Mode.exact, .repair])
    func failed(mode: ChatFrameEdit.Mode) throws {
        let events = ResponsesFrameEditTests.full().split(separator: "\n\n").prefix(5).map { $0 + "\n\n" }
        let error = responsesEvent(
            "{'type':'error','sequence_number':5,'code':'server_error','message':'broken','param':null}")
        for (tail, word) in [(error, "broken"), ("", "closed")] {
            var pipe = Self.pipe(mode)
            var out = ByteBuffer()
            var finding = pipe.pass(ByteBuffer(string: events.joined() + tail), into: &out)
            if tail.isEmpty { finding = pipe.finish(into: &out) }
            guard case .failed(let reason) = finding else {
                Issue.record("no failure: \(finding)")
                continue
            }
            pipe.fail(reason, into: &out)
            let last = try #require(Self.responses(out.string).last)
            #expect(last["status"] == "failed" && last["id"] == "resp_ours")
            #expect(last["error"]?["message"]?.string?.contains(word) == true)
            #expect(out.string.matches(of: /event: error/).count == 1)
            #expect(try JSON(parsing: try #require(pipe.finalObject)) == last)
        }
    }

    @Test("a whole reply that is relayed says so too", arguments: [ChatFrameEdit.Mode.exact, .repair])
    func whole(mode: ChatFrameEdit.Mode) throws {
        let body = json(
            "{'id':'resp_1','object':'response','status':'completed','model':'up','output':[],'zz':[1.0],'store':false}"
        )
        var target = responsesTarget()
        target.mode = mode
        target.label = Self.label
        let reply = try Dialects.translateWhole(ByteBuffer(string: body), from: .responses, to: target)
        let said = try JSON(parsing: ByteBuffer(string: reply.pieces.map(\.string).joined()))
        #expect(said["id"] == "resp_ours" && said["store"] == true && said["model"] == "m" && said["zz"] != nil)
        #expect(said["previous_response_id"] == "resp_before")
    }

    @Test("a translated stream has the id it was promised")
    func translated() throws {
        var target = responsesTarget()
        target.label = Self.label
        let made = run(
            Dialects.pipe(from: .chat, to: target), [ByteBuffer(string: chunk("{'content':'hi'}") + finishStop + done)])
        #expect(Set(Self.responses(made.text).compactMap { $0["id"]?.string }) == ["resp_ours"])
    }

    @Test("a Response that waits, is under way, failed or was cancelled, and the events of each")
    func drafts() throws {
        let queued = ResponsesDraft.queued(Self.label, model: "m", created: 5, echo: nil)
        let begun = ResponsesDraft.begun(queued)
        let failed = ResponsesDraft.ended(queued, .failed, GatewayError(code: .upstreamTimeout, message: "too late"))
        let cancelled = ResponsesDraft.ended(queued, .cancelled)
        let states = try [queued, begun, failed, cancelled].map { try JSON(parsing: $0)["status"]?.string }
        #expect(states == ["queued", "in_progress", "failed", "cancelled"])
        #expect(try JSON(parsing: failed)["error"]?["message"] == "too late")
        for ended in [failed, cancelled] {
            let events = ResponsesDraft.events(ended)
            #expect(events.count == 3)
            #expect(ResponsesDraft.cut(ByteBuffer(string: events.map(\.string).joined() + done)) == events)
            #expect(events.last.flatMap(ResponsesDraft.ending) == ended)
            #expect(events.first.flatMap(ResponsesDraft.ending) == nil)
            #expect(ResponsesDraft.lastEvent(ended, number: 2) == events[2])
        }
    }

    @Test("a Response that is longer than an event may be is told all the same, by its events and by its last one")
    func long() throws {
        let text = String(repeating: "x", count: WireLimits.event + 1)
        let part = "{\"type\":\"output_text\",\"annotations\":[],\"text\":\"\(text)\"}"
        let item = "{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[\(part)]}"
        for (status, ending) in [("completed", "completed"), ("incomplete", "incomplete"), ("cancelled", "failed")] {
            let object = ByteBuffer(
                string: "{\"id\":\"resp_1\",\"status\":\"\(status)\",\"output\":[\(item)]}")
            let events = ResponsesDraft.events(object)
            #expect(events.count == 9)
            #expect(events.last?.string.hasPrefix("event: response.\(ending)\n") == true)
            #expect(ResponsesDraft.lastEvent(object, number: 8) == events.last)
        }
    }
}
