/// A line that shows how far something is: a bar where there is room for one.
package enum ProgressLine {
    /// `name  [#####     ]  42%`, as much of it as fits.
    /// - Parameters:
    ///   - share: 0 to 1; beyond that it counts as the end.
    ///   - numbers: what stands behind the bar.
    package static func bar(_ name: String, _ share: Double, _ numbers: String, columns: Int) -> String {
        let room = columns - 1
        let width = min(30, room - numbers.count - name.count - 6)
        guard width >= 8 else {
            return String(
                (numbers.count + name.count + 2 <= room ? "\(name)  \(numbers)" : numbers).prefix(max(room, 0)))
        }
        let full = Int(bounded(share) * Double(width))
        let (done, left) = (String(repeating: "#", count: full), String(repeating: " ", count: width - full))
        return "\(name)  [\(done)\(left)]  \(numbers)"
    }

    /// `42%`.
    package static func percent(_ share: Double) -> String { "\(Int(bounded(share) * 100))%" }

    private static func bounded(_ share: Double) -> Double { share.isNaN ? 0 : min(max(share, 0), 1) }
}

/// Which tenths of the way have been told, where every step would be too many lines.
package struct Tenths: Sendable, Hashable {
    private var told = -1

    package init() {}

    /// Whether this is a tenth that has not been told.
    package mutating func isNew(_ share: Double) -> Bool {
        let tenths = Int(min(max(share.isNaN ? 0 : share, 0), 1) * 10)
        guard tenths > told else { return false }
        told = tenths
        return true
    }
}
