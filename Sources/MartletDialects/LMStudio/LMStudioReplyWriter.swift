import MartletWire
import NIOCore

/// Writes a whole reply: the result at the end of the stream that it would have been.
enum LMStudioReplyWriter {
    /// - Returns: the body, and what is kept of it; nil where nothing is.
    static func write(
        _ reply: Reply, to target: ReplyTarget, context: ReplyContext
    ) -> (body: ByteBuffer, kept: ByteBuffer?) {
        var writer = LMStudioStreamWriter(target, context: context, isWhole: true)
        var nothing = ByteBuffer()
        writer.write(.started(id: reply.id, model: reply.model), into: &nothing)
        for (index, block) in reply.blocks.enumerated() {
            let id = BlockID(choice: 0, index: index)
            writer.write(.opened(id, block.kind), into: &nothing)
            if !block.text.isEmpty { writer.write(.delta(id, block.text), into: &nothing) }
            for blob in block.blobs { writer.write(.blob(id, blob), into: &nothing) }
            // Calls close with the reply, which says whether they were cut off.
            if case .toolCall = block.kind { continue }
            writer.write(.closed(id), into: &nothing)
        }
        for (index, block) in reply.blocks.enumerated() {
            if let run = block.run { writer.write(.ran(BlockID(choice: 0, index: index), run), into: &nothing) }
        }
        writer.write(.usage(reply.usage), into: &nothing)
        writer.write(.finished(choice: 0, reply.finish, matchedStop: reply.matchedStop), into: &nothing)
        writer.finish(into: &nothing)
        return (writer.result, writer.finalObject)
    }
}
