package import MartletWire

/// Bytes that are not what their dialect says they should be.
package struct DialectError: Error, Hashable, Sendable {
    package enum Code: Hashable, Sendable {
        /// Not JSON.
        case malformed
        /// JSON, but of another shape.
        case unexpected
        /// It ended before its terminal mark.
        case truncated
    }

    package var code: Code
    /// Where, such as `messages[2].content[0].type`; empty for the whole text.
    package var path: String
    package var message: String

    package init(_ code: Code, at path: String = "", _ message: String) {
        self.code = code
        self.path = path
        self.message = message
    }

    package init(_ error: JSONError, at path: String = "") {
        self.init(.malformed, at: path, error.sentence)
    }

    /// For users: the path, then what is wrong there.
    package var sentence: String { path.isEmpty ? message : "\(path): \(message)" }
}
