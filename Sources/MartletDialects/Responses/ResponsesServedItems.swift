import MartletWire
import NIOCore

extension ResponsesItemReader {
    /// A call that was run for the client, and what came of it.
    mutating func addServed(_ item: ResponsesInputItem) {
        guard let name = item.name, !name.isEmpty else { return addOpaque(item) }
        let arguments = item.arguments.map { text -> CallArguments in text.rawString.map { .text($0) } ?? .json(text) }
        var call = ToolCall(id: item.id ?? "", name: name, arguments: arguments ?? .text(EscapedText()))
        call.server = item.server.flatMap { $0.isEmpty ? nil : $0 }
        let run: ToolRun
        if let error = item.error {
            run = ToolRun(.failed(error.rawString?.unescaped() ?? String(buffer: error)), by: nil)
        } else if let output = item.output {
            let text = output.rawString?.unescaped() ?? String(buffer: output)
            run = ToolRun(.output(text), by: item.server.map { .ephemeral(label: $0) })
        } else {
            // It was cut off: nothing a model should see again.
            return addOpaque(item)
        }
        add(call, run)
    }
}
