import MartletWire
import NIOCore

/// What a request for a ranking asks for, in the form of Jina and Cohere.
struct RerankRequest: Sendable, Hashable {
    /// The documents as JSON strings.
    private(set) var documents: [ByteBuffer] = []
    /// How many to give back; nil: all.
    private(set) var most: Int?
    /// Whether the documents are given back too; nil: as the upstream does.
    private(set) var returnsDocuments: Bool?

    private enum Field: String, RequestField { case text }

    /// - Parameter edit: gets the documents as plain texts where some were objects; most servers take nothing else.
    init(_ document: JSONDocument, edit: inout JSONEdit) throws(GatewayError) {
        do throws(DialectError) {
            var members = try RequestMembers(document)
            let query = try members.read("query") { (walk) throws(DialectError) in try walk.escaped() }
            guard let query else { throw DialectError(.unexpected, at: "query", "is required") }
            guard !query.isEmpty else { throw DialectError(.unexpected, at: "query", "must not be empty") }
            var hasObjects = false
            let documents = try members.read("documents") { (walk) throws(DialectError) in
                var documents: [ByteBuffer] = []
                try walk.array { (walk, _) throws(DialectError) in
                    hasObjects = try walk.kind() == .object || hasObjects
                    documents.append(try Self.text(&walk))
                }
                return documents
            }
            guard let documents, !documents.isEmpty else {
                throw DialectError(.unexpected, at: "documents", "must hold at least one document")
            }
            self.documents = documents
            most = try members.read("top_n") { (walk) throws(DialectError) in
                let most = try walk.int()
                guard most > 0 else {
                    throw DialectError(.unexpected, "must be a whole number above 0 (got \(most))")
                }
                return most
            }
            returnsDocuments = try members.bool("return_documents")
            guard hasObjects else { return }
            do throws(JSONError) {
                try edit.set("documents", .rawArray(documents), in: document)
            } catch {
                throw DialectError(error, at: "documents")
            }
        } catch {
            throw GatewayError(refusing: error)
        }
    }

    /// A string, or an object with a `text`.
    private static func text(_ walk: inout RequestWalk) throws(DialectError) -> ByteBuffer {
        var text: EscapedText?
        if try walk.kind() == .object {
            try walk.object(Field.self) { (walk, _) throws(DialectError) in text = try walk.escaped() }
        } else {
            text = try walk.escaped()
        }
        guard let text else { throw DialectError(.unexpected, at: "text", "is required") }
        var value = ByteBuffer()
        value.writeEscaped(text)
        return value
    }
}
