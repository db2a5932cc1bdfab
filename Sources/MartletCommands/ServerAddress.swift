/// Where commands find a server.
package enum ServerAddress {
    /// Of `martlet serve`.
    package static let usualPort = 3000

    /// A base URL as people write it, without what stands behind the server's name in those of APIs: `box:3000`,
    /// `http://box:3000/v1`. Without a scheme the port may be left out.
    /// - Returns: nil for what is none.
    package static func url(_ text: String) -> String? {
        var rest = text[...]
        var scheme = "http"
        if let start = text.firstRange(of: "://") {
            scheme = text[..<start.lowerBound].lowercased()
            rest = text[start.upperBound...]
        }
        while rest.last == "/" { rest.removeLast() }
        let endings = ["/api/v1", "/api/v0", "/v1"]
        if let end = endings.first(where: { rest.hasSuffix($0) }) { rest.removeLast(end.count) }
        let authority = rest.prefix { $0 != "/" }
        guard ["http", "https"].contains(scheme), isHost(authority), !rest.contains(where: \.isWhitespace) else {
            return nil
        }
        let isBare = !text.contains("://") && !hasPort(authority)
        return "\(scheme)://\(authority)\(isBare ? ":\(usualPort)" : "")\(rest.dropFirst(authority.count))"
    }

    /// An address of six is in brackets, so that its colons are none before a port.
    private static func hasPort(_ authority: Substring) -> Bool {
        authority.lastIndex(of: ":").map { !authority[$0...].contains("]") } ?? false
    }

    private static func isHost(_ authority: Substring) -> Bool {
        guard hasPort(authority), let colon = authority.lastIndex(of: ":") else { return !authority.isEmpty }
        let port = Int(authority[authority.index(after: colon)...])
        return colon != authority.startIndex && port.map { (1...65_535).contains($0) } == true
    }
}
