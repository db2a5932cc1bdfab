/// Why a call to a server failed, with a sentence for people.
public struct MartletError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it was.
    public enum Kind: String, Sendable, Hashable {
        case timeout, contextOverflow, rateLimit, connection, authentication, modelMissing, routeMissing, server,
            invalidRequest
    }

    public var kind: Kind
    /// A finished sentence: what failed and what to do.
    public var message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
