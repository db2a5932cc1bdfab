import MartletWire
package import NIOCore

/// Turns upstream bytes into client bytes, and keeps the tally of what went by. The reader always runs; the writer
/// only when the client speaks another dialect than the upstream, else the frames' own bytes go on, edited at most.
package struct ReplyPipe: Sendable {
    package private(set) var tally = ReplyTally()
    var framer = SSEFramer()
    var reader: any StreamReader
    var filter: ReplyFilter?
    var writer: (any StreamWriter)?
    private var edit: (any FrameEdit)?
    /// Of a relay that becomes a translation once it finds a call in the text.
    private var watch: CallWatch?
    private let dialect: DialectID
    private let requestID: String
    /// Reused: nothing is allocated per event.
    var events: [ReplyEvent] = []
    private var filtered: [ReplyEvent] = []
    /// The round has ended, and there are calls to be run here.
    var isRoundOver = false
    /// Bytes of the frame that has begun and not ended.
    var held = 0
    /// What an edit writes while frames before it wait to go out as they are; else empty.
    private var aside = ByteBuffer()
    var whole = WholeReply.undecided(ByteBuffer())
    /// The upstream's own words for its failure, for relays that promise its bytes.
    private var failedFrame: ByteBuffer?
    /// The client has been told how far the upstream is, which it wants to know at once.
    var hasProgressed = false
    /// The last frame went out as it came, without its blank line.
    private var isUnclosed = false

    /// A body that is a JSON object where a stream was asked for is collected and then said as a stream.
    enum WholeReply { case undecided(ByteBuffer), no, collecting(ByteBuffer) }

    /// What became of calls the upstream left in the text.
    package var callTally: CallTally { filter?.callTally ?? watch?.calls?.tally ?? CallTally() }

    /// - Parameters:
    ///   - filter: between reader and writer; of no meaning without a writer.
    ///   - writer: nil when the client speaks the upstream's dialect.
    ///   - edit: for such a relay; nil relays every frame as it is.
    ///   - dialect: the client's, for errors and keep-alives of a relay without an edit.
    ///   - requestID: for dialects whose in-stream errors carry it; may be empty.
    package init(
        reader: any StreamReader, filter: ReplyFilter? = nil, writer: (any StreamWriter)? = nil,
        edit: (any FrameEdit)? = nil, dialect: DialectID, requestID: String = ""
    ) {
        self.reader = reader
        self.filter = writer == nil ? nil : filter
        self.writer = writer
        self.edit = edit
        self.dialect = dialect
        self.requestID = requestID
    }

    /// A relay in whose text calls and thinking are looked for.
    init(reader: any StreamReader, edit: (any FrameEdit)?, watch: CallWatch, dialect: DialectID, requestID: String) {
        self.init(reader: reader, edit: edit, dialect: dialect, requestID: requestID)
        self.watch = watch
    }

    /// Takes one upstream read and appends what the client gets for it. Once it has answered `failed`, it writes
    /// nothing more: the caller says the failure, by status or by `fail`. What follows the terminal mark is ignored.
    package mutating func pass(_ read: ByteBuffer, into out: inout ByteBuffer) -> Finding {
        guard !isOver else { return finding }
        var read = read
        if collects(&read) { return finding }
        passFrames(of: read, into: &out)
        return finding
    }

    private mutating func passFrames(of read: ByteBuffer, into out: inout ByteBuffer) {
        var run = RelayRun(read, held: held)
        held += read.readableBytes
        guard framer.take(read) else { return tally.fail(.eventTooLong) }
        while let frame = framer.next() {
            held -= frame.bytes.readableBytes
            pass(frame, &run, into: &out)
            run.step(over: frame)
            if isOver { break }
        }
        run.flush(into: &out)
    }

    /// The upstream closed its side: writes what is still owed and gives the verdict.
    package mutating func finish(into out: inout ByteBuffer) -> Finding {
        guard !isOver else { return finding }
        if case .collecting(let body) = whole {
            passWhole(body, into: &out)
            guard !isOver else { return finding }
        }
        if case .undecided(let lead) = whole { passFrames(of: lead, into: &out) }
        if let frame = framer.finish() {
            var run = RelayRun(ByteBuffer(), held: held)
            pass(frame, &run, into: &out)
            guard !isOver else { return finding }
        }
        events.removeAll(keepingCapacity: true)
        do throws(DialectError) {
            try reader.finish(into: &events)
        } catch {
            tally.fail(GatewayError(unreadable: error))
            return tally.finding
        }
        filterEvents()
        releaseWatched(into: &out)
        let endsRound = endsRound()
        for event in events { tally.note(event) }
        guard tally.failure == nil else { return tally.finding }
        if endsRound {
            writeEvents(into: &out)
            return finding
        }
        tally.end()
        if writer != nil {
            writeEvents(into: &out)
        } else {
            edit?.note(tally)
            edit?.finish(into: &out)
        }
        return tally.finding
    }

    mutating func note(_ event: ReplyEvent) { tally.note(event) }

    mutating func fail(_ error: GatewayError) { tally.fail(error) }

    /// The whole reply, where the client's dialect keeps replies and the stream has ended.
    package var finalObject: ByteBuffer? { writer == nil ? edit?.finalObject : writer?.finalObject }

    /// Takes back the terminal event, the last thing in `out`, of a reply that could not be kept: `fail` may follow.
    package mutating func takeBackEnd(from out: inout ByteBuffer) {
        writer?.takeBackEnd(from: &out)
        edit?.takeBackEnd(from: &out)
    }

    /// Says what precedes the upstream's reply, where the client's dialect has words for it.
    package mutating func tell(_ progress: Progress, into out: inout ByteBuffer) {
        guard writer != nil else { return keepAlive(into: &out) }
        writer?.write(.progress(progress), into: &out)
    }

    package mutating func keepAlive(into out: inout ByteBuffer) {
        closeFrame(into: &out)
        if writer != nil {
            writer?.keepAlive(into: &out)
        } else if edit != nil {
            edit?.keepAlive(into: &out)
        } else {
            ErrorTable.writeKeepAlive(for: dialect, into: &out)
        }
    }

    /// Says the failure in the stream, after the head has left. Nothing may follow.
    package mutating func fail(_ error: GatewayError, into out: inout ByteBuffer) {
        closeFrame(into: &out)
        if writer != nil {
            writer?.fail(error, into: &out)
        } else if error == tally.failure, let failedFrame {
            out.writeImmutableBuffer(failedFrame)
            if edit?.keepsReply == true, edit?.finalObject == nil { edit?.fail(error, into: &out) }
        } else if edit != nil {
            edit?.fail(error, into: &out)
        } else {
            ErrorTable.writeInStream(error, for: dialect, requestID: requestID, into: &out)
        }
    }

    private mutating func pass(_ frame: SSEFrame, _ run: inout RelayRun, into out: inout ByteBuffer) {
        if let delta = reader.readKnown(frame) { return pass(frame, delta, &run, into: &out) }
        events.removeAll(keepingCapacity: true)
        if let event = frame.event {
            do throws(DialectError) {
                try reader.read(event, into: &events)
            } catch {
                guard frame.isClosed else {
                    // What a dying upstream left of its last frame is no bad reply but a short one, and goes to nobody.
                    tally.fail(.closedEarly)
                    return
                }
                // A relay that only watches must not break what it cannot read.
                if writer != nil || edit?.refusesUnreadable == true { tally.fail(GatewayError(unreadable: error)) }
            }
        }
        if watch != nil, tally.failure == nil { return passWatched(frame, nil, &run, into: &out) }
        filterEvents()
        for event in events { tally.note(event) }
        guard tally.failure == nil else {
            if writer == nil, edit?.refusesUnreadable != true {
                var edited = ByteBuffer()
                failedFrame = edit?.edit(frame, events, into: &edited) == true ? edited : frame.bytes
            }
            return  // whoever decides says it, once and in one way
        }
        if writer != nil {
            writeEvents(into: &out)
        } else {
            relay(frame, events, &run, into: &out)
        }
    }

    private mutating func relay(
        _ frame: SSEFrame, _ events: [ReplyEvent], _ run: inout RelayRun, into out: inout ByteBuffer
    ) {
        if tally.isEnded { edit?.note(tally) }
        if run.isEmpty, edit?.edit(frame, events, into: &out) == true {
            return
        } else if !run.isEmpty, edit?.edit(frame, events, into: &aside) == true {
            takeAside(&run, into: &out)
        } else {
            run.add(frame, into: &out)
            isUnclosed = !frame.isClosed
        }
    }

    private mutating func pass(
        _ frame: SSEFrame, _ delta: KnownDelta, _ run: inout RelayRun, into out: inout ByteBuffer
    ) {
        if !goesOn(frame, delta) {
            events.removeAll(keepingCapacity: true)
            events.append(.delta(delta.block, delta.text(of: frame)))
            return watch == nil ? writeFiltered(into: &out) : passWatched(frame, delta, &run, into: &out)
        }
        tally.noteDelta(bytes: delta.range.count)
        if writer != nil {
            writer?.write(frame, delta, into: &out)
        } else {
            relay(frame, delta, &run, into: &out)
        }
    }

    private mutating func relay(
        _ frame: SSEFrame, _ delta: KnownDelta, _ run: inout RelayRun, into out: inout ByteBuffer
    ) {
        if run.isEmpty, edit?.edit(frame, delta, into: &out) == true {
            return
        } else if !run.isEmpty, edit?.edit(frame, delta, into: &aside) == true {
            takeAside(&run, into: &out)
        } else {
            run.add(frame, into: &out)
        }
    }

    /// Nothing stands between reader and writer, or edit, that has to look at the delta.
    private mutating func goesOn(_ frame: SSEFrame, _ delta: KnownDelta) -> Bool {
        if watch != nil { return watch?.passes(frame, delta) ?? true }
        guard filter != nil else { return true }
        return frame.bytes.withUnsafeReadableBytes { bytes in
            filter?.passes(delta.block, UnsafeRawBufferPointer(rebasing: bytes[delta.range])) ?? true
        }
    }

    private mutating func takeAside(_ run: inout RelayRun, into out: inout ByteBuffer) {
        run.flush(into: &out)
        out.writeBuffer(&aside)
        aside.clear()
    }

    private mutating func filterEvents() {
        guard filter != nil, !events.isEmpty else { return }
        filtered.removeAll(keepingCapacity: true)
        filter?.take(events, into: &filtered)
        swap(&events, &filtered)
        if filter?.hosted?.isOver == true { isRoundOver = true }
        if filter?.isSpent == true { filter = nil }
    }

    private mutating func writeFiltered(into out: inout ByteBuffer) {
        filterEvents()
        for event in events { tally.note(event) }
        writeEvents(into: &out)
    }

    private mutating func writeEvents(into out: inout ByteBuffer) {
        for event in events {
            if case .progress = event { hasProgressed = dialect.tellsProgress }
            writer?.write(event, into: &out)
        }
        if tally.isEnded { writer?.finish(into: &out) }
        if let fault = writer?.fault { tally.fail(fault) }
    }

    private mutating func closeFrame(into out: inout ByteBuffer) {
        if isUnclosed { out.writeString("\n\n") }
        isUnclosed = false
    }
}

extension ReplyPipe {
    /// White space before the first byte that decides; more of it is a stream.
    private static var leadLimit: Int { 1024 }

    /// Whether the read belongs to a reply that is no stream, as its first byte that is not white space tells. What was
    /// held back until then is given with the read.
    private mutating func collects(_ read: inout ByteBuffer) -> Bool {
        switch whole {
        case .no: return false
        case .collecting(var body):
            whole = .no  // so that the body has one owner while it grows
            if body.readableBytes + read.readableBytes > WireLimits.event {
                tally.fail(.eventTooLong)
            } else {
                body.writeImmutableBuffer(read)
            }
            whole = .collecting(body)
            return true
        case .undecided(var lead):
            if lead.readableBytes > 0 {
                lead.writeImmutableBuffer(read)
                read = lead
            }
            let first = read.readableBytesView.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
            if first == nil, read.readableBytes < Self.leadLimit {
                whole = .undecided(read)
                return true
            }
            whole = first == UInt8(ascii: "{") ? .collecting(read) : .no
            return first == UInt8(ascii: "{")
        }
    }

    private mutating func passWhole(_ body: ByteBuffer, into out: inout ByteBuffer) {
        whole = .no
        guard let stream = reader.streamed(body) else {
            tally.fail(
                GatewayError(
                    code: .upstreamBadReply, message: "the upstream answered with something that is not a stream"))
            return
        }
        passFrames(of: stream, into: &out)
    }
}

// MARK: - Calls in relayed text

extension ReplyPipe {
    private mutating func passWatched(
        _ frame: SSEFrame, _ delta: KnownDelta?, _ run: inout RelayRun, into out: inout ByteBuffer
    ) {
        filtered.removeAll(keepingCapacity: true)
        let before = tally
        let verdict = watch?.take(frame, events, into: &filtered)
        for event in filtered { tally.note(event) }
        guard tally.failure == nil else { return }
        switch verdict {
        case .waits: return
        case .found:
            run.flush(into: &out)
            writer = watch?.writer(edit?.head ?? StreamHead(), before, into: &out)
            filter = ReplyFilter(watch?.think, watch?.calls)
            watch = nil
            edit = nil
            if tally.isEnded { writer?.finish(into: &out) }
        case .clear, nil:
            if watch?.isWaiting == true {
                run.flush(into: &out)
                releaseWatched(into: &out)
            }
            if let delta {
                relay(frame, delta, &run, into: &out)
            } else {
                relay(frame, events, &run, into: &out)
            }
            if watch?.isOver == true { watch = nil }
        }
    }

    /// Frames that waited go on as they came.
    private mutating func releaseWatched(into out: inout ByteBuffer) {
        for held in watch?.release() ?? [] where edit?.edit(held.frame, held.events, into: &out) != true {
            out.writeImmutableBuffer(held.frame.bytes)
            isUnclosed = !held.frame.isClosed
        }
    }
}
