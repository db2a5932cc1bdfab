import MartletWire
import NIOCore

/// Items with which a reply begins before the model has said anything.
extension ResponsesStreamWriter {
    /// The conversation was summed up before it was answered, which is told first.
    mutating func beginWithSummary(into out: inout ByteBuffer) {
        guard let summary = context.summary, let id = (try? RawObject(summary))?["id"]?.rawString?.unescaped() else {
            return
        }
        var item = ResponsesItem(block: BlockID(choice: 0, index: -1), kind: .compaction(kept: 0), id: id, index: 0)
        item.isClosed = true
        item.isComplete = true
        item.done = summary
        items.append(item)
        guard !isWhole else { return }
        for (step, json) in [("added", item.json(.inProgress)), ("done", summary)] {
            writeEvent("output_item.\(step)", into: &out) {
                $0.writeString(",\"output_index\":0,\"item\":")
                $0.writeImmutableBuffer(json)
            }
        }
    }

    /// What the request's MCP servers offer, which is told once in a conversation.
    mutating func beginWithTools(into out: inout ByteBuffer) {
        for (label, tools) in context.served?.told ?? [] {
            let id = ids.mintHex(ResponsesItem.prefix(.listing(label: label)))
            let place = items.count
            var item = ResponsesItem(
                block: BlockID(choice: 0, index: -1), kind: .listing(label: label), id: id, index: place)
            item.isClosed = true
            item.isComplete = true
            item.done = ResponsesItem.listing(id, label, tools)
            items.append(item)
            guard !isWhole, let done = item.done else { continue }
            let names = ResponsesEventNames(item.kind, isOpenResponses: isOpenResponses)
            let steps: [(String, ByteBuffer?)] = [
                ("output_item.added", ResponsesItem.listing(id, label, [])), ("mcp_list_tools.in_progress", nil),
                ("mcp_list_tools.completed", nil), ("output_item.done", done),
            ]
            for (event, json) in steps {
                writeEvent(event, into: &out) {
                    if let json {
                        $0.writeString(",\"output_index\":\(place),\"item\":")
                        $0.writeImmutableBuffer(json)
                    } else {
                        $0.writeString(item.place(names))
                    }
                }
            }
        }
    }
}
