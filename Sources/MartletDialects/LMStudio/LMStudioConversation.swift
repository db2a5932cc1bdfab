package import MartletWire
package import NIOCore

/// The conversation of a request of LM Studio's own API in the items of Responses: what is kept of it, so that every
/// client that keeps conversations here can continue it.
enum LMStudioConversation {
    /// An item that says whose turn it is, as Responses has them; of the API's own items none does.
    static func isTurn(_ item: RawObject) -> Bool {
        switch item["type"]?.rawString?.unescaped() {
        case "message", "text": item["role"] != nil
        case nil: item["role"] != nil
        case "function_call", "function_call_output", "reasoning": true
        default: false
        }
    }

    /// The system prompt, which leads, and the items of the input; neighbours of the API's own are one user's message.
    ///
    /// - Throws: `unexpected` where the input says nothing.
    static func items(_ document: JSONDocument) throws(DialectError) -> [ByteBuffer] {
        var items: [ByteBuffer] = []
        if let prompt = text("system_prompt", of: document), !prompt.isEmpty {
            items.append(message("system", [part(prompt)]))
        }
        let first = items.count
        if let said = text("input", of: document) {
            if !said.isEmpty { items.append(message("user", [part(said)])) }
        } else if let list = elements("input", of: document) {
            var parts: [ByteBuffer] = []
            for (place, item) in list.enumerated() {
                guard let object = try? RawObject(item) else {
                    throw DialectError(.unexpected, at: "input[\(place)]", "an object was expected")
                }
                if !isTurn(object), let own = try part(object, at: "input[\(place)]") {
                    parts += own
                    continue
                }
                if !parts.isEmpty { items.append(message("user", parts)) }
                parts = []
                items.append(turn(object, item))
            }
            if !parts.isEmpty { items.append(message("user", parts)) }
        }
        guard items.count > first else {
            throw DialectError(.unexpected, at: "input", "at least one item that says something is required")
        }
        return items
    }

    /// The conversation with one system prompt: that of the request takes the place of any it began with before.
    ///
    /// - Parameter own: the request's items.
    static func led(_ before: [ByteBuffer], _ own: [ByteBuffer]) -> (before: [ByteBuffer], own: [ByteBuffer]) {
        guard !before.isEmpty, let prompt = own.first, ResponsesSplice.isInstruction(prompt) else {
            return (before, own)
        }
        return ([prompt] + before.drop(while: ResponsesSplice.isInstruction), Array(own.dropFirst()))
    }

    // MARK: - Items

    /// A part of a user's message, or none for a text without words; nil for an item of another kind.
    private static func part(_ item: RawObject, at path: String) throws(DialectError) -> [ByteBuffer]? {
        switch item["type"]?.rawString?.unescaped() {
        case "text", "message":
            guard let text = item["content"]?.rawString else {
                throw DialectError(.unexpected, at: "\(path).content", "a string was expected")
            }
            return text.isEmpty ? [] : [part(text)]
        case "image":
            guard let address = item["data_url"]?.rawString else {
                throw DialectError(.unexpected, at: "\(path).data_url", "a string was expected")
            }
            var out = ByteBuffer(string: #"{"type":"input_image","image_url":"#)
            out.writeEscaped(address)
            out.writeString("}")
            return [out]
        default: return nil
        }
    }

    private static func part(_ text: EscapedText) -> ByteBuffer {
        var out = ByteBuffer(string: #"{"type":"input_text","text":"#)
        out.writeEscaped(text)
        out.writeString("}")
        return out
    }

    private static func message(_ role: StaticString, _ parts: [ByteBuffer]) -> ByteBuffer {
        var out = ByteBuffer(string: #"{"type":"message","role":"\#(role)","content":"#)
        out.writeImmutableBuffer(.rawArray(parts))
        out.writeString("}")
        return out
    }

    /// A text with a role is a message.
    private static func turn(_ object: RawObject, _ item: ByteBuffer) -> ByteBuffer {
        guard object["type"]?.rawString?.unescaped() == "text" else { return item }
        var message = object
        message.set("type", .rawString("message"))
        return message.text
    }

    // MARK: - Members

    private static func member(_ name: String, of document: JSONDocument) -> ByteBuffer? {
        guard let member = try? document.member(name) else { return nil }
        return document.slice(member.value)
    }

    private static func text(_ name: String, of document: JSONDocument) -> EscapedText? {
        member(name, of: document)?.rawString
    }

    private static func elements(_ name: String, of document: JSONDocument) -> [ByteBuffer]? {
        member(name, of: document).flatMap { try? $0.rawElements() }
    }
}

extension LMStudioRequest {
    /// The request with its conversation as it is kept, once it has been checked.
    ///
    /// - Throws: `missingParameter`, `invalidUnion`, `unrecognizedKeys`, `invalidRequest`, as LM Studio would refuse it.
    package static func settled(_ document: JSONDocument, _ form: NativeForm) throws(GatewayError) -> JSONDocument {
        try LMStudioRequestCheck(form).check(document)
        do throws(DialectError) {
            return try replaced(document, items: LMStudioConversation.items(document))
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    /// A request that has been expanded from a stored response, with one system prompt at its head.
    /// - Parameters:
    ///   - before: what it continues from.
    ///   - own: its own items.
    package static func led(
        _ document: JSONDocument, before: [ByteBuffer], own: [ByteBuffer]
    ) throws(GatewayError) -> (document: JSONDocument, before: [ByteBuffer], own: [ByteBuffer]) {
        let (before, own) = LMStudioConversation.led(before, own)
        do throws(DialectError) {
            return (try replaced(document, items: before + own), before, own)
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    /// Whether LM Studio's own API takes it: nothing but what the user says, and nothing that only `extended` has.
    package static func fitsOwnAPI(_ document: JSONDocument) -> Bool {
        let others: [StaticString] = ["tools", "stop", "seed", "response_format"]
        guard let places = try? document.places(of: others), places.allSatisfy({ $0 == nil }),
            let items = try? LMStudioConversation.items(document)
        else { return false }
        return items.allSatisfy { ResponsesSplice.isInstruction($0) || ResponsesSplice.isUsers($0) }
    }

    private static func replaced(
        _ document: JSONDocument, items: [ByteBuffer]
    ) throws(DialectError) -> JSONDocument {
        do throws(JSONError) {
            var edit = JSONEdit()
            try edit.set("input", .rawArray(items), in: document)
            if let place = try document.index(of: "system_prompt") { edit.remove(place, of: document) }
            return try JSONDocument(checking: edit.applied(to: document.bytes))
        } catch {
            throw DialectError(error)
        }
    }
}
