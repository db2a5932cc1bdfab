import MartletDialects
import MartletWire
import NIOCore

extension Plan {
    /// The same with what the connection still holds before its own input.
    func remembering(_ before: [ByteBuffer]) throws(GatewayError) -> Plan {
        let own = try ResponsesRequest.inputItems(document)
        try ResponsesRequest.checkOutputs(own, after: before)
        let expanded = try ResponsesRequest.expanded(document, with: before)
        return try continued(try Decider.check(expanded), RecalledItems(before: before, own: own))
    }

    /// A request that wants no reply: it is read as any other, and answered here.
    func warmUp(_ candidate: Candidate) throws(GatewayError) -> UpstreamRequest {
        let request = try Dialects.readRequest(document, from: dialect, seal: seal)
        var context = ReplyContext()
        context.echo = request.echo?.with(
            previousID: responses?.previousID, isStored: responses?.isStored == true)
        return UpstreamRequest(
            dialect: candidate.dialect(for: dialect), body: [], context: context, answer: .nothing)
    }
}

/// Relays of Responses: what the gateway keeps is kept nowhere else.
extension Plan {
    /// The input of a relay, where it has to be another one than the document's.
    /// - Throws: `notFound` for a reference to what is not kept here.
    func keptInput() throws(GatewayError) -> ByteBuffer? {
        try ResponsesUpstreamRequest.repairedInput(document, isKeptHere: keepsConversation, seal: seal)
    }

    /// Whether an upstream of the client's own dialect gets another request than the client's: it is asked for a
    /// summary that it does not make by itself, or for an answer behind one.
    func isRewritten(for candidate: Candidate) throws(GatewayError) -> Bool {
        if sumsUpFirst || summary != nil || runsTools { return true }
        guard dialect == .responses, !candidate.upstream.profile.compacts else { return false }
        return compacts ? true : try ResponsesRequest.endsInTrigger(document)
    }

    /// Whether the conversation may be longer than its client wants it answered.
    package var mayPassThreshold: Bool {
        guard let threshold = responses?.compactThreshold, !compacts, turn?.generates != false,
            let first = candidates.first, !(first.upstream.profile.compacts && first.speaks(dialect))
        else { return false }
        return mayBeLonger(than: threshold)
    }

    /// For an upstream that has the route: the client's bytes, with the whole conversation in them.
    func relayedCompaction(to candidate: Candidate) throws(GatewayError) -> UpstreamRequest {
        let input = try keptInput()
        var edit = JSONEdit()
        do throws(JSONError) {
            try setModel(candidate, of: document, in: &edit)
            if let input { try edit.set("input", input, in: document) }
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence)
        }
        var context = ReplyContext()
        context.compaction = .relayed
        return UpstreamRequest(
            dialect: .responses, body: edit.isEmpty ? [document.bytes] : edit.pieces(of: document.bytes),
            context: context)
    }

    /// The upstream gets the whole conversation, keeps nothing of it, and answers at once: what it kept would be kept
    /// under our key, where one client's is every client's.
    func stayHere(_ edit: inout JSONEdit, _ input: ByteBuffer?) throws(JSONError) {
        if let input { try edit.set("input", input, in: document) }
        let stored = try document.member("store")
        if stored.flatMap(document.bool) != false { try edit.set("store", ByteBuffer(string: "false"), in: document) }
        guard let responses, responses.isStored || turn != nil else { return }
        if background != nil {
            try edit.set("background", ByteBuffer(string: "false"), in: document)
            if streams { try edit.set("stream", ByteBuffer(string: "true"), in: document) }
        }
        // Reasoning that the upstream does not keep comes back sealed or not at all. Models
        // that do not reason refuse to seal.
        guard try document.member("reasoning")?.kind == .object, let include = try sealing() else { return }
        try edit.set("include", include, in: document)
    }

    /// `include` with the seal of reasoning; nil when it is there, or the list is none.
    private func sealing() throws(JSONError) -> ByteBuffer? {
        let name = "reasoning.encrypted_content"
        guard let member = try document.member("include"), member.kind != .null else {
            return JSON.array([.string(name)]).buffer
        }
        guard member.kind == .array, let list = try JSON(parsing: document.slice(member.value)).array,
            !list.contains(.string(name))
        else { return nil }
        return JSON.array(list + [.string(name)]).buffer
    }
}
