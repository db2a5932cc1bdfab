package import MartletWire

/// How a request wants its model, should it be the one for which that is loaded; a model that is loaded already stays
/// as it is. Nil: it does not say.
package struct LoadWish: Sendable, Hashable {
    /// Idle time after which the model is unloaded (`ttl`, in seconds).
    package var ttl: Duration?
    /// Tokens of its window (`context_length`).
    package var contextLength: Int?

    /// What says it in a request.
    package static let members: Set<String> = ["ttl", "context_length"]

    package init(ttl: Duration? = nil, contextLength: Int? = nil) {
        self.ttl = ttl
        self.contextLength = contextLength
    }

    /// - Parameters: the members of these names.
    /// - Throws: `invalidRequest` for a value that cannot be meant.
    package init(ttl: JSONMember?, contextLength: JSONMember?, in document: JSONDocument) throws(GatewayError) {
        self.ttl = try Self.number(ttl, "ttl", 1...Self.longestTTL, in: document).map { .seconds($0) }
        self.contextLength = try Self.number(contextLength, "context_length", 1...Int(Int32.max), in: document)
    }

    /// Seconds: a year.
    package static let longestTTL = 365 * 86400

    private static func number(
        _ member: JSONMember?, _ name: String, _ range: ClosedRange<Int>, in document: JSONDocument
    ) throws(GatewayError) -> Int? {
        guard let member, member.kind != .null else { return nil }
        guard let number = document.int(member), range.contains(number) else {
            throw GatewayError(
                code: .invalidRequest,
                message: "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)", param: name)
        }
        return number
    }
}
