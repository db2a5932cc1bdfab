/// Numbers as people read them.
package enum Shown {
    /// Such as `4.10 s`.
    package static func seconds(_ seconds: Double) -> String { "\(fixed(seconds, places: 2)) s" }

    /// A number with so many digits behind the point, one or two.
    package static func fixed(_ number: Double, places: Int) -> String {
        let factor = places == 1 ? 10 : 100
        let whole = Int((min(max(number.isNaN ? 0 : number, 0), 1e12) * Double(factor)).rounded())
        let rest = "\(whole % factor)"
        return "\(whole / factor)." + String(repeating: "0", count: places - rest.count) + rest
    }

    /// A span in its largest units: `59s`, `12m`, `1h 5m`, `2d 3h`.
    package static func span(milliseconds: Int) -> String {
        let seconds = max(0, milliseconds) / 1000
        func two(_ large: Int, _ name: String, _ small: Int, _ smaller: String) -> String {
            small == 0 ? "\(large)\(name)" : "\(large)\(name) \(small)\(smaller)"
        }
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return two(seconds / 60, "m", seconds % 60, "s")
        case ..<86_400: return two(seconds / 3600, "h", seconds % 3600 / 60, "m")
        default: return two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h")
        }
    }
}
