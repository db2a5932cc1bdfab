/// How many parameters a model has, and how many of them work on each token.
package struct ParameterCount: Sendable, Hashable {
    package var total: UInt64
    /// Fewer than `total` where experts are chosen for each token.
    package var active: UInt64
    /// As LM Studio writes it: `8B`, `26B-A4B`; nil of a model without parameters.
    package var text: String?

    /// - Parameters:
    ///   - label: what the file says of itself (`general.size_label`). Taken if it has the form and is not off by more
    ///     than a half: a 30B of which 3.3 billion work on a token is known as 30B-A3B to all.
    ///   - experts: how many there are, and how many are used for a token.
    init(_ tensors: [GGUFHeader.Tensor], label: String?, experts: (count: Int, used: Int)?) {
        var total: UInt64 = 0
        var expert: UInt64 = 0
        for tensor in tensors {
            total = total.addingReportingOverflow(tensor.elements).overflow ? .max : total + tensor.elements
            // `blk.0.ffn_up_exps.weight`: the matrices of all experts in one tensor.
            guard tensor.name.utf8.count < 64, tensor.name.contains("_exps.") else { continue }
            expert = expert.addingReportingOverflow(tensor.elements).overflow ? .max : expert + tensor.elements
        }
        self.total = total
        active = total
        if let experts, experts.count > 0, experts.used < experts.count {
            active = total - expert + UInt64(Double(expert) * (Double(experts.used) / Double(experts.count)))
        }
        text = total == 0 ? nil : label.flatMap { Self.accepted($0, total) }
        if text == nil, total > 0 {
            text = Self.short(total) + (active < total ? "-A" + Self.short(active) : "")
        }
    }

    /// `30B-A3B`, if there may be as many parameters.
    private static func accepted(_ label: String, _ total: UInt64) -> String? {
        let pieces = label.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(pieces.count), let said = number(pieces[0]) else { return nil }
        if pieces.count == 2 {
            guard pieces[1].first == "A", number(pieces[1].dropFirst()) != nil else { return nil }
        }
        return (2.0 / 3...1.5).contains(said / Double(total)) ? label : nil
    }

    /// 8e9 of `8B`.
    private static func number(_ text: Substring) -> Double? {
        let units: [Character: Double] = ["K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12]
        guard text.utf8.count <= 8, let unit = text.last.flatMap({ units[$0] }),
            text.dropLast().allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
            let number = Double(text.dropLast())
        else { return nil }
        return number * unit
    }

    /// From three of a unit on whole ones, not rounded up, as models are named; below that with one place: `1.5B`.
    private static func short(_ count: UInt64) -> String {
        let steps: [(UInt64, String)] = [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1000, "K")]
        guard let (unit, letter) = steps.first(where: { count >= $0.0 / 2 }) else { return String(count) }
        let tenths = (count / (unit / 20) + 1) / 2
        if count >= 3 * unit { return "\(count / unit)\(letter)" }
        return tenths % 10 == 0 ? "\(tenths / 10)\(letter)" : "\(tenths / 10).\(tenths % 10)\(letter)"
    }
}
