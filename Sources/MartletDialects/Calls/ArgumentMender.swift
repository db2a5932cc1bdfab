import MartletWire
import NIOCore

/// Mends the arguments of native calls, for upstreams known to garble them: those wait for their end, and go on as one
/// piece. What cannot be mended goes on as it came.
struct ArgumentMender: ReplyStage {
    private struct Held: Sendable {
        var name: String
        var text = EscapedText()
    }

    private var desk: CallDesk
    private var held: [BlockID: Held] = [:]

    init(_ tools: OfferedTools) { desk = CallDesk(tools: tools, readsWhole: false) }

    var tally: CallTally { desk.tally }

    mutating func passes(_ block: BlockID, _ text: UnsafeRawBufferPointer) -> Bool { held[block] == nil }

    mutating func take(_ event: ReplyEvent, into events: inout [ReplyEvent]) {
        switch event {
        case .opened(let block, .toolCall(let head)) where head.kind == .function:
            held[block] = Held(name: head.name)
            events.append(event)
        case .delta(let block, let text):
            guard var call = held.removeValue(forKey: block) else { return events.append(event) }
            call.text.append(text)
            if call.text.bytes.readableBytes > CallLimits.arguments {
                desk.tally.miss(.native, .tooLong)
                events.append(.delta(block, call.text))
            } else {
                held[block] = call
            }
        case .closed(let block):
            if let call = held.removeValue(forKey: block), !call.text.isEmpty {
                events.append(.delta(block, mended(call)))
            }
            events.append(event)
        default: events.append(event)
        }
    }

    private mutating func mended(_ call: Held) -> EscapedText {
        let text = call.text.unescaped()
        guard let near = NearJSON.whole(text) else {
            desk.tally.miss(.native, .malformed)
            return call.text
        }
        switch desk.call(call.name, near.value, family: .native, isRepaired: near.isRepaired) {
        case .success(let fit):
            guard fit.isRepaired || fit.isCoerced || near.value.object == nil else { return call.text }
            desk.tally.mend(isRepaired: fit.isRepaired, isCoerced: fit.isCoerced)
            return EscapedText(escaping: String(buffer: fit.arguments))
        case .failure(let reason):
            desk.tally.miss(.native, reason)
            return call.text
        }
    }
}
