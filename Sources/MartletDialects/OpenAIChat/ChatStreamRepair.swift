import MartletWire
import NIOCore

/// Sets right what compatible servers get wrong in a stream, chunk by chunk. Members it
/// does not know stay byte for byte.
struct ChatStreamRepair: Sendable {
    private let form: ChoiceForm
    private let model: ByteBuffer
    private let usagePlacement: ChatFrameEdit.UsagePlacement
    private var ids: IDSource
    /// The stream's id as a JSON string: the first the upstream gave, else one of ours.
    private var id: ByteBuffer?
    private var created: ByteBuffer
    private var choices: [ChatChoiceRepair] = []
    /// Value of the last `usage`, and the members of the last chunk that had nothing else.
    private var usage: ByteBuffer?
    private var usageChunk: RawObject?
    /// Finish chunks that wait for what they are to carry.
    private var heldFinishes: [RawObject] = []
    private let context: ReplyContext
    /// What the last chunk has to hold, and what the upstream has told of it by itself.
    private var legacy: LegacyReply?
    private var told = RawObject()
    /// At the stream's end.
    private var tally = ReplyTally()

    init(
        _ form: ChoiceForm, model: String, usage: ChatFrameEdit.UsagePlacement, created: Int, ids: IDSource,
        _ context: ReplyContext, legacy: LegacyReply? = nil
    ) {
        self.legacy = legacy
        self.context = context
        self.form = form
        self.model = .rawString(model)
        usagePlacement = usage
        self.ids = ids
        self.created = ByteBuffer(string: "\(created)")
    }

    var head: StreamHead { StreamHead(id: id, created: created) }

    /// - Returns: the chunks that take this one's place, perhaps none; nil when it stays as it is.
    mutating func edit(_ data: ByteBuffer) -> [ByteBuffer]? {
        do throws(JSONError) {
            return try repair(data)
        } catch {
            return nil  // the reader has said so already
        }
    }

    mutating func take(_ arguments: EscapedText, _ call: KnownDelta.CallPlace) {
        guard choices.indices.contains(call.choice) else { return }
        choices[call.choice].take(arguments, slot: call.slot)
    }

    mutating func note(_ tally: ReplyTally) { self.tally = tally }

    mutating func note(_ events: [ReplyEvent]) {
        guard legacy != nil, events.contains(where: { if case .opened = $0 { true } else { false } }) else { return }
        legacy?.noteToken()
    }

    /// What has to go out before `[DONE]`: finish chunks that never came or were held back, and the usage chunk.
    /// - Parameter events: of the frame that is the terminal mark; reasons that were inferred are among them.
    mutating func owed(_ events: [ReplyEvent]) -> [ByteBuffer] {
        var chunks: [ByteBuffer] = []
        for case .finished(let choice, let reason, _) in events {
            let state = state(of: choice)
            guard let state, !choices[state].isFinished else { continue }
            if let rest = choices[state].end() { chunks.append(chunk(choice: choice, delta: rest)) }
            var base = base()
            base.set("choices", .rawArray([finishChoice(choice, reason)]))
            heldFinishes.append(base)
        }
        let usage =
            choices.isEmpty || usagePlacement != .asked
            ? usage : ChatForm.counted(usage, tally.usage, bytes: tally.deltaBytes, context)
        if usagePlacement == .finalChunk, let usage, let last = heldFinishes.indices.last {
            heldFinishes[last].set("usage", usage)
        }
        chunks += heldFinishes.map(\.text)
        heldFinishes = []
        if usagePlacement == .asked, let usage {
            var last = usageChunk ?? base()
            last.set("choices", ByteBuffer(string: "[]"))
            last.set("usage", usage)
            chunks.append(last.text)
        }
        self.usage = nil
        complete(&chunks)
        return chunks
    }

    private func complete(_ chunks: inout [ByteBuffer]) {
        guard let legacy, let last = chunks.popLast() else { return }
        let end = LegacyReply.End(
            usage: tally.usage, bytes: tally.deltaBytes, reason: tally.finishReason ?? .stop,
            isStopped: tally.isStopped)
        guard var chunk = try? RawObject(last) else { return chunks.append(last) }
        legacy.complete(&chunk, end, told: told)
        chunks.append(chunk.text)
    }

    private mutating func repair(_ data: ByteBuffer) throws(JSONError) -> [ByteBuffer]? {
        var top = try RawObject(data)
        if top["choices"]?.rawKind == .null { top.set("choices", .rawArray([])) }
        guard let elements = try top["choices"]?.rawElements() else {
            // No chunk at all, but something a server thought its client should see.
            return nil
        }
        repairHead(&top)
        if legacy != nil { LegacyReply.take(from: &top, into: &told) }
        let hadUsage = takeUsage(&top, isAlone: elements.isEmpty)
        var before: [ByteBuffer] = []
        var kept: [ByteBuffer] = []
        var held: [ByteBuffer] = []
        var isChanged = false
        var position = 0
        for element in elements {
            guard var choice = try? RawObject(element) else {
                kept.append(element)
                continue
            }
            let number = choice["index"]?.rawInt ?? position
            position += 1
            guard let state = state(of: number), !choices[state].isFinished else {
                isChanged = true  // a second end, or more text behind the first
                continue
            }
            choice.set("index", ByteBuffer(string: "\(number)"))
            switch form {
            case .message:
                let rest = try choices[state].repair(&choice, ids: &ids)
                if let rest { before.append(chunk(choice: number, delta: rest)) }
            case .text: try choices[state].repairText(&choice)
            }
            isChanged = isChanged || choice.isChanged
            let text = choice.isChanged ? choice.text : element
            if choices[state].isFinished, usagePlacement == .finalChunk || legacy != nil {
                held.append(text)
            } else {
                kept.append(text)
            }
        }
        for choice in held {
            var finish = top
            finish.set("choices", .rawArray([choice]))
            heldFinishes.append(finish)
        }
        if kept.isEmpty {
            if hadUsage { usageChunk = top }
            return before
        }
        if isChanged { top.set("choices", .rawArray(kept)) }
        return top.isChanged || !before.isEmpty ? before + [top.text] : nil
    }

    /// What all chunks of a stream share.
    private mutating func repairHead(_ top: inout RawObject) {
        top.set("object", .rawString(form.chunkObject))
        top.set("model", model)
        if id == nil {
            if let given = top["id"]?.rawString, !given.isEmpty {
                id = top["id"]
            } else {
                id = .rawString(form.mintID(&ids))
            }
        }
        if let id { top.set("id", id) }
        if let given = top["created"], given.rawKind == .number {
            created = given
        } else {
            top.set("created", created)
        }
    }

    /// Takes note of a usage, and takes it out of a chunk that has something else.
    private mutating func takeUsage(_ top: inout RawObject, isAlone: Bool) -> Bool {
        guard let value = top["usage"] else { return false }
        if value.rawKind == .null {
            if usagePlacement != .asked { top.remove("usage") }
            return false
        }
        usage = value
        if !isAlone { top.remove("usage") }
        return true
    }

    private mutating func state(of choice: Int) -> Int? {
        if let place = choices.firstIndex(where: { $0.choice == choice }) { return place }
        guard choice >= 0, choice < ChatStreamReader.choiceLimit else { return nil }
        choices.append(ChatChoiceRepair(choice: choice))
        return choices.count - 1
    }

    private mutating func base() -> RawObject {
        var base = RawObject()
        base.set("id", id ?? .rawString(form.mintID(&ids)))
        base.set("object", .rawString(form.chunkObject))
        base.set("created", created)
        base.set("model", model)
        return base
    }

    private mutating func chunk(choice: Int, delta: ByteBuffer) -> ByteBuffer {
        var head = RawObject()
        head.set("index", ByteBuffer(string: "\(choice)"))
        head.set("delta", delta)
        head.set("finish_reason", ByteBuffer(string: "null"))
        var base = base()
        base.set("choices", .rawArray([head.text]))
        return base.text
    }

    private func finishChoice(_ choice: Int, _ reason: FinishReason) -> ByteBuffer {
        ByteBuffer(
            string: "{\"index\":\(choice),\(form.nothing),\"finish_reason\":\"\(ChatFinish.word(reason))\"}")
    }
}
