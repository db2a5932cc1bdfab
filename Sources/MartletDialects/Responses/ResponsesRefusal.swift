package import MartletWire
package import NIOCore

extension Dialects {
    /// A refusal as a stream, for a client that looks for it there and nowhere else; nil where a status
    /// says it, as it does nearly always.
    ///
    /// That a prompt is too long makes agents shorten their conversation. In Responses they know it by
    /// `response.failed` (specs 3.2.3), as OpenAI's API sends it. Codex takes a 400 for the end, and whenever it goes
    /// on with the conversation it sends the same again.
    /// - Parameter document: the request.
    package static func streamedRefusal(
        _ error: GatewayError, of document: JSONDocument, to target: ReplyTarget
    ) -> ByteBuffer? {
        guard target.dialect == .responses, error.code == .contextOverflow,
            let state = try? ResponsesState(document), state.streams, !state.isBackground,
            let request = try? ResponsesRequest.read(document, seal: target.seal)
        else { return nil }
        var context = ReplyContext()
        context.echo = request.echo?.with(previousID: state.previousID, isStored: false)
        var writer = ResponsesStreamWriter(target, context: context)
        var out = ByteBuffer()
        writer.fail(error, into: &out)
        return out
    }
}
