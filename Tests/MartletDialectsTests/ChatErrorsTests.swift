import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Errors of upstreams, and ours")
struct ChatErrorsTests {
    static let shapes: [(Int, String, ErrorCode, String)] = [
        (400, "{'error':'text'}", .invalidRequest, "text"),
        (400, "'text'", .invalidRequest, "text"),
        (400, "text\n", .invalidRequest, "text"),
        (
            400, "{'error':{'message':'text','type':'invalid_request_error','param':'p','code':null}}",
            .invalidRequest, "text"
        ),
        (400, "{'error':{'error':{'message':'text'},'message':'outer'}}", .invalidRequest, "text"),
        (
            400, "{'type':'error','error':{'type':'invalid_request_error','message':'text'}}",
            .invalidRequest, "text"
        ),
        (422, "{'detail':[{'loc':['body'],'msg':'text'}]}", .invalidRequest, "text"),
        (400, "{'object':'error','message':'text','code':400}", .invalidRequest, "text"),
        (400, "", .invalidRequest, "the upstream refused the request"),
        (502, "<html><body>Bad gateway</body></html>", .upstreamFailed, "the upstream failed (HTTP 502)"),
        (500, "{'error':{'message':'text'}}", .upstreamFailed, "text"),
        (
            503, "{'error':{'code':503,'message':'Loading model','type':'unavailable_error'}}",
            .upstreamOverloaded, "Loading model"
        ),
        (529, "{'error':'text'}", .upstreamOverloaded, "text"),
        (
            500, "{'error':{'message':'image input is not supported - hint: you may need the mmproj'}}",
            .invalidRequest,
            "image input is not supported - hint: you may need the mmproj"
        ),
        (
            500, "{'error':{'message':'audio input is not supported - hint: you may need the mmproj'}}",
            .invalidRequest,
            "audio input is not supported - hint: you may need the mmproj"
        ),
        (429, "{'error':{'message':'text'}}", .rateLimited, "text"),
        (
            404, "{'error':{'message':'The model `x` does not exist','code':'model_not_found'}}",
            .modelNotFound, "The model `x` does not exist"
        ),
        (404, "{'error':'nothing here'}", .notFound, "nothing here"),
        (
            200, "{'error':'Unexpected endpoint or method. (POST /v1/x)'}", .notFound,
            "Unexpected endpoint or method. (POST /v1/x)"
        ),
        (200, "{'error':{'message':'text','code':503}}", .upstreamOverloaded, "text"),
        (
            200, "{'type':'error','error':{'type':'rate_limit_error','message':'text'}}", .rateLimited,
            "text"
        ),
        (413, "", .bodyTooLarge, "the upstream finds the request too large"),
        (408, "", .upstreamTimeout, "the upstream took too long"),
        (
            501, "{'error':{'code':501,'message':'start it with --embeddings','type':'not_supported_error'}}",
            .invalidRequest, "start it with --embeddings"
        ),
        (504, "", .upstreamTimeout, "the upstream took too long"),
        (
            400, "{'error':'see http://user:secret@host:1/x and https://host/'}", .invalidRequest,
            "see http://host:1/x and https://host/"
        ),
    ]

    @Test(
        "The status of an upstream that failed is told as it is, or by its class",
        arguments: [
            (500, 500, 500), (501, 500, 500), (502, 502, 502), (503, 503, 529), (504, 504, 504), (529, 503, 529),
        ])
    func status(upstream: Int, chat: Int, anthropic: Int) {
        let error = ChatErrors.read(status: upstream, body: ByteBuffer(json: "{'error':'text'}"))
        #expect(ErrorTable.status(error, for: .chat) == chat)
        #expect(ErrorTable.status(error, for: .anthropic) == anthropic)
    }

    @Test("C16: every shape of an error body gives its code and text", arguments: shapes)
    func shape(status: Int, body: String, code: ErrorCode, message: String) {
        let error = ChatErrors.read(status: status, body: ByteBuffer(json: body), retryAfter: .seconds(3))
        #expect(error.code == code)
        #expect(error.message == message)
        #expect(error.retryAfter == .seconds(3))
    }

    @Test("E18: an upstream that refuses our key is a 502 that does not quote it", arguments: [401, 403])
    func credentials(status: Int) {
        let error = ChatErrors.read(status: status, body: ByteBuffer(json: "{'error':'bad key sk-1'}"))
        #expect(error.code == .upstreamCredentials)
        #expect(!error.message.contains("sk-1"))
        #expect(ErrorTable.status(error, for: .chat) == 502)
        #expect(ErrorTable.status(error, for: .anthropic) == 502)
    }

    static let overflows: [(Int, String, Int?, Int?)] = [
        (
            400,
            "{'error':{'code':400,'message':'the request exceeds the available context size','type':'exceed_context_size_error','n_prompt_tokens':9000,'n_ctx':4096}}",
            9000, 4096
        ),
        (
            500,
            "{'error':'request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it'}",
            9000, 4096
        ),
        (400, "'n_keep: 9000 >= n_ctx: 4096'", 9000, 4096),
        (
            500,
            "{'error':{'code':500,'message':'input (302 tokens) is too large to process. increase the physical batch size "
                + "(current batch size: 128)','type':'server_error'}}", 302, 128
        ),
        (200, "{'error':{'message':'Input does not fit in context length 4096'}}", nil, 4096),
        (
            400,
            "{'object':'error','message':'This model\\u0027s maximum context length is 4,096 tokens. However, you requested 9,000 tokens (8000 in the messages, 1000 in the completion).'}",
            9000, 4096
        ),
        (
            400,
            "{'type':'error','error':{'type':'invalid_request_error','message':'prompt is too long: 9000 tokens > 4096 maximum'}}",
            9000, 4096
        ),
        (
            400, "{'error':{'message':'model gpt-4-32k: too many tokens','code':'context_length_exceeded'}}",
            nil, nil
        ),
        (413, "{'error':'Input is too long.'}", nil, nil),
    ]

    @Test("E8: an overflow is recognised in every wording, with its numbers", arguments: overflows)
    func overflow(status: Int, body: String, prompt: Int?, maximum: Int?) {
        let error = ChatErrors.read(status: status, body: ByteBuffer(json: body))
        #expect(error.code == .contextOverflow)
        #expect(error.overflow == ContextOverflow(prompt: prompt, maximum: maximum))
        #expect(ErrorTable.status(error, for: .anthropic) == 400)
        let chat = ErrorTable.body(error, for: .chat, requestID: "").string
        #expect(chat.contains(json("'code':'context_length_exceeded'")))
        let anthropic = ErrorTable.body(error, for: .anthropic, requestID: "").string
        #expect(anthropic.contains("prompt is too long"))
        if let prompt, let maximum {
            #expect(anthropic.contains("prompt is too long: \(prompt) tokens > \(maximum) maximum"))
            #expect(chat.contains("\(prompt)") && chat.contains("\(maximum)"))
        }
    }

    @Test(
        "what only looks like an overflow is none",
        arguments: [
            (500, "{'error':'failed to load model: context size too large'}"),
            (504, "{'error':'context length'}"),
            (400, "{'error':'name is too long'}"),
        ])
    func noOverflow(status: Int, body: String) {
        #expect(ChatErrors.read(status: status, body: ByteBuffer(json: body)).code != .contextOverflow)
    }

    @Test("an upstream's other 4xx keeps its status")
    func status() {
        let error = ChatErrors.read(status: 422, body: ByteBuffer(json: "{'error':'x'}"))
        #expect(ErrorTable.status(error, for: .chat) == 422)
        #expect(ErrorTable.status(error, for: .anthropic) == 422)
    }

    static let table: [(ErrorCode, Int, Int, String, String?, String)] = [
        (.invalidRequest, 400, 400, "invalid_request_error", nil, "invalid_request_error"),
        (.invalidJSON, 400, 400, "invalid_request_error", nil, "invalid_request_error"),
        (.invalidStreamID, 400, 400, "invalid_request_error", "invalid_stream_id", "invalid_request_error"),
        (
            .tooManyStreams, 400, 400, "invalid_request_error", "websocket_stream_limit_reached",
            "invalid_request_error"
        ),
        (
            .connectionTooOld, 400, 400, "invalid_request_error", "websocket_connection_limit_reached",
            "invalid_request_error"
        ),
        (.missingParameter, 400, 400, "invalid_request_error", "missing_required_parameter", "invalid_request_error"),
        (.invalidUnion, 400, 400, "invalid_request_error", "invalid_union", "invalid_request_error"),
        (.unrecognizedKeys, 400, 400, "invalid_request_error", "unrecognized_keys", "invalid_request_error"),
        (.mcpDenied, 403, 403, "invalid_request_error", nil, "permission_error"),
        (.mcpUnknown, 400, 400, "invalid_request_error", nil, "invalid_request_error"),
        (.mcpFailed, 424, 424, "external_connector_error", "http_error", "invalid_request_error"),
        (.toolLimit, 422, 422, "invalid_request_error", "tool_limit", "invalid_request_error"),
        (.unsupportedEncoding, 415, 400, "invalid_request_error", "unsupported_encoding", "invalid_request_error"),
        (.bodyTooLarge, 413, 413, "invalid_request_error", "request_too_large", "request_too_large"),
        (.headersTooLarge, 431, 431, "invalid_request_error", "request_too_large", "request_too_large"),
        (.unauthorized, 401, 401, "invalid_request_error", "invalid_api_key", "authentication_error"),
        (.forbiddenHost, 403, 403, "permission_error", "forbidden_host", "permission_error"),
        (.forbiddenOrigin, 403, 403, "permission_error", "forbidden_origin", "permission_error"),
        (.modelNotAllowed, 403, 403, "permission_error", "model_not_allowed", "permission_error"),
        (.modelNotFound, 404, 404, "invalid_request_error", "model_not_found", "not_found_error"),
        (.notFound, 404, 404, "invalid_request_error", nil, "not_found_error"),
        (.methodNotAllowed, 405, 405, "invalid_request_error", "method_not_allowed", "invalid_request_error"),
        (.modelMismatch, 404, 404, "invalid_request_error", "model_not_found", "not_found_error"),
        (
            .previousResponseNotFound, 400, 400, "invalid_request_error", "previous_response_not_found",
            "invalid_request_error"
        ),
        (.storeUnavailable, 503, 503, "server_error", "store_unavailable", "api_error"),
        (.schemaRefused, 400, 400, "invalid_request_error", nil, "invalid_request_error"),
        (.answerMisfit, 400, 400, "invalid_request_error", nil, "invalid_request_error"),
        (.contextOverflow, 400, 400, "invalid_request_error", "context_length_exceeded", "invalid_request_error"),
        (.queueFull, 429, 429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
        (.rateLimited, 429, 429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
        (.upstreamOverloaded, 503, 529, "server_error", "upstream_unavailable", "overloaded_error"),
        (.upstreamUnreachable, 502, 502, "server_error", "upstream_unavailable", "api_error"),
        (.upstreamFailed, 500, 500, "server_error", "upstream_error", "api_error"),
        (.upstreamBadReply, 502, 502, "server_error", "upstream_bad_reply", "api_error"),
        (.upstreamClosedEarly, 502, 502, "server_error", "upstream_closed", "api_error"),
        (.upstreamCredentials, 502, 502, "server_error", "upstream_credentials", "api_error"),
        (.upstreamTimeout, 504, 504, "server_error", "upstream_timeout", "timeout_error"),
        (.unsupportedParameter, 400, 400, "invalid_request_error", "unsupported_parameter", "invalid_request_error"),
        (.engineFailed, 502, 502, "server_error", "engine_failed", "api_error"),
        (.modelLoadFailed, 500, 500, "server_error", "model_load_failed", "api_error"),
        (.modelTooLarge, 503, 503, "server_error", "model_too_large", "api_error"),
        (.eventTooLong, 502, 502, "server_error", "upstream_bad_reply", "api_error"),
        (.shuttingDown, 503, 503, "server_error", "shutting_down", "overloaded_error"),
        (.internalError, 500, 500, "server_error", "internal_error", "api_error"),
    ]

    @Test(
        "a schema that cannot be used is told from other refusals, by what is said and the status",
        arguments: [
            (400, "Failed to initialize samplers: failed to parse grammar", true),
            (400, "JSON schema error at #/properties/a: unrecognized type strong", true),
            (500, "Invalid regex in guided decoding", true), (422, "unsupported keyword", true),
            (500, "failed to parse the model's output", false), (400, "temperature is too high", false),
            (400, "messages: the pattern of roles must alternate", false), (400, "invalid pattern (?=x)", true),
            (404, "no such schema", false), (400, "schema: the prompt exceeds the context size", false),
        ])
    func schema(status: Int, text: String, isRefusal: Bool) {
        let body = ByteBuffer(string: json("{'error':{'message':'\(text)'}}"))
        let error = ChatErrors.read(status: status, body: body)
        #expect((error.code == .schemaRefused) == isRefusal)
        #expect(!isRefusal || error.message == text)
    }

    @Test("a refusal that names what has no schema is not of one", arguments: ["temperature", "tools[0].function"])
    func refusedMember(param: String) {
        let body = ByteBuffer(string: json("{'error':{'message':'Unsupported value','param':'\(param)'}}"))
        #expect((ChatErrors.read(status: 400, body: body).code == .schemaRefused) == param.hasPrefix("tools"))
    }

    @Test("a success that tells nothing is a bad reply, not a failure with a made-up status", arguments: ["[]", "[1]"])
    func silent(body: String) {
        let error = ChatErrors.read(status: 200, body: ByteBuffer(string: body))
        #expect(
            error.code == .upstreamBadReply && error.message == "the upstream answered with something that is no reply")
    }

    @Test("each code has its status, type and code in each dialect", arguments: table)
    func row(
        code: ErrorCode, chat: Int, anthropic: Int, type: String, wire wireCode: String?, anthropicType: String
    ) throws {
        let error = GatewayError(code: code, message: "say \"why\"", param: "p")
        #expect(ErrorTable.status(error, for: .chat) == chat)
        #expect(ErrorTable.status(error, for: .anthropic) == anthropic)
        let wire = wireCode.map { "'\($0)'" } ?? "null"
        #expect(
            ErrorTable.body(error, for: .chat, requestID: "r").string
                == json("{'error':{'message':'say \\'why\\'','type':'\(type)','param':'p','code':\(wire)}}"))
        let body = ErrorTable.body(error, for: .anthropic, requestID: "req_1").string
        #expect(body.contains(json("'type':'\(anthropicType)'")) && body.hasSuffix(json(",'request_id':'req_1'}")))
        #expect(ErrorTable.shortName(error) == code.rawValue)
        #expect(ErrorTable.status(error, for: .lmstudio) == chat)
        let native = try JSON(parsing: ErrorTable.body(error, for: .lmstudio, requestID: "r"))
        #expect(native["error"]?["message"] == "say \"why\"" && native["error"]?["param"] == "p")
        #expect(native["error"]?["code"] == nativeCode(code) ?? wireCode.map(JSON.string))
        #expect(native["error"]?["type"] == nativeType(code))
    }

    /// Where LM Studio's own API says more.
    func nativeCode(_ code: ErrorCode) -> JSON? {
        switch code {
        case .mcpDenied: "mcp_denied"
        case .mcpFailed: "mcp_server_failed"
        case .mcpUnknown: "mcp_server_not_found"
        default: nil
        }
    }

    /// Of those that LM Studio has.
    func nativeType(_ code: ErrorCode) -> JSON {
        switch code {
        case .modelNotFound, .modelMismatch: "model_not_found"
        case .unsupportedParameter: "not_implemented"
        case .mcpDenied, .mcpFailed: "mcp_connection_error"
        case .mcpUnknown: "plugin_connection_error"
        case .queueFull, .rateLimited, .shuttingDown, .upstreamOverloaded, .upstreamUnreachable, .upstreamTimeout:
            "unknown"
        case .engineFailed, .modelLoadFailed, .modelTooLarge, .storeUnavailable, .internalError, .upstreamFailed,
            .upstreamBadReply, .upstreamClosedEarly, .upstreamCredentials, .eventTooLong:
            "internal_error"
        default: "invalid_request"
        }
    }

    @Test("in LM Studio's own form nothing stands that says nothing")
    func nativeForm() {
        let error = GatewayError(code: .invalidRequest, message: "no")
        #expect(
            ErrorTable.body(error, for: .lmstudio, requestID: "r").string
                == json("{'error':{'type':'invalid_request','message':'no'}}"))
    }

    @Test("the table has a row for each code, and the test one for each row")
    func complete() {
        #expect(Set(ErrorTable.codes) == Set(Self.table.map(\.0)))
        #expect(ErrorTable.shortName(GatewayError(code: ErrorCode(rawValue: "x"), message: "")) == "other")
    }

    @Test("an unknown model is named in Anthropic's words")
    func unknownModel() {
        let error = GatewayError.modelNotFound("qwen3")
        #expect(
            ErrorTable.body(error, for: .anthropic, requestID: "").string
                == json("{'type':'error','error':{'type':'not_found_error','message':'model: qwen3'}}"))
        #expect(
            ErrorTable.body(error, for: .chat, requestID: "").string.contains(
                json("model \\'qwen3\\' is not installed")))
    }
}
