/// An HTTP proxy that is asked for a tunnel to an upstream behind TLS
/// (`CONNECT`, https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6).
package struct Proxy: Sendable, Hashable {
    package var host: String
    package var port: Int
    /// `proxy-authorization: Basic …`, ready to send; nil: none. A secret: never logged.
    package var credentialLine: Secret?
    /// The variable that names it, for sentences.
    package var setting: String

    /// For people and logs: `proxy.corp:3128`.
    package var shown: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Where an address without a port leads.
    static let defaultPort = 80

    /// Reads `http://user:password@host:port`, of which scheme, credentials and port may be missing.
    /// - Throws: a sentence that names the variable and never holds its value, which may be a secret.
    init(_ text: String, setting: String) throws(ProxyProblem) {
        var rest = text[...]
        if let end = rest.firstRange(of: "://") {
            let scheme = rest[..<end.lowerBound].lowercased()
            guard scheme == "http" else {
                throw ProxyProblem(
                    "\(setting) names a proxy of the kind \(Proxy.word(scheme)), and only http:// proxies are supported. "
                        + "Set HTTPS_PROXY to one, or list the host in NO_PROXY")
            }
            rest = rest[end.upperBound...]
        }
        rest = rest.prefix { !"/?#".contains($0) }
        var credential: Secret?
        if let at = rest.lastIndex(of: "@") {
            guard let user = Proxy.credential(rest[..<at]) else { throw ProxyProblem(unreadable: setting) }
            credential = Secret("proxy-authorization: Basic \(Proxy.base64(user))\r\n")
            rest = rest[rest.index(after: at)...]
        }
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !"\\\"<>".utf8.contains($0) }),
            let (host, port) = BaseURL.hostAndPort(rest, defaultPort: Proxy.defaultPort)
        else { throw ProxyProblem(unreadable: setting) }
        self.host = host
        self.port = port
        credentialLine = credential
        self.setting = setting
    }

    /// A scheme as far as it is one; the rest of a variable is nobody's business.
    private static func word(_ scheme: String) -> String {
        let isWord = scheme.utf8.count <= 10 && scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
        return isWord ? scheme : "?"
    }

    /// `user:password` with its percent escapes resolved; nil when one of them is none.
    private static func credential(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        if !bytes.contains(UInt8(ascii: ":")) { bytes.append(UInt8(ascii: ":")) }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? { Character(UnicodeScalar(byte)).hexDigitValue.map(UInt8.init) }

    /// https://www.rfc-editor.org/rfc/rfc4648#section-4
    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let digit = alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)]
                text.append(place > group.count ? UInt8(ascii: "=") : digit)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// Why a variable names no proxy that could be used: a sentence without the variable's value.
package struct ProxyProblem: Error, Sendable, Hashable {
    package var sentence: String

    init(_ sentence: String) { self.sentence = sentence }

    init(unreadable setting: String) {
        self.init("\(setting) is no proxy's address. Write it as http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT")
    }
}

/// How an upstream's connections leave this machine.
package enum ProxyUse: Sendable, Hashable {
    case none
    case tunnel(Proxy)
    /// Through a proxy that cannot be used. Nothing is connected: going around a proxy is never what was meant.
    case impossible(ProxyProblem)

    /// The proxy, where there is one.
    package var proxy: Proxy? {
        if case .tunnel(let proxy) = self { proxy } else { nil }
    }
}
