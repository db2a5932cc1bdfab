/// Who may call. Holds digests only; the digest function is handed in by the wiring, so that
/// this target needs no cryptography.
package struct KeyTable: Sendable {
    /// 32 bytes of SHA-256.
    package typealias Digest = [UInt8]

    package let isRequired: Bool
    private let digests: [Digest]
    private let digest: @Sendable (String) -> Digest

    package init(isRequired: Bool, digests: [Digest], digest: @escaping @Sendable (String) -> Digest) {
        self.isRequired = isRequired
        self.digests = digests
        self.digest = digest
    }

    /// Nobody is asked for a token.
    package static let open = KeyTable(isRequired: false, digests: [], digest: { _ in [] })

    /// The digest of a token that is one of ours, else nil. Every known digest is compared in full, in constant time.
    package func holder(of token: String) -> Digest? {
        guard !digests.isEmpty, token.utf8.count <= 1024 else { return nil }
        let given = digest(token)
        var found = false
        for known in digests where known.count == given.count {
            var difference: UInt8 = 0
            for index in known.indices { difference |= known[index] ^ given[index] }
            found = found || difference == 0
        }
        return found ? given : nil
    }
}
