package import MartletWire

/// How a request wants its model, should it be the one for which that is loaded; a model that is loaded already stays
/// as it is. Nil: it does not say.
package struct LoadWish: Sendable, Hashable {
    /// Idle time after which the model is unloaded (`ttl`, in seconds).
    package var ttl: Duration?
    /// Tokens of its window (`context_length`).
    package var contextLength: Int?

    package init(ttl: Duration? = nil, contextLength: Int? = nil) {
        self.ttl = ttl
        self.contextLength = contextLength
    }

    /// - Throws: `invalidRequest` for a value that cannot be meant.
    package init(_ document: JSONDocument) throws(GatewayError) {
        let places: [Int?]
        do throws(JSONError) {
            places = try document.places(of: ["ttl", "context_length"])
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence, param: error.name)
        }
        ttl = try Self.number(places[0], "ttl", 1...Self.longestTTL, in: document).map { .seconds($0) }
        contextLength = try Self.number(places[1], "context_length", 1...Int(Int32.max), in: document)
    }

    /// Seconds: a year.
    package static let longestTTL = 365 * 86400

    private static func number(
        _ place: Int?, _ name: String, _ range: ClosedRange<Int>, in document: JSONDocument
    ) throws(GatewayError) -> Int? {
        guard let place, document.members[place].kind != .null else { return nil }
        guard let number = document.int(document.members[place]), range.contains(number) else {
            throw GatewayError(
                code: .invalidRequest,
                message: "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)", param: name)
        }
        return number
    }
}
