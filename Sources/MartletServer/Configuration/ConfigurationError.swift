/// Why a configuration cannot be used: one sentence that says where, which key, what is wrong and, for an unknown key,
/// which known one is nearest. Never holds a secret.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package let message: String
    /// Whether a word of the command line is at fault, so that the command was used wrongly.
    package let isUsage: Bool

    package init(_ message: String, isUsage: Bool = false) {
        self.message = message
        self.isUsage = isUsage
    }

    package var description: String { message }
}

/// What is wrong with one value, to stand after the key's name: `must be a whole number from 0 to 65535 (got "x")`.
struct ValueProblem: Error {
    let text: String

    init(_ text: String) { self.text = text }

    /// - Parameter got: the value as it was written; nil where it may be a secret.
    init(mustBe wanted: String, got: String?) {
        guard let got else {
            text = "must be \(wanted)"
            return
        }
        text = "must be \(wanted) (got \"\(got.count > 60 ? got.prefix(60) + "…" : got[...])\")"
    }
}
