import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Failures as Responses streams")
struct ReplyResponsesFailureTests {
    @Test("6.3, D2, D3, D21: a failure after commitment is an error of both shapes, then response.failed, then [DONE]")
    func failure() {
        let relayed = asResponses(ReplyResponsesTests.text("a"))
        #expect(relayed.finding == .failed(.closedEarly))
        let sentence = "upstream closed the stream early"
        #expect(
            relayed.text.contains(
                json(
                    "event: error\ndata: {'type':'error','sequence_number':5,'code':'server_error','message':'\(sentence)','param':null,'error':{'type':'server_error','code':'server_error','message':'\(sentence)','param':null}}\n\nevent: response.failed\ndata: {'type':'response.failed','sequence_number':6,'response':{'id':'resp_"
                )))
        #expect(relayed.text.hasSuffix("data: [DONE]\n\n"))
        let reader = StrictResponsesReader(relayed.text)
        #expect(reader.faults == [])
        #expect(reader.response["error"] == ["code": "server_error", "message": .string(sentence)])
        #expect(reader.output.count == 1 && reader.output[0]["status"] == "incomplete")
        #expect(reader.output[0]["content"]?[0]?["text"] == "a")
    }

    static let codes: [(GatewayError, String, String)] = [
        (
            .contextOverflow(prompt: 9000, maximum: 8192), "context_length_exceeded",
            "This model's maximum context length is 8192 tokens. However, your prompt has 9000 tokens. Please shorten it."
        ),
        (
            GatewayError(code: .rateLimited, message: "too fast.", retryAfter: .seconds(2)), "rate_limit_exceeded",
            "too fast. Please try again in 2s."
        ),
        (GatewayError(code: .engineFailed, message: "it died"), "server_error", "it died"),
    ]

    @Test("D3: the codes an agent acts on stand in response.error, before anything else was said too", arguments: codes)
    func agentCodes(error: GatewayError, code: String, message: String) {
        var pipe = Dialects.pipe(from: .chat, to: responsesTarget())
        var out = ByteBuffer()
        pipe.fail(error, into: &out)
        let reader = StrictResponsesReader(out.string)
        #expect(reader.faults == [], "\(out.string)")
        #expect(reader.types == ["created", "in_progress", "error", "failed"])
        #expect(reader.response["error"] == ["code": .string(code), "message": .string(message)])
        #expect(pipe.finalObject.flatMap { try? JSON(parsing: $0) } == reader.response)
    }

    @Test("1.4.5: errors before the stream have Chat's form and status")
    func errorBody() {
        let error = GatewayError.modelNotFound("x")
        #expect(ErrorTable.status(error, for: .responses) == 404)
        #expect(
            ErrorTable.body(error, for: .responses, requestID: "r")
                == ErrorTable.body(error, for: .chat, requestID: "r"))
    }

    @Test("a relay that fails without a writer ends with a failed response all the same")
    func relayFailure() {
        var out = ByteBuffer()
        ErrorTable.writeInStream(.closedEarly, for: .responses, requestID: "", into: &out)
        let events = out.string.split(separator: "\n\n")
        #expect(events.count == 3 && events[1].hasPrefix("event: response.failed") && events[2] == "data: [DONE]")
    }
}
