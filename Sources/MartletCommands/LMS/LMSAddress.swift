/// Which server `lms` talks to.
package struct LMSAddress: Sendable, Hashable {
    /// Without a scheme and a port.
    package var host: String
    package var port: Int

    package static let usualPort = 1234
    package static let usualHost = "127.0.0.1"

    /// - Parameters:
    ///   - host: of the command line: a name only.
    ///   - variable: `MARTLET_HOST`, an address.
    ///   - last: where the server is that was started last.
    package static func find(
        host: String?, port: Int?, variable: String?, last: LMSAddress?
    ) throws(LMSRefusal) -> LMSAddress {
        if let host {
            guard !host.isEmpty, !host.contains("/"), host.hasPrefix("[") || !host.contains(":") else {
                throw LMSRefusal("--host takes the name of a machine without http:// and port; --port takes the port")
            }
        }
        if let port, !(1...65_535).contains(port) { throw LMSRefusal("--port takes 1 to 65535 (got \(port))") }
        if host == nil, port == nil, let variable, let address = LMSAddress(variable) { return address }
        if host == nil, let last, port.map({ $0 == last.port }) ?? true { return last }
        return LMSAddress(host: host ?? usualHost, port: port ?? usualPort)
    }

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Of an address such as `http://127.0.0.1:1234`; nil: it has no port that is a number.
    init?(_ address: String) {
        let bare = address.split(separator: "//", maxSplits: 1).last.map(String.init) ?? address
        let authority = bare.prefix { $0 != "/" }
        guard !authority.isEmpty else { return nil }
        guard let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") else {
            let isURL = address.contains("://")
            self.init(host: String(authority), port: isURL ? 80 : ServerAddress.usualPort)
            return
        }
        guard let port = Int(authority[authority.index(after: colon)...]) else { return nil }
        self.init(host: String(authority[..<colon]), port: port)
    }

    /// Whether that is this machine, whatever its port.
    package var isHere: Bool {
        let name = host.lowercased()
        return name == "localhost" || name == "[::1]" || name.hasPrefix("127.")
    }

    /// Such as `http://127.0.0.1:1234`.
    package var url: String { "http://\(host):\(port)" }
}
