package import MartletDialects
import MartletGateway

/// Which part of the model list is asked for, by the parameters of Anthropic's Models API; without them, all of it.
package struct ModelPage: Sendable, Hashable {
    private var limit: Int?
    private var after: String?
    private var before: String?

    /// - Throws: `invalidRequest` for a `limit` that is no number from 1 to 1000.
    package init(query: String) throws(GatewayError) {
        after = Endpoints.parameter("after_id", of: query)
        before = Endpoints.parameter("before_id", of: query)
        guard let text = Endpoints.parameter("limit", of: query) else { return }
        guard let limit = Int(text), 1...1000 ~= limit else {
            throw GatewayError(
                code: .invalidRequest, message: "limit must be a whole number from 1 to 1000", param: "limit")
        }
        self.limit = limit
    }

    /// The ids of this page, and whether the list goes on in the direction it is read in.
    package func of(_ ids: [String]) -> (ids: [String], hasMore: Bool) {
        var part = ids[...]
        if let after, let at = ids.firstIndex(of: after) { part = part[(at + 1)...] }
        if let before, let at = part.firstIndex(of: before) { part = part[..<at] }
        let page = limit.map { before == nil ? part.prefix($0) : part.suffix($0) } ?? part
        return (Array(page), page.count < part.count)
    }
}
