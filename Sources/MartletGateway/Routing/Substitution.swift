package import MartletDialects

/// Whether another model answered than the one that was asked. Some servers take whichever is loaded, and say
/// so only in the reply's `model`.
package enum Substitution {
    /// - Parameters:
    ///   - reported: the reply's `model`; empty when it names none.
    ///   - served: the upstream's models, where known.
    /// - Returns: `modelMismatch` when the name in the reply is another model's; nil too where the
    ///   upstream's replies do not tell.
    package static func check(
        _ candidate: Candidate, reported: String, served: ServedModels?
    ) -> GatewayError? {
        guard candidate.upstream.profile.mayAnswerWithAnother, !reported.isEmpty, reported != candidate.model else {
            return nil
        }
        let (asked, answered) = (base(candidate.model), base(reported))
        guard asked != answered else { return nil }
        let isAnother = served?.ids?.contains { base($0) == answered } ?? false
        guard isAnother || !asked.contains(answered) && !answered.contains(asked) else { return nil }
        return GatewayError(
            code: .modelMismatch,
            message: "\(candidate.upstream.profile.shownName) has \"\(reported.prefix(Limits.modelName))\" loaded, "
                + "not \"\(candidate.model)\"",
            param: "model")
    }

    /// A model's key without the variant (`@q4_k_m`) and the number of a loaded instance (`:2`), in lower case.
    private static func base(_ name: String) -> String {
        var key = name.lowercased()[...]
        if let colon = key.lastIndex(of: ":"), !key[colon...].dropFirst().isEmpty,
            key[colon...].dropFirst().allSatisfy(\.isNumber)
        {
            key = key[..<colon]
        }
        if let at = key.lastIndex(of: "@") { key = key[..<at] }
        return String(key)
    }
}
