/// Text of a server for people to read.
package enum Printable {
    /// One line without control characters.
    /// - Parameter limit: characters; what is cut off is marked.
    package static func text(_ text: String, limit: Int) -> String {
        var kept = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(limit + 1) {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator: kept.append(" ")
            // Also what turns the direction of writing, so that text cannot look like another.
            case .format, .surrogate, .privateUse: continue
            default: kept.append(scalar)
            }
        }
        let line = String(kept)
        return line.count > limit ? String(line.prefix(limit)) + "…" : line
    }
}
