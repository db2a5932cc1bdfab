package import Logging
package import MartletDialects
package import MartletGateway
import NIOCore

/// Logs the record of each exchange: numbers and names, never content.
package struct RecordWriter: RecordSink {
    private let logger: Logger
    /// Who reads it is told of each exchange at any level.
    private let feed: LogFeed?

    package init(logger: Logger, feed: LogFeed? = nil) {
        self.logger = logger
        self.feed = feed
    }

    package func keep(_ record: ExchangeRecord, of request: InboundRequest, usage: Usage?) {
        guard logger.logLevel <= .debug || feed?.isRead == true else { return }
        let outcome: String =
            switch record.outcome {
            case .complete: "complete"
            case .failed(let code): code.rawValue
            case .clientGone: "client_gone"
            }
        var metadata: Logger.Metadata = [
            "request": "\(request.id)", "dialect": "\(request.dialect.rawValue)", "outcome": "\(outcome)",
            "attempts": "\(record.attempts)", "ms": "\(record.duration.nanoseconds / 1_000_000)",
        ]
        if request.turn != nil { metadata["transport"] = "websocket" }
        if let candidate = record.candidate { metadata["model"] = "\(candidate)" }
        if let firstByte = record.firstByte { metadata["first_byte_ms"] = "\(firstByte.nanoseconds / 1_000_000)" }
        if let rung = record.rung { metadata["schemas"] = "\(rung.note)" }
        if record.asksAgain { metadata["asked_again"] = "true" }
        if !record.calls.isEmpty { metadata["calls"] = "\(record.calls.line)" }
        if let usage {
            if let input = usage.input { metadata["input_tokens"] = "\(input)" }
            if let output = usage.output { metadata["output_tokens"] = "\(output)" }
        }
        guard logger.logLevel > .debug else { return logger.debug("exchange ended", metadata: metadata) }
        let fields = metadata.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        feed?.append(.info) { LineLogHandler.text("exchange ended", fields) }
    }
}
