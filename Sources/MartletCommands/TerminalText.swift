/// Text of models and servers on its way to a terminal: escape sequences and other control characters are taken out, so
/// that it cannot steer the terminal (threat list 15).
package enum TerminalText {
    package static func safe(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isSteering) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.filter { !isSteering($0) }))
    }

    /// C0 and C1 controls but for newline and tab, and the marks that reorder text.
    private static func isSteering(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0A, 0x09: false
        case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
