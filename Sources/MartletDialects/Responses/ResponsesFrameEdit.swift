package import MartletWire
package import NIOCore

/// Relays a Responses stream.
package struct ResponsesFrameEdit: FrameEdit {
    /// A shape of frames that need nothing but the right number, and where that ends: so many bytes from the frame's
    /// beginning, or below zero from its end.
    private struct Plain: Sendable {
        var shape: Int
        var numberStart: Int
        var isFromEnd: Bool
    }

    /// As a JSON string, with its quotes.
    private let model: ByteBuffer
    /// Nil: only the model is put back.
    private var repair: ResponsesStreamRepair?
    private var plain: Plain?
    /// Of the next event, as far as the stream can be trusted.
    private var number = 0
    /// The Response as the stream has told it.
    private var response: RawObject?
    private var hasPassedError = false
    /// Set where the reply is kept here.
    private let label: ResponseLabel?
    package private(set) var finalObject: ByteBuffer?
    /// Bytes of the terminal event and what follows it.
    private var endLength = 0

    package var keepsReply: Bool { label != nil }

    package var refusesUnreadable: Bool { repair != nil }

    /// - Parameters:
    ///   - mode: `exact` puts the model back to the client's spelling wherever the Response stands; `repair` sets right
    ///     what compatible servers get wrong, too.
    ///   - created: for upstreams that give none; seconds since 1970.
    ///   - label: put on every Response that goes by, in both modes.
    package init(
        mode: ChatFrameEdit.Mode, model: String, created: Int = 0, ids: IDSource, label: ResponseLabel? = nil
    ) {
        self.model = .rawString(model)
        self.label = label
        if mode == .repair {
            repair = ResponsesStreamRepair(model: model, created: created, ids: ids, label: label)
        }
    }

    package mutating func edit(_ frame: SSEFrame, _ events: [ReplyEvent], into out: inout ByteBuffer) -> Bool {
        guard let event = frame.event else { return close(frame, into: &out) }
        return repair == nil ? splice(frame, event, into: &out) : rewrite(frame, event, events, into: &out)
    }

    package mutating func edit(_ frame: SSEFrame, _ delta: KnownDelta, into out: inout ByteBuffer) -> Bool {
        guard repair != nil else {
            number += 1
            return false
        }
        if let plain, plain.shape == delta.shape, Self.number(of: frame, plain) == repair?.number {
            repair?.step()
            return false
        }
        guard let event = frame.event, !rewrite(frame, event, [], into: &out) else { return true }
        plain = Self.plain(frame, event, delta)
        return false
    }

    package mutating func finish(into out: inout ByteBuffer) {
        if repair != nil { out.writeString("data: [DONE]\n\n") }
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        ErrorTable.writeKeepAlive(for: .responses, into: &out)
    }

    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        var failed = repair?.soFar ?? response
        if repair == nil { failed?.set("model", model) }
        if failed == nil, label != nil { failed = RawObject() }
        if var labelled = failed {
            label?.put(on: &labelled)
            failed = labelled
        }
        let whole = ResponsesFailure.write(
            error, number: repair?.number ?? number, response: failed, isSaid: hasPassedError, into: &out)
        if label != nil { finalObject = whole }
    }

    package mutating func takeBackEnd(from out: inout ByteBuffer) {
        guard endLength > 0, out.readableBytes >= endLength else { return }
        out.moveWriterIndex(to: out.writerIndex - endLength)
        endLength = 0
        number -= 1
        repair?.stepBack()
        finalObject = nil
    }

    /// Remembers the end of a reply that is kept.
    /// - Parameter start: of the terminal event in `out`.
    private mutating func noteEnd(_ whole: RawObject?, from start: Int, in out: ByteBuffer) {
        guard label != nil, let whole else { return }
        finalObject = whole.text
        endLength = out.writerIndex - start
    }

    // MARK: - Exact

    private mutating func splice(_ frame: SSEFrame, _ event: SSEEvent, into out: inout ByteBuffer) -> Bool {
        guard let found = try? Found(event.data) else { return false }
        number = (found.number ?? number) + 1
        if found.isError || event.isNamed("error") { hasPassedError = true }
        guard let whole = found.response else { return false }
        if let label { return relabel(frame, event, label, into: &out) }
        response = try? RawObject(event.data.copy(whole))
        guard let value = found.model, event.data.part(value) != model else { return false }
        var edited = event.data.copy(0..<value.lowerBound)
        edited.writeImmutableBuffer(model)
        edited.writeImmutableBuffer(event.data.part(value.upperBound..<event.data.readableBytes))
        out.writeFrame(frame, data: edited)
        return true
    }

    /// A Response that is kept here says so, and its stream ends with its end.
    private mutating func relabel(
        _ frame: SSEFrame, _ event: SSEEvent, _ label: ResponseLabel, into out: inout ByteBuffer
    ) -> Bool {
        guard var top = try? RawObject(event.data), let text = top["response"], var whole = try? RawObject(text) else {
            return false
        }
        whole.set("model", model)
        label.put(on: &whole)
        response = whole
        top.set("response", whole.text)
        let start = out.writerIndex
        out.writeFrame(frame, data: top.text)
        let type = top["type"]?.rawString?.unescaped() ?? event.name.map { String(buffer: $0) }
        if ["response.completed", "response.incomplete", "response.failed"].contains(type) {
            out.writeString("data: [DONE]\n\n")
            noteEnd(whole, from: start, in: out)
        }
        return true
    }

    /// What an exact relay has to know of an event.
    private struct Found {
        var number: Int?
        var isError = false
        var response: Range<Int>?
        /// With its quotes.
        var model: Range<Int>?

        init(_ text: ByteBuffer) throws(JSONError) {
            self = try text.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) -> Found in
                try Found(&walk)
            }
        }

        private init(_ walk: inout JSONWalk) throws(JSONError) {
            try walk.enterObject()
            while let key = try walk.nextKey() {
                if walk.key(key, is: "sequence_number") {
                    number = try walk.intOrSkip().flatMap { (0..<1 << 53).contains($0) ? $0 : nil }
                } else if walk.key(key, is: "type") {
                    if let type = try walk.stringOrSkip() { isError = walk.text(type, is: "error") }
                } else if walk.key(key, is: "response"), try walk.kind() == .object {
                    let start = walk.offset
                    try walk.enterObject()
                    while let key = try walk.nextKey() {
                        let value = try walk.skip()
                        if walk.key(key, is: "model") { model = value }
                    }
                    response = start..<walk.offset
                } else {
                    _ = try walk.skip()
                }
            }
        }
    }

    // MARK: - Repair

    private mutating func rewrite(
        _ frame: SSEFrame, _ event: SSEEvent, _ events: [ReplyEvent], into out: inout ByteBuffer
    ) -> Bool {
        if event.isDone {
            let start = out.writerIndex
            let owed = repair?.owed(events)
            if let owed { Self.write(owed, into: &out) }
            out.writeString("data: [DONE]\n\n")
            if owed != nil { noteEnd(repair?.response, from: start, in: out) }
            return true
        }
        guard event.data.readableBytes > 0 else {
            // Clients read an empty data line as broken JSON.
            out.writeString(":\n\n")
            return true
        }
        guard let repaired = repair?.repair(event) else { return close(frame, into: &out) }
        let isNamed = event.name.map { $0 == ByteBuffer(string: repaired.type) } ?? false
        if isNamed, !repaired.isChanged, frame.isClosed, !repaired.isTerminal { return false }
        let start = out.writerIndex
        Self.write(repaired, into: &out)
        if repaired.isTerminal {
            out.writeString("data: [DONE]\n\n")
            noteEnd(repair?.response, from: start, in: out)
        }
        return true
    }

    private static func write(_ event: ResponsesStreamRepair.Event, into out: inout ByteBuffer) {
        out.writeString("event: \(event.type)\n")
        out.writeFrame(data: event.data)
    }

    /// A frame that stays as it is, but for a blank line the upstream forgot.
    private func close(_ frame: SSEFrame, into out: inout ByteBuffer) -> Bool {
        guard !frame.isClosed, repair != nil else { return false }
        out.writeImmutableBuffer(frame.bytes)
        out.writeClosing(frame)
        return true
    }

    /// Nil when the number has no fixed place in frames of this shape.
    private static func plain(_ frame: SSEFrame, _ event: SSEEvent, _ delta: KnownDelta) -> Plain? {
        let parsed = try? event.data.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) in
            try ResponsesEvent(&walk)
        }
        guard let data = frame.dataRange, let parsed, let range = parsed.sequence else { return nil }
        let start = data.lowerBound + range.lowerBound
        let padding = parsed.padding.map { data.lowerBound + $0.lowerBound }
        if start < delta.range.lowerBound, padding.map({ $0 > start }) ?? true {
            return Plain(shape: delta.shape, numberStart: start, isFromEnd: false)
        }
        guard start > delta.range.lowerBound, padding.map({ $0 < start }) ?? true else { return nil }
        let behind = frame.bytes.readableBytes - (data.lowerBound + range.upperBound)
        return Plain(shape: delta.shape, numberStart: behind, isFromEnd: true)
    }

    private static func number(of frame: SSEFrame, _ plain: Plain) -> Int? {
        frame.bytes.withUnsafeReadableBytes { bytes in
            func isDigit(_ at: Int) -> Bool { bytes.indices.contains(at) && bytes[at] >= 0x30 && bytes[at] <= 0x39 }
            var at = plain.numberStart
            if plain.isFromEnd {
                at = bytes.count - plain.numberStart
                while isDigit(at - 1) { at -= 1 }
            }
            var number = 0
            let start = at
            while isDigit(at), at - start < 18 {
                number = number * 10 + Int(bytes[at] - 0x30)
                at += 1
            }
            return at > start && !isDigit(at) ? number : nil
        }
    }
}
