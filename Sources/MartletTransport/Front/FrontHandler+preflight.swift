import NIOCore

/// What a browser asks before it lets a page of another origin send a request.
struct Preflight {
    /// Values of `Access-Control-Request-Headers`.
    var headers: [String] = []
    /// `Access-Control-Request-Private-Network`: the page comes from the internet, and we are on the machine or its
    /// network.
    var reachesPrivateNetwork = false

    /// The bound of what is given back of a request, in header names and in bytes of each.
    private static let most = 64

    /// The headers that were asked for, as far as they are names of headers.
    var headerNames: [Substring] {
        let names = headers.flatMap { $0.split(separator: ",").map(Preflight.trimmed) }
        let plain = names.filter { 1...Preflight.most ~= $0.utf8.count && $0.utf8.allSatisfy(Preflight.isNameByte) }
        return Array(plain.prefix(Preflight.most))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    /// A byte of a token (RFC 9110, 5.6.2).
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

extension FrontHandler {
    /// The answer to a browser's pre-flight, from an origin that was allowed by name: its pages may send what they like.
    /// - Parameter methods: those of the path; none: there is no such path, and the request itself is told so.
    func send(_ preflight: Preflight, allowed methods: [String]) {
        var head = head(status: 204)
        let granted = methods.isEmpty ? ["GET", "HEAD", "POST", "DELETE"] : methods
        head.add("access-control-allow-methods", granted.joined(separator: ", "))
        let names = preflight.headerNames
        if !names.isEmpty { head.add("access-control-allow-headers", names.joined(separator: ", ")) }
        if preflight.reachesPrivateNetwork { head.add(fixed: "access-control-allow-private-network: true\r\n") }
        head.add(fixed: "access-control-max-age: 600\r\n")
        write(head.end())
        context?.flush()
        hasReplied = true
    }
}
