package import NIOCore

/// Tells addresses of the open internet from those that only this machine or its networks reach: what a client names
/// must not lead the gateway to the latter.
package enum AddressGuard {
    /// Blocks of IPv4 that are not for everybody (https://www.iana.org/assignments/iana-ipv4-special-registry),
    /// multicast and what is reserved: this network, private, shared, loopback, link-local (and cloud
    /// metadata), tests and documentation.
    private static let closed: [(UInt32, bits: UInt32)] = [
        (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8), (0xA9FE_0000, 16), (0xAC10_0000, 12),
        (0xC000_0000, 24), (0xC000_0200, 24), (0xC058_6300, 24), (0xC0A8_0000, 16), (0xC612_0000, 15),
        (0xC633_6400, 24), (0xCB00_7100, 24), (0xE000_0000, 4), (0xF000_0000, 4),
    ]

    /// - Parameter address: 4 bytes of IPv4 or 16 of IPv6, in network order. Any other number of bytes is not public.
    package static func isPublic(_ address: [UInt8]) -> Bool {
        switch address.count {
        case 4:
            let number = address.reduce(0) { $0 << 8 | UInt32($1) }
            return !closed.contains { block, bits in (number ^ block) >> (32 - bits) == 0 }
        case 16: return isPublic6(address)
        default: return false
        }
    }

    /// Global unicast only (RFC 4291, 2.4): so neither loopback, unique-local, link-local, multicast nor IPv4 that is
    /// mapped or translated. Of it not what tunnels to IPv4 (6to4, Teredo), nor other protocols' and documentation's
    /// blocks (https://www.iana.org/assignments/iana-ipv6-special-registry).
    private static func isPublic6(_ address: [UInt8]) -> Bool {
        let first = UInt16(address[0]) << 8 | UInt16(address[1])
        let second = UInt16(address[2]) << 8 | UInt16(address[3])
        guard first >> 13 == 0b001, first != 0x2002 else { return false }
        if first == 0x2001, second < 0x0200 || second == 0x0DB8 { return false }
        return !(first == 0x3FFF && second < 0x1000)
    }
}

extension SocketAddress {
    /// The host's address in network order, 4 or 16 bytes; empty for a Unix socket.
    package var hostBytes: [UInt8] {
        // It stands behind family and port, and of IPv6 behind the flow label too (RFC 3493, 3.3).
        let place: Range<Int>? =
            switch self {
            case .v4: 4..<8
            case .v6: 8..<24
            case .unixDomainSocket: nil
            }
        guard let place else { return [] }
        return withSockAddr { address, size in Array(UnsafeRawBufferPointer(start: address, count: size)[place]) }
    }
}
