package import MartletWire
package import NIOCore

/// A request of OpenAI Responses (https://platform.openai.com/docs/api-reference/responses/create), also as Open
/// Responses has it.
package enum ResponsesRequest {
    /// Reads a body that has been checked, and expanded where it continues a stored response. Unknown members, items,
    /// parts and values are no errors.
    ///
    /// - Parameter seal: how reasoning was sealed that comes back in this request.
    /// - Throws: `invalidRequest` with the path of a member that cannot be what it should be, or that would have to be
    ///   honoured and cannot be; `previousResponseNotFound` when it still names a response to continue from; `notFound`
    ///   for a reference to an item nobody has put in its place.
    package static func read(
        _ document: JSONDocument, seal: ReasoningSeal = .plain
    ) throws(GatewayError) -> CanonicalRequest {
        let state = try ResponsesState(document)
        try state.check(stores: true)
        if let id = state.previousID { throw .previousResponseNotFound(id) }
        var request: CanonicalRequest
        let missingItem: String?
        do throws(DialectError) {
            var reader = try ResponsesRequestReader(document, seal: seal)
            request = try reader.request()
            request.origin.bytes = document.bytes.readableBytes
            missingItem = reader.missingItem
        } catch {
            throw GatewayError(refusing: error)
        }
        guard let missingItem else { return request }
        throw .itemNotFound(missingItem)
    }

    /// The items of the input as they stand, a text as the message it is: what is kept for a later request.
    package static func inputItems(_ document: JSONDocument) throws(GatewayError) -> [ByteBuffer] {
        do throws(JSONError) {
            return try ResponsesSplice.items(document)
        } catch {
            throw GatewayError(refusing: DialectError(error, at: "input"))
        }
    }

    /// Whether the last item of the input asks for a summary of those before it.
    package static func endsInTrigger(_ document: JSONDocument) throws(GatewayError) -> Bool {
        try inputItems(document).last.flatMap(ResponsesSplice.type) == "compaction_trigger"
    }

    /// The body with the conversation that a summary leaves in place of its own, behind what the model is told to be
    /// and to have.
    ///
    /// - Parameter compaction: the object of `/v1/responses/compact`, as this gateway makes it.
    /// - Returns: the body, and the item with the summary.
    package static func continued(
        _ document: JSONDocument, from compaction: ByteBuffer
    ) throws(GatewayError) -> (body: ByteBuffer, summary: ByteBuffer) {
        do throws(JSONError) {
            guard let items = try RawObject(compaction)["output"]?.rawElements(), let summary = items.last else {
                throw JSONError(.notThisType, at: 0)
            }
            let frame = try ResponsesSplice.items(document).filter(ResponsesCompaction.isFrame)
            var edit = JSONEdit()
            try edit.set("input", .rawArray(frame + items), in: document)
            return (edit.applied(to: document.bytes), summary)
        } catch {
            throw GatewayError(refusing: DialectError(error, at: "input"))
        }
    }

    /// Ids of stored items that stand in the input by reference, in their order.
    package static func references(_ document: JSONDocument) throws(GatewayError) -> [String] {
        try inputItems(document).compactMap(reference)
    }

    /// The id a reference stands for; nil for any other item.
    package static func reference(_ item: ByteBuffer) -> String? { ResponsesSplice.reference(item) }

    /// Refuses outputs of calls that a conversation does not have, which no model could make anything of.
    /// - Parameters:
    ///   - own: the items of a request.
    ///   - before: those it continues from.
    package static func checkOutputs(_ own: [ByteBuffer], after before: [ByteBuffer]) throws(GatewayError) {
        guard let id = ResponsesSplice.orphan(own, after: before) else { return }
        throw GatewayError(
            code: .invalidRequest,
            message: "No tool call found for function call output with call_id \(id.prefix(128)).", param: "input")
    }

    /// The item with an id, minted where it has none, as lists of stored items give it.
    package static func identified(_ item: ByteBuffer, ids: inout IDSource) -> ByteBuffer {
        ResponsesSplice.identified(item, &ids)
    }

    /// The body with stored items before its own input, which is made a list, and without `previous_response_id`.
    ///
    /// - Parameters:
    ///   - storedItems: of the whole chain, input and output in their order; each a JSON object's text.
    ///   - references: by id, what stands in place of a reference. Those that are not among them stay.
    package static func expanded(
        _ document: JSONDocument, with storedItems: [ByteBuffer], resolving references: [String: ByteBuffer] = [:]
    ) throws(GatewayError) -> ByteBuffer {
        do throws(JSONError) {
            return try ResponsesSplice.expanded(document, with: storedItems, resolving: references)
        } catch {
            throw GatewayError(refusing: DialectError(error, at: "input"))
        }
    }
}
