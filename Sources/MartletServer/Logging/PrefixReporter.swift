import Logging
import MartletDialects
import MartletGateway
import NIOCore
import Synchronization

/// Logs where two turns of a conversation part, for whoever wonders why a server reads a prompt anew: places and
/// numbers, never content. It keeps and compares whole prompts, so it is there only while debug lines are wanted.
final class PrefixReporter: PromptWatch {
    private let logger: Logger
    /// Of all loops: a client's connections change.
    private let memory = Mutex(PrefixMemory())

    /// Nil when nobody would read the lines.
    init?(logger: Logger) {
        guard logger.logLevel <= .debug else { return nil }
        self.logger = logger
    }

    func sent(_ request: UpstreamRequest, to candidate: Candidate, id: String) {
        var body = request.body.first ?? ByteBuffer()
        for piece in request.body.dropFirst() { body.writeImmutableBuffer(piece) }
        guard let found = memory.withLock({ $0.note(body, at: candidate.shown) }) else { return }
        var metadata: Logger.Metadata = [
            "request": "\(id)", "model": "\(candidate.shown)", "part": "\(found.part.rawValue)",
            "index": "\(found.index)", "offset": "\(found.offset)", "position": "\(found.position)",
            "conversation": "\(String(UInt(bitPattern: found.conversation), radix: 36))",
        ]
        if let kind = found.kind { metadata["kind"] = "\(kind)" }
        logger.debug("prefix diverges", metadata: metadata)
    }
}
