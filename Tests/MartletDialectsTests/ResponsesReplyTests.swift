import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Responses upstreams: whole replies")
struct ResponsesReplyTests {
    @Test("whole replies: an error in a 200, none at all, and a failed one")
    func wholeErrors() {
        func refused(_ body: String) -> String? {
            do {
                _ = try ResponsesReply.events(ByteBuffer(json: body))
                return nil
            } catch {
                return "\(error.code.rawValue): \(error.message)"
            }
        }
        #expect(refused("{'error':{'message':'no','type':'server_error'}}") == "upstream_failed: no")
        #expect(refused("{'error':'text'}") == "upstream_failed: text")
        #expect(
            refused("{'id':'r','status':'failed','error':{'code':'rate_limit_exceeded','message':'slow'},'output':[]}")
                == "rate_limited: slow")
        #expect(refused("{'object':'list'}")?.hasPrefix("upstream_failed") == true)
        #expect(refused("[]")?.hasPrefix("upstream_bad_reply") == true)
        #expect(refused("{") == "upstream_bad_reply: the upstream sent a reply that could not be read")
        #expect(refused(RStream.response("completed")) == nil)
    }

    @Test("a whole reply where a stream was asked for, and the reverse")
    func otherForm() throws {
        let whole = json(
            RStream.response("completed", RStream.usage).replacing(
                "'output':[]", with: "'output':[\(RStream.message("Hi")),\(RStream.call(1, "{}"))]"))
        let stream =
            RStream.created + RStream.text("Hi") + RStream.done(1, RStream.call(1, "{}"))
            + RStream.end("completed", RStream.usage)
        for client in [DialectID.chat, .anthropic] {
            #expect(fromResponses(whole, to: client) == fromResponses(stream, to: client))
            let target = replyTarget(client)
            let asWhole = try Dialects.translateWhole(ByteBuffer(string: whole), from: .responses, to: target)
            let asStream = try Dialects.translateWhole(ByteBuffer(string: stream), from: .responses, to: target)
            #expect(asWhole.pieces == asStream.pieces)
            #expect(asWhole.summary == asStream.summary)
        }
        let error = json("{'error':{'message':'no'}}")
        #expect(
            fromResponses(error, to: .anthropic).finding
                == .failed(ChatErrors.read(status: 200, body: .init(string: error))))
    }
}
