import MartletWire
import NIOCore

/// How much a request of LM Studio's own API may say (docs/DIALECTS.md, a client of LM Studio's own API).
package enum NativeForm: String, Sendable, Hashable, CaseIterable {
    /// What LM Studio takes, and nothing else.
    case strict
    /// Beside that, as in Chat Completions: tools of the client, stop strings, a seed, the form of the answer; turns of
    /// the assistant, as in Responses; and a TTL.
    case extended
}

/// Checks a request as strictly as LM Studio does: members first, then whatever nobody knows.
struct LMStudioRequestCheck {
    private let form: NativeForm

    init(_ form: NativeForm) { self.form = form }

    private static let extensions = [
        "tools", "tool_choice", "parallel_tool_calls", "stop", "seed", "response_format", "ttl",
    ]
    private static let reasoning = ["off", "low", "medium", "high", "on"]

    func check(_ document: JSONDocument) throws(GatewayError) {
        var absent: String?
        let unknown: [String]
        do throws(DialectError) {
            var members = try RequestMembers(document)
            let required = ["model", "input"]
            let present = try members.present(required)
            absent = required.first { !present.contains($0) }
            if absent == nil { try checkSettings(&members) }
            unknown = members.rest.members.map(\.name)
        } catch {
            throw GatewayError(refusing: error)
        }
        if let absent { throw Self.missing(absent) }
        try checkInput(document)
        try checkIntegrations(document)
        guard unknown.isEmpty else { throw unrecognized(unknown, in: nil) }
    }

    // MARK: - Members

    private func checkSettings(_ members: inout RequestMembers) throws(DialectError) {
        for name in ["model", "system_prompt"] { _ = try members.string(name) }
        for name in ["stream", "store"] { _ = try members.bool(name) }
        _ = try members.number("temperature", in: form == .strict ? 0...1 : 0...2)
        for name in ["top_p", "min_p"] { _ = try members.number(name, in: 0...1) }
        _ = try members.read("repeat_penalty") { (walk) throws(DialectError) in
            let penalty = try walk.number()
            guard let value = penalty.double, value > 0 else {
                throw DialectError(.unexpected, "must be above 0 (got \(penalty.literal.prefix(40)))")
            }
            return true
        }
        for name in ["top_k", "max_output_tokens"] { _ = try members.limit(name) }
        _ = try members.read("context_length") { (walk) throws(DialectError) in try Self.positive(&walk) }
        _ = try members.read("reasoning") { (walk) throws(DialectError) in
            guard try Self.reasoning.contains(walk.string()) else {
                throw DialectError(.unexpected, "must be one of \(Self.reasoning.joined(separator: ", "))")
            }
            return true
        }
        _ = try members.read("previous_response_id") { (walk) throws(DialectError) in
            guard try walk.string().hasPrefix("resp_") else {
                throw DialectError(.unexpected, "must be the response_id of an earlier reply, which begins with resp_")
            }
            return true
        }
        _ = try members.present(["integrations"])
        guard form == .extended else { return }
        _ = try members.read("seed") { (walk) throws(DialectError) in try walk.int() }
        _ = try members.read("ttl") { (walk) throws(DialectError) in try Self.positive(&walk) }
        _ = try members.present(Self.extensions)
    }

    private static func positive(_ walk: inout RequestWalk) throws(DialectError) -> Int {
        let number = try walk.int()
        guard number > 0 else { throw DialectError(.unexpected, "must be at least 1") }
        return number
    }

    // MARK: - Input

    private func checkInput(_ document: JSONDocument) throws(GatewayError) {
        guard let value = Self.value("input", of: document) else { return }
        if value.rawKind == .string { return }
        guard let items = try? value.rawElements() else {
            throw Self.invalidUnion("input", "input: a string or a list of items was expected")
        }
        for (place, item) in items.enumerated() { try checkItem(item, "input[\(place)]") }
    }

    private func checkItem(_ item: ByteBuffer, _ path: String) throws(GatewayError) {
        guard let object = try? RawObject(item) else {
            throw Self.invalidUnion("input", "\(path): an object with a type was expected")
        }
        let type = object["type"]?.rawString?.unescaped()
        if form == .extended, LMStudioConversation.isTurn(object) { return }
        switch type {
        case "text", "message":
            guard object["content"].map({ $0.rawKind == .string }) ?? true else {
                throw Self.invalid("\(path).content", "a string was expected")
            }
            try checkMembers(object, ["content"], path)
        case "image":
            try checkMembers(object, ["data_url"], path)
            guard let address = object["data_url"]?.rawString, let image = DataURL(address),
                image.mediaType.hasPrefix("image/")
            else {
                throw Self.invalid("\(path).data_url", "a data URL was expected, data:image/…;base64,…")
            }
        default:
            let got = type.map { "\"\($0.prefix(64))\" is none" } ?? "one is required"
            throw Self.invalidUnion("input", "\(path).type: it must be \"text\" or \"image\"; \(got)")
        }
    }

    /// - Parameter names: of what must be there, beside the type.
    private func checkMembers(
        _ object: RawObject, _ names: [String], optional: [String] = [], _ path: String
    ) throws(GatewayError) {
        for name in names where object[name].map({ $0.rawKind == .null }) ?? true {
            throw Self.missing("\(path).\(name)")
        }
        let unknown = object.members.map(\.name).filter { !(["type"] + names + optional).contains($0) }
        guard unknown.isEmpty else { throw unrecognized(unknown, in: path) }
    }

    // MARK: - Integrations

    private func checkIntegrations(_ document: JSONDocument) throws(GatewayError) {
        guard let value = Self.value("integrations", of: document) else { return }
        guard let list = try? value.rawElements() else {
            throw Self.invalid("integrations", "a list was expected")
        }
        for (place, item) in list.enumerated() where item.rawKind != .string {
            let path = "integrations[\(place)]"
            let object = try? RawObject(item)
            switch (object, object?["type"]?.rawString?.unescaped()) {
            case (let object?, "plugin"): try checkMembers(object, ["id"], optional: ["allowed_tools"], path)
            case (let object?, "ephemeral_mcp"):
                try checkMembers(
                    object, ["server_label", "server_url"], optional: ["allowed_tools", "headers"], path)
            default:
                throw Self.invalidUnion(
                    "integrations",
                    "\(path): the id of a plugin, or an object of type \"plugin\" or \"ephemeral_mcp\" was expected")
            }
        }
    }

    // MARK: - Errors

    /// Nil when the member is absent or null.
    private static func value(_ name: String, of document: JSONDocument) -> ByteBuffer? {
        guard let member = try? document.member(name), member.kind != .null else { return nil }
        return document.slice(member.value)
    }

    private static func missing(_ path: String) -> GatewayError {
        GatewayError(code: .missingParameter, message: "\"\(path)\" is required", param: path)
    }

    private static func invalid(_ path: String, _ sentence: String) -> GatewayError {
        GatewayError(refusing: DialectError(.unexpected, at: path, sentence))
    }

    private static func invalidUnion(_ param: String, _ sentence: String) -> GatewayError {
        GatewayError(code: .invalidUnion, message: sentence, param: param)
    }

    /// - Parameter path: of the object; nil for the request itself.
    private func unrecognized(_ names: [String], in path: String?) -> GatewayError {
        let shown = names.prefix(24).map { "'\($0.prefix(48))'" }.joined(separator: ", ")
        var message = "Unrecognized key(s) in object: \(shown)"
        let known = path == nil && form == .strict ? names.filter(Self.extensions.contains) : []
        if !known.isEmpty {
            message += ". With server.native: extended this server takes \(known.joined(separator: ", "))"
        }
        return GatewayError(code: .unrecognizedKeys, message: message, param: path)
    }
}
