import MartletWire
package import NIOCore

/// A whole (unstreamed) Chat Completions reply.
package struct ChatReply: Sendable {
    package internal(set) var summary: ReplySummary
    let body: ByteBuffer
    private let form: ChoiceForm
    /// Where the body names the model, quotes included.
    private let modelPlace: Range<Int>?
    /// Nothing in it wants mending but the model's name.
    private let isUsual: Bool
    /// A text in it may begin with a tag.
    let beginsWithTag: Bool

    /// Throws the upstream's own error when a 200 carries one, `upstreamBadReply` when it is no such reply.
    package static func read(_ body: ByteBuffer, _ form: ChoiceForm = .message) throws(GatewayError) -> ChatReply {
        let scan: ChatReplyScan
        do throws(JSONError) {
            scan = try body.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
                try ChatReplyScan(&walk, form)
            }
        } catch {
            if error.code == .notThisType { throw ChatErrors.read(status: 200, body: body) }
            throw GatewayError(unreadable: DialectError(error))
        }
        if scan.error != nil { throw ChatErrors.read(status: 200, body: body) }
        guard !scan.finishes.isEmpty else {
            throw GatewayError(code: .upstreamBadReply, message: "the upstream's reply has no choices")
        }
        guard !scan.hasGivenUp else {
            throw GatewayError(code: .upstreamFailed, message: "the upstream gave up in the middle of the reply")
        }
        let model = scan.model.flatMap { body.part($0).rawString?.unescaped() }
        var summary = ReplySummary(
            id: body.unescaped(scan.id), model: model ?? "", usage: scan.usage, finishes: scan.finishes,
            toolCalls: scan.toolCalls)
        summary.isStopped = scan.isStopped
        let first = scan.text.flatMap { body.escaped($0).firstVisible }
        return ChatReply(
            summary: summary, body: body, form: form, modelPlace: scan.model, isUsual: scan.isUsual,
            beginsWithTag: scan.hasMoreText || first == UInt8(ascii: "<") || first == UInt8(ascii: "\\"))
    }

    /// The body for the client, as pieces to be written one after another.
    /// - Parameters:
    ///   - model: as the client spelled it.
    ///   - created: for upstreams that give none; seconds since 1970. `repair` only.
    ///   - trustsScan: false repairs every reply from scratch, as a measure for the short way.
    package func edit(
        mode: ChatFrameEdit.Mode, model: String, created: Int = 0, ids: inout IDSource, trustsScan: Bool = true
    ) -> [ByteBuffer] {
        guard mode == .repair, !(isUsual && trustsScan) else { return spliced(model) }
        do throws(JSONError) {
            return try repaired(model, created: created, ids: &ids)
        } catch {
            return spliced(model)  // it has been read before, so this is out of reach
        }
    }

    private func spliced(_ model: String) -> [ByteBuffer] {
        let name = ByteBuffer.rawString(model)
        guard let value = modelPlace, body.part(value) != name else { return [body] }
        return [body.part(0..<value.lowerBound), name, body.part(value.upperBound..<body.readableBytes)]
    }

    private func repaired(_ model: String, created: Int, ids: inout IDSource) throws(JSONError) -> [ByteBuffer] {
        var top = try RawObject(body)
        top.set("object", .rawString(form.object))
        top.set("model", .rawString(model))
        if summary.id.isEmpty { top.set("id", .rawString(form.mintID(&ids))) }
        if top["created"]?.rawKind != .number { top.set("created", ByteBuffer(string: "\(created)")) }
        var choices: [ByteBuffer] = []
        var isChanged = false
        for (position, element) in (try top["choices"]?.rawElements() ?? []).enumerated() {
            guard var choice = try? RawObject(element) else { continue }
            var repair = ChatChoiceRepair(choice: position)
            if choice["index"]?.rawInt == nil { choice.set("index", ByteBuffer(string: "\(position)")) }
            switch form {
            case .message: try repair.repairWhole(&choice, ids: &ids)
            case .text: try repair.repairWholeText(&choice)
            }
            isChanged = isChanged || choice.isChanged
            choices.append(choice.isChanged ? choice.text : element)
        }
        if isChanged { top.set("choices", .rawArray(choices)) }
        return top.isChanged ? [top.text] : [body]
    }

    /// A whole reply said as a stream: one chunk with everything, and the end. Nil when it is no JSON object.
    static func streamed(_ whole: ByteBuffer, _ form: ChoiceForm = .message) -> ByteBuffer? {
        guard var reply = try? JSON(parsing: whole), reply.object != nil else { return nil }
        if let choices = reply["choices"]?.array {
            reply["object"] = .string(form.chunkObject)
            if form == .message { reply["choices"] = .array(choices.map(delta)) }
        }
        var stream = ByteBuffer(string: "data: ")
        reply.write(into: &stream)
        stream.writeString("\n\ndata: [DONE]\n\n")
        return stream
    }

    private static func delta(_ choice: JSON) -> JSON {
        guard let members = choice.object else { return choice }
        return .object(JSONObject(members.map { ($0.key == "message" ? "delta" : $0.key, $0.value) }))
    }
}
