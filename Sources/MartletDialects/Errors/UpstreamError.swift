import MartletWire
import NIOCore

/// What an upstream said about its failure, taken out of whatever shape it came in: a bare string, `error` as a string
/// or an object, nested once more, Anthropic's envelope, FastAPI's `detail`, or no JSON at all.
struct UpstreamError {
    var message = ""
    /// `type` and `code`, lowercased.
    var type = ""
    var code = ""
    var param: String?
    /// A `code` or `status` that is an HTTP status.
    var status: Int?
    var overflow = ContextOverflow()

    /// Text of an upstream that is passed on is cut to so many characters.
    private static let messageLimit = 2000

    init(_ body: ByteBuffer) {
        if let json = try? JSON(parsing: body) {
            take(json, depth: 0)
        } else {
            let text = String(buffer: body.part(0..<min(body.readableBytes, 4 * Self.messageLimit)))
            // A proxy's HTML page says nothing to a user.
            message = text.first { !$0.isWhitespace } == "<" ? "" : text
        }
        message = Self.clean(message)
    }

    private mutating func take(_ json: JSON, depth: Int) {
        switch json {
        case .string(let text): if message.isEmpty { message = text }
        case .object(let members):
            // The inner object knows more than its envelope.
            if depth < 4, let inner = members["error"] ?? members["detail"], !inner.isNull {
                take(inner, depth: depth + 1)
            }
            if message.isEmpty, let text = members["message"]?.string ?? members["msg"]?.string { message = text }
            if type.isEmpty, let word = members["type"]?.string, word != "error" { type = word.lowercased() }
            if code.isEmpty, let word = members["code"]?.string { code = word.lowercased() }
            param = param ?? members["param"]?.string
            if status == nil, let number = members["code"]?.int ?? members["status"]?.int, 400..<600 ~= number {
                status = number
            }
            overflow.prompt = overflow.prompt ?? members["n_prompt_tokens"]?.int
            overflow.maximum = overflow.maximum ?? members["n_ctx"]?.int
            if message.isEmpty, depth == 0, members["error"] == nil { message = json.text }
        case .array(let elements):
            if depth < 4, let first = elements.first { take(first, depth: depth + 1) }
        case .null, .bool, .number: break
        }
    }

    /// Nothing in it tells of a failure.
    var isSilent: Bool { message.isEmpty && type.isEmpty && code.isEmpty && status == nil }

    var isOverflow: Bool {
        OverflowText.matches(message) || OverflowText.matches(type) || OverflowText.matches(code)
    }

    /// One line, of bounded length, without the user part of URLs.
    private static func clean(_ text: String) -> String {
        var line = text.trimmingPrefix { $0.isWhitespace }.prefix(messageLimit)
        while line.last?.isWhitespace == true { line.removeLast() }
        var rest = line
        var result = ""
        while let scheme = rest.firstRange(of: "://") {
            result += rest[..<scheme.upperBound]
            rest = rest[scheme.upperBound...]
            let authority = rest.prefix { !$0.isWhitespace && $0 != "/" && $0 != "\"" && $0 != "?" }
            if let at = authority.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        }
        return result + rest
    }
}
