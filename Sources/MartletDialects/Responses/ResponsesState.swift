package import MartletWire
import NIOCore

/// What a request asks of whoever keeps responses: taken apart before it is expanded and read.
package struct ResponsesState: Sendable, Hashable {
    /// The response to continue from.
    package var previousID: String?
    /// The reply and its input are to be kept; the dialect's default.
    package var isStored = true
    /// The reply is to be made while nobody waits for it.
    package var isBackground = false
    package var streams = false
    package var conversation: String?
    /// Tokens: a longer conversation is summed up before it is answered.
    package var compactThreshold: Int?
    /// A stored prompt is to be used.
    package var usesPrompt = false

    package init() {}

    /// - Throws: `invalidRequest` for a member of the wrong kind.
    package init(_ document: JSONDocument) throws(GatewayError) {
        do throws(DialectError) {
            var members = try RequestMembers(document)
            previousID = try members.read("previous_response_id") { (walk) throws(DialectError) in
                try walk.string()
            }
            isStored = try members.read("store") { (walk) throws(DialectError) in try walk.boolIfAny() } ?? true
            isBackground =
                try members.read("background") { (walk) throws(DialectError) in try walk.boolIfAny() } ?? false
            streams = try members.read("stream") { (walk) throws(DialectError) in try walk.boolIfAny() } ?? false
            conversation = try members.read("conversation") { (walk) throws(DialectError) -> String? in
                if try walk.kind() == .string { return try walk.string() }
                var id = ""
                guard try walk.kind() == .object else { return nil }
                try walk.object(ConversationField.self) { (walk, _) throws(DialectError) in
                    id = try walk.stringIfAny() ?? ""
                }
                return id
            }
            compactThreshold = try members.read("context_management") { (walk) throws(DialectError) in
                try Self.threshold(&walk)
            }
            usesPrompt = try !members.present(["prompt"]).isEmpty
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    private enum ManagementField: String, RequestField {
        case type
        case threshold = "compact_threshold"
    }

    /// Of `[{"type":"compaction","compact_threshold":…}]`; what else may stand there is not known.
    private static func threshold(_ walk: inout RequestWalk) throws(DialectError) -> Int? {
        var found: Int?
        guard try walk.kind() == .array else { return nil }
        try walk.array { (walk, _) throws(DialectError) in
            guard try walk.kind() == .object else { return _ = try walk.skip() }
            var type: String?
            var threshold: Int?
            try walk.object(ManagementField.self) { (walk, field) throws(DialectError) in
                if try walk.takeNull() { return }
                switch field {
                case .type: type = try walk.stringIfAny()
                case .threshold: threshold = try walk.int()
                }
            }
            if type == "compaction" { found = threshold ?? found }
        }
        return found
    }

    private enum ConversationField: String, RequestField { case id }

    /// Refuses what nobody here does, and what contradicts itself (class A: honoured, or a 400 that names it).
    ///
    /// - Parameters:
    ///   - stores: there is a store for responses.
    ///   - takesPrompts: the upstream has stored prompts of its own.
    package func check(stores: Bool, takesPrompts: Bool = false) throws(GatewayError) {
        func refuse(_ name: String, _ reason: String) -> GatewayError {
            GatewayError(code: .invalidRequest, message: "\(name): \(reason)", param: name)
        }
        if conversation != nil {
            guard previousID == nil else {
                throw refuse("conversation", "cannot stand beside previous_response_id")
            }
            throw refuse("conversation", "this gateway keeps no conversations; use previous_response_id")
        }
        if usesPrompt, !takesPrompts {
            throw refuse("prompt", "this gateway keeps no prompts; send instructions and input")
        }
        if let previousID, !stores { throw .previousResponseNotFound(previousID) }
        guard !isBackground || isStored && stores else {
            throw refuse("background", "needs store, so that the reply can be fetched")
        }
    }
}
