internal import MartletWire
internal import NIOPosix

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Keeps redirects of a hub on the internet from leading to this machine or its networks. A hub that is there itself
/// may lead wherever it likes.
///
/// The name is looked up again for the connection, so this stops hubs and mirrors that were changed, and not a name
/// server that gives two answers.
package struct RedirectGuard: Sendable {
    /// Addresses of a host, in network order; none where there are none.
    package typealias Lookup = @Sendable (_ host: String) async -> [[UInt8]]

    private let endpoint: WebOrigin
    private let addresses: Lookup

    package init(endpoint: WebOrigin, addresses: @escaping Lookup = RedirectGuard.lookUp) {
        self.endpoint = endpoint
        self.addresses = addresses
    }

    /// - Parameter isProxied: the proxy looks its name up, so only an address that is written out is looked at.
    /// - Throws: `badRedirect`.
    package func check(_ target: WebOrigin, from: WebOrigin?, isProxied: Bool) async throws(HubError) {
        guard target != endpoint, !isProxied || target.isAddress, await !isPublic(target), await isPublic(endpoint)
        else { return }
        throw HubError(
            .badRedirect,
            "\(from?.shown ?? endpoint.shown) redirects to \(target.shown), which is on this machine or its network, "
                + "and is not followed")
    }

    private func isPublic(_ origin: WebOrigin) async -> Bool {
        await addresses(origin.bareHost).allSatisfy { AddressGuard.isPublic($0) }
    }

    package static func lookUp(_ host: String) async -> [[UInt8]] {
        (try? await NIOThreadPool.singleton.runIfActive { found(host) }) ?? []
    }

    private static func found(_ host: String) -> [[UInt8]] {
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, nil, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        return sequence(first: list, next: { $0?.pointee.ai_next }).compactMap { entry -> [UInt8]? in
            guard let address = entry?.pointee.ai_addr else { return nil }
            switch Int32(address.pointee.sa_family) {
            case AF_INET:
                return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                    withUnsafeBytes(of: address.pointee.sin_addr) { Array($0) }
                }
            case AF_INET6:
                return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                    withUnsafeBytes(of: address.pointee.sin6_addr) { Array($0) }
                }
            default: return nil
            }
        }
    }
}

extension WebOrigin {
    /// Without the brackets of IPv6.
    var bareHost: String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    /// Its host is written out as an address. Every name has a part at its end that is no number.
    var isAddress: Bool {
        host.contains(":") || host.split(separator: ".").last.map { $0.first?.isNumber == true } ?? true
    }
}
