/// Everything a decision needs, immutable, swapped whole: an exchange keeps the one it began with.
package final class Snapshot: Sendable {
    package let routes: RouteTable
    package let hosts: HostGuard
    /// Bytes of a request body after decoding.
    package let maxBody: Int
    /// This process among Martlets, so that one never calls itself (product.md 3, No loops).
    package let instance: String

    package init(routes: RouteTable, hosts: HostGuard, maxBody: Int = Limits.body, instance: String) {
        self.routes = routes
        self.hosts = hosts
        self.maxBody = maxBody
        self.instance = instance
    }

    package func with(routes: RouteTable) -> Snapshot {
        Snapshot(routes: routes, hosts: hosts, maxBody: maxBody, instance: instance)
    }
}
