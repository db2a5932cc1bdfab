import MartletDialects
package import NIOCore

/// Bounds on one exchange's waits at an upstream. Nil: none.
package struct Deadlines: Sendable, Hashable {
    package var connect: TimeAmount?
    /// From the request's last byte sent to the reply's first.
    package var firstByte: TimeAmount?
    /// Between two reads of a reply.
    package var idle: TimeAmount?
    /// From the decision to the end.
    package var total: TimeAmount?
    /// As `total`, for unstreamed exchanges only; where both are set, the shorter counts for these.
    package var unstreamedTotal: TimeAmount?
    /// Whether errors call the settings as the `inference:` form does.
    package var isInferenceForm = false

    package init(
        connect: TimeAmount? = .seconds(10), firstByte: TimeAmount? = .minutes(30), idle: TimeAmount? = .minutes(5),
        total: TimeAmount? = nil, unstreamedTotal: TimeAmount? = nil
    ) {
        self.connect = connect
        self.firstByte = firstByte
        self.idle = idle
        self.total = total
        self.unstreamedTotal = unstreamedTotal
    }
}

/// Bounds on the connections kept to an upstream, per event loop.
package struct ConnectionLimits: Sendable, Hashable {
    /// How long an idle connection is kept.
    package var keepAlive: TimeAmount
    package var maxIdle: Int

    package init(keepAlive: TimeAmount = .seconds(30), maxIdle: Int = 10) {
        self.keepAlive = keepAlive
        self.maxIdle = maxIdle
    }
}

/// One configured upstream. Immutable: a reload makes new ones.
package final class Upstream: Sendable {
    /// Where its connections go.
    package enum Location: Sendable, Hashable {
        case url(BaseURL)
        /// A model of this machine: the model host says, per model, where its engine listens.
        case hosted
    }

    package let name: String
    package let profile: UpstreamProfile
    package let location: Location
    package let mode: RelayMode
    /// `authorization: Bearer …` or `x-api-key: …`, ready to send; nil: none. A secret: never logged.
    package let credentialLine: Secret?
    /// The lines of every request after its first: `host`, `user-agent`, `content-type`
    /// and the credential. A secret too.
    package let headLines: Secret
    /// Requests in flight; the rest wait.
    package let maxConcurrent: Int
    package let deadlines: Deadlines
    /// Attempts after the first, before a reply has begun.
    package let retries: Int
    package let connections: ConnectionLimits
    /// What `withoutKey` takes out; nil: nothing. Shorter keys are placeholders, and words of other texts too.
    private let quotable: Secret?
    /// How its connections leave this machine.
    package let proxyUse: ProxyUse
    /// What a translation could only drop is refused (specs 2.0, strict mode).
    package let isStrict: Bool
    /// Chat clients get its thinking with the signatures, to give back.
    package let showsThinkingBlocks: Bool

    package init(
        name: String, profile: UpstreamProfile, location: Location, mode: RelayMode? = nil, apiKey: Secret? = nil,
        maxConcurrent: Int = 1024, deadlines: Deadlines = Deadlines(), retries: Int = 3,
        connections: ConnectionLimits = ConnectionLimits(), proxyUse: ProxyUse = .none, isStrict: Bool = false,
        showsThinkingBlocks: Bool = false
    ) {
        self.name = name
        self.profile = profile
        self.location = location
        self.mode = mode ?? profile.mode
        quotable = apiKey.flatMap { $0.revealed.utf8.count >= 12 ? $0 : nil }
        self.credentialLine = apiKey.map { key in
            switch profile.credential {
            case .bearer: Secret("authorization: Bearer \(key.revealed)\r\n")
            case .apiKey: Secret("x-api-key: \(key.revealed)\r\n")
            }
        }
        let authority = if case .url(let base) = location { base.origin.authority } else { "localhost" }
        headLines = Secret(
            "host: \(authority)\r\nuser-agent: martlet\r\ncontent-type: application/json\r\n"
                + (credentialLine?.revealed ?? ""))
        self.maxConcurrent = maxConcurrent
        self.deadlines = deadlines
        self.retries = retries
        self.connections = connections
        self.proxyUse = proxyUse
        self.isStrict = isStrict
        self.showsThinkingBlocks = showsThinkingBlocks
    }

    /// What the upstream says of a failure, for clients and logs: some quote the key that they were given.
    package func withoutKey(_ text: ByteBuffer) -> ByteBuffer {
        guard let key = quotable?.revealed.utf8, var found = text.readableBytesView.firstRange(of: key) else {
            return text
        }
        var rest = text.readableBytesView
        var masked = ByteBuffer()
        while true {
            masked.writeBytes(rest[..<found.lowerBound])
            masked.writeStaticString("•••")
            rest = rest[found.upperBound...]
            guard let next = rest.firstRange(of: key) else { break }
            found = next
        }
        masked.writeBytes(rest)
        return masked
    }

    package var prefix: String {
        if case .url(let base) = location { base.prefix } else { "" }
    }

    /// The place for people: `LM Studio at localhost:1234`.
    package var shown: String {
        switch location {
        case .url(let base):
            if case .unix = base.origin.address {
                profile.shownName
            } else {
                "\(profile.shownName) at \(base.origin.shown)"
            }
        case .hosted: profile.shownName
        }
    }
}

/// A key or token. Prints `•••`; its text is taken only where it is sent or compared.
package struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let revealed: String
    package init(_ text: String) { revealed = text }
    package var description: String { "•••" }
    package var debugDescription: String { "•••" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
