import MartletWire
package import NIOCore

/// Every bound of the data path, in one place. Each has a name, a unit and the reason for its size.
package enum Limits {
    /// Bytes of a request body after decoding (specs 0.1); `server.max_body` overrides it.
    package static let body = 32 << 20
    /// Bytes of an upstream's response head. llhttp allows 80 KiB in all; no upstream sends a tenth of it.
    package static let upstreamHead = 64 << 10
    /// Bytes of an upstream's error body that are read for the client; the rest tells nothing more.
    package static let errorBody = 1 << 20
    /// Bytes of an unstreamed reply: the largest body a request may have, doubled for embeddings of long inputs.
    package static let wholeReply = 64 << 20
    /// Upstream bytes that may go by before the status line leaves; more than the longest event there may be, so that
    /// an event without an end is still a status.
    package static let heldBack = WireLimits.event + (1 << 20)
    /// Silence after the request before the status line is committed and the first keep-alive sent (specs 0.4). With
    /// the tick it stays below the 5 s after which a client may think of giving up.
    package static let commitDelay = TimeAmount.milliseconds(4500)
    /// What is left of the hold after a `retry-after` for the answer to come: ticks are 100 ms, and refusals are quick.
    package static let answerRoom = TimeAmount.milliseconds(500)
    /// Silence after which a further keep-alive is sent (specs 0.4).
    package static let keepAliveInterval = TimeAmount.milliseconds(4500)
    /// Time a client may take to send its head and body, and to drain a reply that waits for it.
    package static let clientStall = TimeAmount.seconds(60)
    /// The longest pause before a retry where the upstream names none.
    package static let backOff = TimeAmount.seconds(30)
    /// The first pause before a retry where the upstream names none; it doubles with every attempt.
    package static let firstBackOff = TimeAmount.milliseconds(100)
    /// Bytes of an image's address, and redirects that are followed to it: what web servers and browsers manage.
    package static let imageAddress = 8 << 10
    package static let imageHops = 3
    /// Images of one request that are fetched for it, the bytes of all of them, and the time for that: a conversation's
    /// pictures, a body of the size a client may send itself, and less than a client's patience.
    package static let images = 16
    package static let imageBytes = 20 << 20
    package static let imageTime = TimeAmount.seconds(20)
    /// How long the end of an upstream's stream is waited for that has said all, so that its connection may be used again:
    /// it comes with the last event or right behind it.
    package static let streamEnd = TimeAmount.milliseconds(250)
    /// Bytes of a model name: long enough for any repository path, short enough for a header line.
    package static let modelName = 512
    /// How often a model may call tools that are run here before it has to have answered.
    package static let toolRounds = 25
    /// Calls of one round that are run; the model is told of the others. And how many of them at the same time.
    package static let roundCalls = 32
    package static let callsAtOnce = 4
    /// From the first call of a reply to its last result.
    package static let toolTime = TimeAmount.minutes(10)
    /// Tokens of all rounds of one reply, prompts included: a conversation of 40 000 in as many rounds as there may be.
    package static let toolTokens = 1_000_000
    /// Bytes of one result, and of all of one reply: more is no use to a model, and is paid for in every round.
    package static let toolResult = 256 << 10
    package static let toolResults = 1 << 20
    /// Responses that are made in the background at the same time.
    package static let background = 32
    /// How long one of them may take. Nobody waits for it, so nobody else would ever end it.
    package static let backgroundTime = TimeAmount.hours(6)
    /// Bytes of the events of one of them, which are held so that whoever comes later can read along.
    package static let backgroundEvents = 16 << 20
    /// Bytes that one who reads along is given at a time.
    package static let followedBatch = 64 << 10
    /// Bytes buffered towards one client before its upstream is paused; a quarter of it resumes the upstream.
    package static let clientHighWater = 256 << 10
    package static let clientLowWater = 64 << 10
    /// How long a WebSocket may be open, as OpenAI has it; a reply under way is ended first.
    package static let socketLifetime = TimeAmount.minutes(60)
    /// How long nothing may come from its client while nothing is answered. Who answers pings may stay; there are
    /// clients that do so only when they next read.
    package static let socketIdle = TimeAmount.minutes(10)
    /// Silence of its client after which it is sent a ping.
    package static let socketPing = TimeAmount.seconds(30)
    /// How long a message may take in all, however steadily it drips.
    package static let socketMessage = TimeAmount.minutes(10)
    /// How long the client's own close frame is waited for.
    package static let socketClose = TimeAmount.seconds(2)
    /// Requests that wait for their turn on one WebSocket; together they have no more bytes than one may have.
    package static let socketWaiting = 16
    /// Named lanes of one WebSocket, as OpenAI has it.
    package static let socketLanes = 32
    /// Bytes of the conversations one WebSocket holds to be continued: what a request may have.
    package static let socketMemory = body
}
