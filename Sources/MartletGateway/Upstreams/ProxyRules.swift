/// Which upstreams are reached through a proxy, as the environment says it to every program
/// (https://everything.curl.dev/usingcurl/proxies/env.html).
///
/// `https_proxy` or `HTTPS_PROXY`, else `all_proxy` or `ALL_PROXY`, for upstreams behind TLS; the lower-case name
/// counts where both are set. `no_proxy` or `NO_PROXY` lists exceptions. Never through a proxy: upstreams without TLS,
/// which are local models, and whatever is on loopback or a Unix socket.
package struct ProxyRules: Sendable, Hashable {
    private let use: ProxyUse
    private let exceptions: [Exception]

    /// No proxy at all.
    package static let none = ProxyRules(environment: [:])

    package init(environment: [String: String]) {
        func first(_ names: String...) -> (name: String, value: String)? {
            for name in names {
                if let value = environment[name], !value.isEmpty { return (name, value) }
            }
            return nil
        }
        if let named = first("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY") {
            do throws(ProxyProblem) {
                use = .tunnel(try Proxy(named.value, setting: named.name))
            } catch {
                use = .impossible(error)
            }
        } else {
            use = .none
        }
        let list = first("no_proxy", "NO_PROXY")?.value ?? ""
        exceptions = list.split { $0 == "," || $0.isWhitespace }.compactMap { Exception($0.lowercased()) }
    }

    /// The proxy of all that is no exception, where there is one.
    package var proxy: Proxy? { use.proxy }

    package func use(for origin: Origin) -> ProxyUse {
        guard origin.usesTLS, !origin.isLocal, case .tcp(let host, let port) = origin.address else { return .none }
        return exceptions.contains { $0.covers(host.lowercased(), port) } ? .none : use
    }

    /// One entry of `NO_PROXY`.
    private enum Exception: Sendable, Hashable {
        /// `*`
        case all
        /// `corp.example`, `.corp.example`, `*.corp.example`: the name itself and every name below it.
        case name(String, port: Int?)
        /// `10.1.2.3`, `fd00::1`.
        case address(String, port: Int?)
        /// `10.0.0.0/8`
        case network(UInt32, bits: Int)

        /// Nil for an entry that is none of these: others list what only they understand.
        init?(_ entry: String) {
            if entry == "*" {
                self = .all
                return
            }
            if let slash = entry.firstIndex(of: "/") {
                guard let address = Exception.number(entry[..<slash]),
                    let bits = Int(entry[entry.index(after: slash)...]), (0...32).contains(bits)
                else { return nil }
                self = .network(address, bits: bits)
                return
            }
            // An IPv6 address may stand without brackets, as no port can follow it then.
            if entry.count(where: { $0 == ":" }) > 1, !entry.hasPrefix("[") {
                self = .address(entry, port: nil)
                return
            }
            guard let (host, port) = BaseURL.hostAndPort(entry[...], defaultPort: 443) else { return nil }
            let hasPort = entry.hasPrefix("[") ? !entry.hasSuffix("]") : entry.contains(":")
            let wanted = hasPort ? port : nil
            if host.contains(":") || Exception.number(host[...]) != nil {
                self = .address(host, port: wanted)
                return
            }
            var name = host[...]
            if name.hasPrefix("*.") { name = name.dropFirst() }
            name = name.drop { $0 == "." }
            if name.hasSuffix(".") { name = name.dropLast() }
            guard !name.isEmpty else { return nil }
            self = .name(String(name), port: wanted)
        }

        func covers(_ host: String, _ port: Int) -> Bool {
            switch self {
            case .all: return true
            case .name(let name, let wanted):
                let host = host.hasSuffix(".") ? host.dropLast() : host[...]
                guard wanted ?? port == port else { return false }
                // Nothing lies below an address.
                return host == name || host.hasSuffix("." + name) && Exception.number(host) == nil
            case .address(let address, let wanted): return wanted ?? port == port && host == address
            case .network(let network, let bits):
                guard let number = Exception.number(host[...]) else { return false }
                return bits == 0 || (number ^ network) >> UInt32(32 - bits) == 0
            }
        }

        /// Four decimal numbers as one; nil for any other text.
        private static func number(_ text: Substring) -> UInt32? {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 4 else { return nil }
            var number: UInt32 = 0
            for part in parts {
                guard part.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let byte = UInt8(part) else { return nil }
                number = number << 8 | UInt32(byte)
            }
            return number
        }
    }
}
