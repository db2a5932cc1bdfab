import MartletWire
import NIOCore
import NIOPosix

/// Decides which addresses a server may be at. What is decided about is what is connected to: a name that means another
/// address the next moment gains nothing.
package struct AddressDoor: Sendable {
    /// - Parameter address: 4 bytes of IPv4 or 16 of IPv6, in network order.
    package typealias Rule = @Sendable (_ host: String, _ port: Int, _ address: [UInt8]) -> Bool

    private let rule: Rule?

    /// Every address, looked up anew for each connection: for servers that the owner of this machine has named.
    package static let open = AddressDoor(rule: nil)

    /// Those the rule admits.
    package static func checked(_ rule: @escaping Rule) -> AddressDoor { AddressDoor(rule: rule) }

    /// The address to connect to in place of the URL's host; empty where every one will do.
    /// - Throws: `unreachable`, `closedAddress`.
    func addresses(of url: ServerURL, name: String) async throws(MCPError) -> [String: String] {
        guard let rule else { return [:] }
        let found: SocketAddress
        do {
            found = try await NIOThreadPool.singleton.runIfActive {
                try SocketAddress.makeAddressResolvingHost(url.host, port: url.port)
            }
        } catch {
            throw MCPError(.unreachable, "there is no address for the name \(url.host) of the MCP server \(name)")
        }
        guard rule(url.host, url.port, found.hostBytes), let address = found.ipAddress else {
            throw MCPError(
                .closedAddress,
                "the MCP server \(name) at \(url.host) is not on the open internet: a request may name it only where "
                    + "mcp.allowed_hosts does")
        }
        return [url.host: address]
    }
}

extension Duration {
    /// Saturated.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : whole + attoseconds / 1_000_000_000
    }
}
