package import MartletDialects

/// Everything a decision needs, immutable, swapped whole: an exchange keeps the one it began with.
package final class Snapshot: Sendable {
    package let routes: RouteTable
    package let hosts: HostGuard
    /// Bytes of a request body after decoding.
    package let maxBody: Int
    package let keys: KeyTable
    /// Sent upstream when the client is silent.
    package let defaults: WriteTarget.Defaults
    /// Where usage stands in a stream whose client did not ask for it.
    package let unaskedUsage: ChatFrameEdit.UsagePlacement
    /// Responses can be kept; else a request that asks for it is answered all the same, and its reply says so.
    package let keepsResponses: Bool
    /// Guards reasoning that travels through clients of Responses.
    package let seal: ReasoningSeal
    /// Images may be fetched for upstreams that take no addresses.
    package let fetchesImages: Bool
    /// How much a request of LM Studio's own API may say.
    package let native: NativeForm
    /// Of tools of MCP servers.
    package let tools: ToolRules
    /// This process among Martlets, so that one never calls itself (product.md 3, No loops).
    package let instance: String

    package init(
        routes: RouteTable, hosts: HostGuard, keys: KeyTable = .open, maxBody: Int = Limits.body,
        defaults: WriteTarget.Defaults = WriteTarget.Defaults(),
        unaskedUsage: ChatFrameEdit.UsagePlacement = .hidden, keepsResponses: Bool = false,
        seal: ReasoningSeal = .plain, fetchesImages: Bool = false, native: NativeForm = .strict,
        tools: ToolRules = ToolRules(), instance: String
    ) {
        self.routes = routes
        self.hosts = hosts
        self.keys = keys
        self.maxBody = maxBody
        self.defaults = defaults
        self.unaskedUsage = unaskedUsage
        self.keepsResponses = keepsResponses
        self.seal = seal
        self.fetchesImages = fetchesImages
        self.native = native
        self.tools = tools
        self.instance = instance
    }

    package func with(routes: RouteTable) -> Snapshot {
        Snapshot(
            routes: routes, hosts: hosts, keys: keys, maxBody: maxBody, defaults: defaults, unaskedUsage: unaskedUsage,
            keepsResponses: keepsResponses, seal: seal, fetchesImages: fetchesImages, native: native, tools: tools,
            instance: instance)
    }
}
