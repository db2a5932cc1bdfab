import MartletDialects
import MartletWire
import NIOCore

/// What a stream of LM Studio's own API means, event by event.
func lmStudioMeaning(_ stream: String, limit: Int? = nil, fast: Bool = true) -> [String] {
    var framer = SSEFramer()
    var reader = LMStudioStreamReader(limit: limit, readsFast: fast)
    var lines: [String] = []
    func read(_ frame: SSEFrame) {
        if let delta = reader.readKnown(frame) {
            return lines.append(describe(.delta(delta.block, delta.text(of: frame))))
        }
        guard let event = frame.event else { return }
        var events: [ReplyEvent] = []
        do {
            try reader.read(event, into: &events)
        } catch {
            lines.append("unreadable: \(error.sentence)")
        }
        lines += events.map(describe)
    }
    _ = framer.take(ByteBuffer(string: stream))
    while let frame = framer.next() { read(frame) }
    if let frame = framer.finish() { read(frame) }
    var events: [ReplyEvent] = []
    do {
        try reader.finish(into: &events)
    } catch {
        lines.append("unfinished: \(error.sentence)")
    }
    return lines + events.map(describe)
}

/// A client's body for an upstream that is spoken to in LM Studio's own API.
func toLMStudio(
    _ body: String, from client: DialectID = .chat, streams: Bool = false, window: Int? = nil, strict: Bool = false,
    _ change: (inout Capabilities) -> Void = { _ in }
) throws -> Translation {
    var flags = Capabilities()
    flags.thinkingControl = .effort
    flags.imageTypes = ["image/png", "image/jpeg"]
    change(&flags)
    let target = WriteTarget(
        model: "acme/writer-8b", capabilities: flags, streams: streams, contextWindow: window, isStrict: strict)
    let document = try JSONDocument(checking: ByteBuffer(string: json(body)))
    return try Translation(Dialects.translateRequest(document, from: client, to: .lmstudio, for: target))
}
