import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Responses over a WebSocket")
struct ResponsesSocketTests {
    private func create(_ text: String) throws(GatewayError) -> ResponsesCreate {
        try ResponsesCreate(ByteBuffer(string: text))
    }

    @Test("A message is the body of a POST, without what is about the connection")
    func body() throws {
        let plain = try create(#"{"type":"response.create","model":"m","input":"hi","x":[1,2.50]}"#)
        #expect(String(buffer: plain.body) == #"{"model":"m","input":"hi","x":[1,2.50],"stream":true}"#)
        #expect(plain.generates && plain.stream == nil && plain.previousID == nil)
        let full = try create(
            #"{"stream":false,"generate":false,"stream_id":"a.B-9_","previous_response_id":"resp_1","type":"response.create"}"#
        )
        #expect(String(buffer: full.body) == #"{"stream":true,"previous_response_id":"resp_1"}"#)
        #expect(!full.generates && full.stream == "a.B-9_" && full.previousID == "resp_1")
        #expect(try create(#"{"type":"response.create","generate":null,"background":false}"#).generates)
    }

    @Test(
        "What is no such message is refused by name",
        arguments: [
            ("", nil, "invalid_json"), ("[]", nil, "invalid_json"), (#"{"a":"#, nil, "invalid_json"),
            ("{}", "type", "invalid_request"), (#"{"type":7}"#, "type", "invalid_request"),
            (#"{"type":"response.steer"}"#, "type", "invalid_request"),
            (#"{"type":"response.create","generate":"no"}"#, "generate", "invalid_request"),
            (#"{"type":"response.create","background":true}"#, "background", "invalid_request"),
            (#"{"type":"response.create","stream_id":""}"#, "stream_id", "invalid_stream_id"),
            (#"{"type":"response.create","stream_id":"a\"b"}"#, "stream_id", "invalid_stream_id"),
            (#"{"type":"response.create","stream_id":7}"#, "stream_id", "invalid_stream_id"),
            (#"{"type":"response.create","type":"response.create"}"#, "type", "invalid_json"),
        ] as [(String, String?, String)])
    func refusals(text: String, param: String?, code: String) {
        #expect {
            try create(text)
        } throws: { error in
            let error = error as? GatewayError
            return error?.code.rawValue == code && error?.param == param
        }
    }

    @Test("Errors say their status, a code and, where there is one, the member at fault")
    func errors() throws {
        let missing = try JSON(parsing: ResponsesSocketEvent.error(.previousResponseNotFound("resp_1")))
        #expect(missing["type"]?.string == "error" && missing["status"]?.int == 400)
        #expect(missing["error"]?["code"]?.string == "previous_response_not_found")
        #expect(missing["error"]?["param"]?.string == "previous_response_id")
        let plain = try JSON(
            parsing: ResponsesSocketEvent.error(GatewayError(code: .invalidRequest, message: "no \"x\"")))
        #expect(plain["error"]?["code"]?.string == "invalid_request_error", "every error has a code")
        #expect(plain["error"]?["message"]?.string == "no \"x\"")
        let own = ResponsesSocketEvent.error(
            status: 418, body: ByteBuffer(string: #"{"error":{"message":"m","x":1.50}}"#))
        #expect(String(buffer: own) == #"{"type":"error","status":418,"error":{"message":"m","x":1.50}}"#)
        let text = try JSON(parsing: ResponsesSocketEvent.error(status: 502, body: ByteBuffer(string: "<html>")))
        #expect(text["status"]?.int == 502 && text["error"]?["code"]?.string != nil)
    }

    @Test("An event of a lane says which")
    func lanes() {
        func said(_ text: String, _ stream: String?) -> String {
            ResponsesSocketEvent.pieces(ByteBuffer(string: text), stream: stream).map { String(buffer: $0) }.joined()
        }
        #expect(said(#"{"type":"x"}"#, nil) == #"{"type":"x"}"#)
        #expect(said(#"{"type":"x"}"#, "a.b") == #"{"stream_id":"a.b","type":"x"}"#)
        #expect(said("{}", "a") == "{}" && said("null", "a") == "null")
    }

    @Test("Errors and last events are known by their name, or by their type where they have none")
    func kinds() {
        func event(_ type: String, named: Bool) -> SSEEvent {
            SSEEvent(
                name: named ? ByteBuffer(string: type) : nil,
                data: ByteBuffer(string: named ? "{}" : "{\"a\":1,\"type\":\"\(type)\"}"))
        }
        for named in [true, false] {
            #expect(ResponsesSocketEvent.isError(event("error", named: named)))
            #expect(!ResponsesSocketEvent.isError(event("response.failed", named: named)))
            #expect(ResponsesSocketEvent.isLast(event("response.incomplete", named: named)))
            #expect(!ResponsesSocketEvent.isLast(event("response.output_text.delta", named: named)))
        }
    }

    @Test("A reply is remembered with all that led to it")
    func remembered() {
        func items(_ texts: [String]) -> [ByteBuffer] { texts.map { ByteBuffer(string: $0) } }
        let object = ByteBuffer(string: #"{"output":[{"b":2},{"c":3}],"id":"resp_\u0031"}"#)
        let held = RememberedResponse(object, before: items(["{}"]), own: items([#"{"a":1}"#]))
        #expect(held?.id == "resp_1")
        #expect(held?.items.map { String(buffer: $0) } == ["{}", #"{"a":1}"#, #"{"b":2}"#, #"{"c":3}"#])
        #expect(held?.bytes == 23)
        #expect(RememberedResponse(ByteBuffer(string: #"{"error":{}}"#), before: [], own: []) == nil)
    }

    @Test("An output without its call is refused, unless what was compacted may hold the call")
    func orphans() throws {
        func check(_ own: String, after before: String...) throws(GatewayError) {
            try ResponsesRequest.checkOutputs([ByteBuffer(string: own)], after: before.map { ByteBuffer(string: $0) })
        }
        let told = #"{"type":"function_call_output","call_id":"c1","output":""}"#
        try check(told, after: #"{"type":"function_call","call_id":"c1"}"#)
        try check(told, after: #"{"type":"compaction","encrypted_content":""}"#)
        try check(#"{"type":"message"}"#)
        #expect(throws: GatewayError.self) { try check(told) }
        #expect(throws: GatewayError.self) { try check(told, after: #"{"type":"function_call","call_id":"c2"}"#) }
        #expect(throws: GatewayError.self) { try check(told, after: told) }
    }
}
