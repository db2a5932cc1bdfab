package import MartletDialects
package import NIOCore

/// A request as the front read it: its head's facts and its whole body. Immutable; a class so that
/// passing it on costs one count.
package final class InboundRequest: Sendable {
    package let id: String
    package let method: String
    package let path: String
    package let endpoint: Endpoint
    /// Shape of every answer, errors included.
    package let dialect: DialectID
    /// Header lines that travel upstream as they are: `anthropic-…`, `openai-…`, `x-stainless-…`.
    package let forwarded: [(name: String, value: String)]
    package let query: String
    package let body: ByteBuffer
    /// Digest of the token it came with, whose are the responses it makes; empty where no token is asked for.
    package let owner: KeyTable.Digest
    /// Nil: it came over HTTP.
    package let turn: SocketTurn?
    /// Of LM Studio's older API.
    package let isLegacy: Bool

    package init(
        id: String, method: String, path: String, endpoint: Endpoint, dialect: DialectID,
        forwarded: [(name: String, value: String)] = [], query: String = "", body: ByteBuffer = ByteBuffer(),
        owner: KeyTable.Digest = [], turn: SocketTurn? = nil
    ) {
        self.id = id
        self.method = method
        self.path = path
        self.endpoint = endpoint
        self.dialect = dialect
        self.forwarded = forwarded
        self.query = query
        self.body = body
        self.owner = owner
        self.turn = turn
        isLegacy = Endpoints.isLegacy(path[...])
    }
}

extension [(name: String, value: String)] {
    /// The client's `anthropic-beta` lists, among header lines.
    package var betas: [String] { filter { $0.name.lowercased() == "anthropic-beta" }.map(\.value) }
}

/// What an upstream's response head says.
package struct UpstreamHead: Sendable, Hashable {
    package enum Content: Sendable, Hashable { case eventStream, json, other }

    package var status: Int
    package var content: Content
    package var retryAfter: TimeAmount?
    /// The header lines as they came, without the status line and the blank line.
    package var lines: ByteBuffer

    package init(status: Int, content: Content, retryAfter: TimeAmount? = nil, lines: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.content = content
        self.retryAfter = retryAfter
        self.lines = lines
    }

    package var isSuccess: Bool { (200..<300).contains(status) }
}

/// How an exchange ended: one per exchange, made in one place.
package struct ExchangeRecord: Sendable {
    package enum Outcome: Sendable, Hashable {
        case complete
        /// Answered with an error, as a status or inside the stream.
        case failed(ErrorCode)
        case clientGone
    }

    package var outcome: Outcome
    /// The place that was last tried; nil when the request was refused before.
    package var place: Candidate?
    /// It as `upstream/model`.
    package var candidate: String? { place?.shown }
    package var attempts: Int
    /// From the last byte of the request.
    package var duration: TimeAmount
    package var firstByte: TimeAmount?
    package var committed: Bool
    /// How far the schemas had to be simplified; nil: not at all.
    package var rung: SchemaRung?
    /// The answer was asked for twice, the first not being in the form that was asked for.
    package var asksAgain = false
    /// What became of calls the upstream left in its text.
    package var calls = CallTally()
}
