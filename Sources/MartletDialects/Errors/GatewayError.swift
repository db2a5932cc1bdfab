/// Why an exchange failed, before any dialect has worded it.
package struct GatewayError: Error, Hashable, Sendable {
    package var code: ErrorCode
    /// For the user: what, which, what to do. Never credentials, upstream addresses with user info, or prompt text.
    package var message: String
    /// The request's field at fault, where there is one.
    package var param: String?
    /// For the log only.
    package var detail: String?
    package var retryAfter: Duration?
    /// Overrides the table's HTTP status, for example with the upstream's own 4xx.
    package var status: Int?
    /// What the error is about: for `modelNotFound` the model's id, which some dialects put in place of the message.
    package var subject: String?
    /// For `contextOverflow`: the numbers, where they are known.
    package var overflow: ContextOverflow?

    package init(
        code: ErrorCode, message: String, param: String? = nil, detail: String? = nil, retryAfter: Duration? = nil,
        status: Int? = nil, subject: String? = nil, overflow: ContextOverflow? = nil
    ) {
        self.code = code
        self.message = message
        self.param = param
        self.detail = detail
        self.retryAfter = retryAfter
        self.status = status
        self.subject = subject
        self.overflow = overflow
    }
}

extension GatewayError {
    /// As `retry-after` says it: never 0, which asks for no pause.
    package var retryAfterSeconds: Int64? { retryAfter.map { max(1, $0.components.seconds) } }
}

/// By how much a prompt did not fit. Both in tokens; nil where the upstream did not say.
package struct ContextOverflow: Hashable, Sendable {
    package var prompt: Int?
    package var maximum: Int?
    /// Of several texts, which is the longest.
    package var longestText: Int?

    package init(prompt: Int? = nil, maximum: Int? = nil) {
        self.prompt = prompt
        self.maximum = maximum
    }
}

package extension GatewayError {
    /// A prompt that does not fit; each dialect words it with the numbers, as its clients expect them.
    static func contextOverflow(
        prompt: Int? = nil, maximum: Int? = nil, detail: String? = nil
    ) -> GatewayError {
        GatewayError(
            code: .contextOverflow, message: "the prompt does not fit in the model's context window",
            detail: detail, overflow: ContextOverflow(prompt: prompt, maximum: maximum))
    }

    static func modelNotFound(_ model: String, message: String? = nil) -> GatewayError {
        GatewayError(
            code: .modelNotFound, message: message ?? "model \"\(model)\" is not installed or served",
            param: "model", subject: model)
    }

    /// No stored response of that id.
    static func previousResponseNotFound(_ id: String) -> GatewayError {
        GatewayError(
            code: .previousResponseNotFound, message: "Previous response with id '\(id.prefix(128))' not found.",
            param: "previous_response_id", subject: id)
    }

    /// No item of that id stands where a reference could mean it.
    static func itemNotFound(_ id: String) -> GatewayError {
        GatewayError(
            code: .notFound, message: "Item with id '\(id.prefix(128))' not found.", param: "input", subject: id)
    }

    /// A reply that comes when nobody wants it any more.
    static func cancelled(_ id: String) -> GatewayError {
        GatewayError(code: .invalidRequest, message: "the response \(id.prefix(128)) was cancelled")
    }

    static var closedEarly: GatewayError {
        GatewayError(code: .upstreamClosedEarly, message: "upstream closed the stream early")
    }

    static var eventTooLong: GatewayError {
        GatewayError(code: .eventTooLong, message: "the upstream sent an event over the size limit")
    }

    /// What an upstream wrote could not be read as its dialect.
    init(unreadable error: DialectError) {
        switch error.code {
        case .truncated: self = .closedEarly
        case .malformed, .unexpected:
            self.init(
                code: .upstreamBadReply, message: "the upstream sent a reply that could not be read",
                detail: error.sentence)
        }
    }
}
