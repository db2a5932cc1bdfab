import MartletWire
import NIOCore

/// Writes a whole reply: the object at the end of the stream that it would have been.
enum ResponsesReplyWriter {
    static func write(_ reply: Reply, to target: ReplyTarget, context: ReplyContext) -> ByteBuffer {
        var writer = ResponsesStreamWriter(target, context: context, isWhole: true)
        var nothing = ByteBuffer()
        for (index, block) in reply.blocks.enumerated() {
            let id = BlockID(choice: 0, index: index)
            writer.write(.opened(id, block.kind), into: &nothing)
            if !block.text.isEmpty { writer.write(.delta(id, block.text), into: &nothing) }
            if let run = block.run { writer.write(.ran(id, run), into: &nothing) }
            for blob in block.blobs { writer.write(.blob(id, blob), into: &nothing) }
            // Calls close with the reply, which says whether they were cut off.
            if case .toolCall = block.kind { continue }
            writer.write(.closed(id), into: &nothing)
        }
        writer.write(.usage(reply.usage), into: &nothing)
        writer.write(.finished(choice: 0, reply.finish, matchedStop: reply.matchedStop), into: &nothing)
        writer.finish(into: &nothing)
        return writer.finalObject ?? nothing
    }
}
