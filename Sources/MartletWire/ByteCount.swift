/// Bytes as people read them.
package enum ByteCount {
    /// Such as `4.7 GB`; 1 GB is 10⁹ bytes.
    package static func shown(_ bytes: some BinaryInteger) -> String {
        var value = Double(max(bytes, 0))
        var unit = "B"
        for next in ["kB", "MB", "GB", "TB"] where value >= (unit == "B" ? 1000 : 999.95) {
            value /= 1000
            unit = next
        }
        let tenths = Int64((value * 10).rounded())
        return unit == "B" ? "\(max(bytes, 0)) B" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }
}
