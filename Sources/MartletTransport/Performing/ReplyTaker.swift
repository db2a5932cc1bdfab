import MartletDialects
import MartletGateway
import NIOCore

/// Who gets an exchange's reply: a client's connection, or what holds the reply of a response made in the background.
protocol ReplyTaker: AnyObject {
    /// A head with the status line and what every reply carries.
    func head(status: Int) -> ReplyHead
    func beginStream(_ head: ReplyHead)
    /// Takes what has been written of a stream since the last time, and empties the buffer.
    func send(chunk out: inout ByteBuffer, last: Bool)
    func send(_ head: ReplyHead, body: [ByteBuffer])
    func send(whole reply: ControlReply, dialect: DialectID, requestID: String)
    func send(_ error: GatewayError, dialect: DialectID, requestID: String, allow: [String], upstream: UpstreamHead?)
    func closeAfterReply()
    func closeNow()
    /// How it ended; comes before `exchangeEnded`, and before the last of the reply.
    /// - Parameters:
    ///   - plan: nil when it was refused before there was one.
    ///   - response: of Responses, the whole reply where it is known.
    func concluded(_ outcome: ExchangeRecord.Outcome, _ plan: Plan?, _ response: ByteBuffer?)
    func exchangeEnded()
}

extension ReplyTaker {
    func concluded(_ outcome: ExchangeRecord.Outcome, _ plan: Plan?, _ response: ByteBuffer?) {}
}
