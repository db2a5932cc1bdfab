import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Replies of LM Studio's own API.
@Suite("Replies of LM Studio's own API")
struct LMStudioReplyTests {
    static func body(_ output: String, tokens: Int = 4) -> ByteBuffer {
        ByteBuffer(
            json:
                "{'model_instance_id':'acme/writer-8b','output':[\(output)],'stats':{'input_tokens':20,'total_output_tokens':\(tokens),'reasoning_output_tokens':1}}"
        )
    }

    func whole(_ body: ByteBuffer, _ context: ReplyContext = ReplyContext(), to client: DialectID = .chat) throws
        -> JSON
    {
        let whole = try Dialects.translateWhole(body, from: .lmstudio, to: replyTarget(client), context: context)
        return try JSON(parsing: whole.pieces.map(\.string).joined())
    }

    @Test("a whole reply, with its reasoning and its tokens")
    func whole() throws {
        let reply = try whole(Self.body("{'type':'reasoning','content':'hm'},{'type':'message','content':'Hi.'}"))
        #expect(reply["choices"]?[0]?["message"]?["content"] == "Hi.")
        #expect(reply["choices"]?[0]?["message"]?["reasoning_content"] == "hm")
        #expect(reply["choices"]?[0]?["finish_reason"] == "stop")
        #expect(reply["usage"]?["prompt_tokens"] == 20 && reply["usage"]?["completion_tokens"] == 4)
        #expect(reply["usage"]?["completion_tokens_details"]?["reasoning_tokens"] == 1)
    }

    @Test("which model answered is told")
    func model() throws {
        let reply = try Dialects.translateWhole(Self.body(""), from: .lmstudio, to: replyTarget(.chat))
        #expect(reply.summary.model == "acme/writer-8b")
    }

    @Test(
        "a reply as long as it was allowed to be was cut off",
        arguments: [(nil, "stop"), (5, "stop"), (4, "length"), (3, "length")])
    func limit(_ limit: Int?, _ reason: String) throws {
        var context = ReplyContext()
        context.outputLimit = limit
        let reply = try whole(Self.body("{'type':'message','content':'Hi.'}"), context)
        #expect(reply["choices"]?[0]?["finish_reason"]?.string == reason)
    }

    @Test("the gateway itself ends the text at a stop string")
    func stops() throws {
        let reply = try whole(Self.body("{'type':'message','content':'one STOP two'}"), ReplyContext(stops: ["STOP"]))
        #expect(reply["choices"]?[0]?["message"]?["content"] == "one ")
    }

    @Test(
        "errors, whatever their status, are what they say",
        arguments: [
            (404, "{'error':{'type':'model_not_found','message':'nothing of that name'}}", ErrorCode.modelNotFound),
            (200, "{'error':{'type':'model_not_found','message':'nothing of that name'}}", .modelNotFound),
            (200, "{'error':'Unexpected endpoint or method. (POST /api/v1/chat)'}", .notFound),
            (
                400, "{'error':{'type':'invalid_request','message':'Unrecognized key(s)','code':'unrecognized_keys'}}",
                .unrecognizedKeys
            ),
            (
                200, "{'error':{'type':'invalid_request','message':'Unrecognized key(s)','code':'unrecognized_keys'}}",
                .unrecognizedKeys
            ),
            (200, "{'error':{'type':'invalid_request','message':'\\'model\\' is required'}}", .invalidRequest),
            (500, "{'error':{'type':'internal_error','message':'The template failed'}}", .upstreamFailed),
            (
                500,
                "{'error':{'type':'internal_error','message':'request (900 tokens) exceeds the available context size (512 tokens)'}}",
                .contextOverflow
            ),
            (400, "{'error':'The initial prompt is too long: n_keep (900) >= n_ctx (512)'}", .contextOverflow),
        ])
    func errors(_ status: Int, _ text: String, _ code: ErrorCode) {
        let body = ByteBuffer(json: text.replacing("\\'", with: ""))
        #expect(Dialects.readError(status: status, body: body).code == code)
        guard status == 200 else { return }
        do throws(GatewayError) {
            _ = try Dialects.translateWhole(body, from: .lmstudio, to: replyTarget(.chat))
            Issue.record("taken as a reply")
        } catch {
            #expect(error.code == code)
        }
        // The same where a stream was asked for.
        let streamed = run(Dialects.pipe(from: .lmstudio, to: replyTarget(.chat)), [body])
        if case .failed(let error) = streamed.finding {
            #expect(error.code == code)
        } else {
            Issue.record("no failure")
        }
    }

    @Test("a whole reply that comes where a stream was asked for is said as one")
    func streamed() {
        let body = Self.body("{'type':'message','content':'Hi.'}")
        let relayed = run(Dialects.pipe(from: .lmstudio, to: replyTarget(.chat)), [body])
        #expect(relayed.finding == .complete)
        #expect(relayed.text.contains(json("'content':'Hi.'")))
        #expect(relayed.tally.model == "acme/writer-8b")
    }

    @Test("an empty stream, and one without its end, failed")
    func empty() {
        let start = "event: chat.start\ndata: {\"type\":\"chat.start\",\"model_instance_id\":\"m\"}\n\n"
        for stream in ["", start] {
            let relayed = run(Dialects.pipe(from: .lmstudio, to: replyTarget(.chat)), reads(stream, of: 0))
            guard case .failed(let error) = relayed.finding else { return #expect(Bool(false), "no failure") }
            #expect(error.code == .upstreamClosedEarly)
        }
    }
}
