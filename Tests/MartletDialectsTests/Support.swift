import MartletDialects
import MartletWire
import NIOCore

/// JSON written with `'` for `"`, so that tables of it can be read.
func json(_ text: String) -> String { text.replacing("'", with: "\"") }

extension String {
    /// With one piece of JSON in another's place.
    func with(_ old: String, _ new: String) -> String { json(self).replacing(json(old), with: json(new)) }
}

extension ByteBuffer {
    init(json text: String) { self.init(string: json(text)) }

    var string: String { String(buffer: self) }
}

/// A stream as reads of so many bytes; 0 is one read.
func reads(_ stream: String, of size: Int) -> [ByteBuffer] {
    let bytes = Array(stream.utf8)
    guard size > 0 else { return [ByteBuffer(bytes: bytes)] }
    return stride(from: 0, to: bytes.count, by: size).map {
        ByteBuffer(bytes: bytes[$0..<min($0 + size, bytes.count)])
    }
}

struct Relayed: Equatable {
    var text: String
    var finding: Finding
    var tally: ReplyTally

    static func == (a: Relayed, b: Relayed) -> Bool { a.text == b.text && a.finding == b.finding }
}

/// What a client gets for a stream, its failure included.
func run(_ pipe: ReplyPipe, _ reads: [ByteBuffer]) -> Relayed {
    var pipe = pipe
    var out = ByteBuffer()
    for read in reads { _ = pipe.pass(read, into: &out) }
    let finding = pipe.finish(into: &out)
    if case .failed(let error) = finding { pipe.fail(error, into: &out) }
    return Relayed(text: out.string, finding: finding, tally: pipe.tally)
}

func chatPipe(
    _ mode: ChatFrameEdit.Mode, usage: ChatFrameEdit.UsagePlacement = .hidden, model: String = "m",
    fast: Bool = true
) -> ReplyPipe {
    let edit = ChatFrameEdit(
        mode: mode, model: model, usage: usage, created: 7, ids: IDSource(seed: 1), learns: fast)
    return ReplyPipe(reader: ChatStreamReader(readsFast: fast), edit: edit, dialect: .chat)
}

func relay(
    _ stream: String, _ mode: ChatFrameEdit.Mode = .repair, usage: ChatFrameEdit.UsagePlacement = .hidden
) -> Relayed {
    run(chatPipe(mode, usage: usage), reads(stream, of: 0))
}

/// Chunks of one choice, written short: `data: {"id":"c","object":…,"created":1,"model":"m","choices":[…]}`. `'` is `"`.
func chunk(_ delta: String, finish: String = "null", index: Int = 0, more: String = "") -> String {
    json(head + "'choices':[{'index':\(index),'delta':\(delta),'finish_reason':\(finish)}]\(more)}\n\n")
}

let head = json("data: {'id':'c','object':'chat.completion.chunk','created':1,'model':'m',")
let done = "data: [DONE]\n\n"
let finishStop = chunk("{}", finish: "'stop'")

/// The events of a stream as lines, for comparison and for goldens.
func events(_ stream: String, fast: Bool = true) -> [String] {
    var framer = SSEFramer()
    var reader = ChatStreamReader(readsFast: fast)
    var lines: [String] = []
    var events: [ReplyEvent] = []
    _ = framer.take(ByteBuffer(string: stream))
    func read(_ frame: SSEFrame) {
        if let delta = reader.readKnown(frame) {
            return lines.append(describe(.delta(delta.block, delta.text(of: frame))))
        }
        guard let event = frame.event else { return }
        events = []
        do {
            try reader.read(event, into: &events)
        } catch {
            lines.append("unreadable: \(error.sentence)")
        }
        lines += events.map(describe)
    }
    while let frame = framer.next() { read(frame) }
    if let frame = framer.finish() { read(frame) }
    events = []
    do {
        try reader.finish(into: &events)
    } catch {
        lines.append("unfinished: \(error.sentence)")
    }
    return lines + events.map(describe)
}

func describe(_ event: ReplyEvent) -> String {
    func name(_ block: BlockID) -> String { "\(block.choice).\(block.index)" }
    switch event {
    case .started(let id, let model): return "started \(id) \(model)"
    case .opened(let block, let kind):
        switch kind {
        case .text: return "open \(name(block)) text"
        case .reasoning: return "open \(name(block)) reasoning"
        case .refusal: return "open \(name(block)) refusal"
        case .toolCall(let head): return "open \(name(block)) call \(head.kind) \(head.id) \(head.name)"
        case .opaque(let dialect, let json): return "open \(name(block)) \(dialect) \(json.text)"
        }
    case .delta(let block, let text): return "delta \(name(block)) \(text.bytes.string)"
    case .blob(let block, let blob): return "blob \(name(block)) \(blob.kind) \(blob.text.bytes.string)"
    case .closed(let block): return "close \(name(block))"
    case .usage(let usage):
        let counts = [usage.input, usage.cacheRead, usage.cacheWrite, usage.output, usage.reasoning]
        return "usage " + counts.map { $0.map(String.init) ?? "-" }.joined(separator: " ")
    case .finished(let choice, let reason, let stop):
        return "finish \(choice) \(reason)" + (stop.map { " at \($0.bytes.string)" } ?? "")
    case .failed(let error): return "failed \(error.code.rawValue): \(error.message)"
    case .called(let block): return "called \(name(block))"
    case .ran(let block, let run): return "ran \(name(block)) \(run.outcome)"
    case .progress(let progress): return "progress \(progress.phase) \(progress.fraction ?? -1)"
    case .opaque(let dialect, let json): return "opaque \(dialect) \(json.text)"
    case .ended: return "ended"
    }
}

/// A stream without a last event that its end has torn: one that has no blank line and is no JSON.
func withoutTornEvent(_ stream: String) -> String {
    guard let last = stream.ranges(of: "\n\n").last, last.upperBound < stream.endIndex else { return stream }
    let tail = stream[last.upperBound...]
    guard tail.hasPrefix("data:"), (try? JSON(parsing: String(tail.dropFirst(5)))) == nil else { return stream }
    return String(stream[..<last.upperBound])
}
