import Crypto
import MartletGateway

/// Digests of static tokens.
enum KeyDigest {
    /// The table of the configured tokens.
    static func table(_ auth: Configuration.AuthSettings) -> KeyTable {
        let digests = auth.tokens.compactMap(read)
        let isRequired =
            switch auth.required {
            case .auto: !digests.isEmpty
            case .on: true
            case .off: false
            }
        return KeyTable(isRequired: isRequired, digests: digests) { Array(SHA256.hash(data: Array($0.utf8))) }
    }

    /// `sha256:` and 64 hexadecimal digits; the loader has checked the form.
    private static func read(_ text: String) -> KeyTable.Digest? {
        guard text.hasPrefix("sha256:") else { return nil }
        let digits = Array(text.dropFirst(7).utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for at in stride(from: 0, to: 64, by: 2) {
            guard let byte = UInt8(String(decoding: digits[at...at + 1], as: UTF8.self), radix: 16) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }
}
