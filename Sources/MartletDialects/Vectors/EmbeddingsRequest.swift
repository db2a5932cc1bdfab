import MartletWire
import NIOCore

/// What a request for embeddings asks for.
struct EmbeddingsRequest: Sendable, Hashable {
    /// Texts or lists of tokens, each of which gets a vector.
    private(set) var count = 0
    /// Which of several is the longest.
    private(set) var longest: Int?
    /// Vectors as base64 of little-endian 32-bit floats, else as lists of numbers.
    private(set) var isBase64 = false
    /// Length of the vectors; nil: the model's own.
    private(set) var dimensions: Int?
    /// Of all inputs: counted where they are tokens, else estimated.
    private(set) var tokens = 0

    /// - Parameter takesTokens: false refuses lists of tokens.
    init(_ document: JSONDocument, takesTokens: Bool) throws(GatewayError) {
        var form = EmbeddingsInput()
        do throws(DialectError) {
            var members = try RequestMembers(document)
            let input = try members.read("input") { (walk) throws(DialectError) in
                try EmbeddingsInput(&walk)
            }
            guard let input else { throw DialectError(.unexpected, at: "input", "is required") }
            form = input
            let format = try members.read("encoding_format") { (walk) throws(DialectError) in
                let word = try walk.string()
                guard word == "float" || word == "base64" else {
                    throw DialectError(.unexpected, "must be float or base64 (got \(word.prefix(40)))")
                }
                return word
            }
            isBase64 = format == "base64"
            dimensions = try members.read("dimensions") { (walk) throws(DialectError) in
                let dimensions = try walk.int()
                guard dimensions > 0 else {
                    throw DialectError(.unexpected, "must be a whole number above 0 (got \(dimensions))")
                }
                return dimensions
            }
        } catch {
            throw GatewayError(refusing: error)
        }
        if form.isTokens, !takesTokens {
            throw .unsupported("input", "the server of this model takes text only, not tokens; send the text itself")
        }
        count = form.count
        longest = count > 1 ? form.longest : nil
        tokens = form.isTokens ? form.tokens : TokenEstimate.of(bytes: form.bytes)
    }
}

/// `input`: a text, tokens, or a list of either.
private struct EmbeddingsInput {
    var count = 0
    var tokens = 0
    var bytes = 0
    var isTokens = false
    private(set) var longest = 0
    private var most = 0

    init() {}

    init(_ walk: inout RequestWalk) throws(DialectError) {
        switch try walk.kind() {
        case .string: try takeText(&walk)
        case .array:
            var first: JSONKind?
            try walk.array { (walk, _) throws(DialectError) in
                let kind = try walk.kind()
                guard first == nil || first == kind else {
                    throw DialectError(.unexpected, "must be of the same kind as the first")
                }
                first = kind
                switch kind {
                case .string: try takeText(&walk)
                case .number: try takeToken(&walk)
                case .array:
                    let before = tokens
                    try walk.array { (walk, _) throws(DialectError) in try takeToken(&walk) }
                    guard tokens > before else { throw DialectError(.unexpected, "must hold at least one token") }
                    add(tokens - before)
                case .object, .bool, .null: throw Self.misfit
                }
            }
            switch first {
            case nil: throw DialectError(.unexpected, "must hold at least one text")
            case .number: count = 1
            default: break
            }
        case .object, .bool, .number, .null: throw Self.misfit
        }
    }

    private mutating func takeText(_ walk: inout RequestWalk) throws(DialectError) {
        let text = try walk.escaped()
        guard !text.isEmpty else { throw DialectError(.unexpected, "must not be empty") }
        bytes += text.bytes.readableBytes
        add(text.bytes.readableBytes)
    }

    /// - Parameter length: in whatever all of them are measured.
    private mutating func add(_ length: Int) {
        if length > most { (longest, most) = (count, length) }
        count += 1
    }

    private mutating func takeToken(_ walk: inout RequestWalk) throws(DialectError) {
        guard try walk.int() >= 0 else { throw DialectError(.unexpected, "must be a token's number") }
        isTokens = true
        tokens += 1
    }

    private static var misfit: DialectError {
        DialectError(.unexpected, "must be a text, a list of texts, or tokens")
    }
}
