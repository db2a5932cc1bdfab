package import MartletDialects
import MartletWire
import NIOCore

/// The ladder of simpler and simpler schemas for upstreams that refuse a request because of one of them (specs 5.3).
extension Plan {
    private static let members = ["tools", "response_format", "output_config", "output_format"]

    /// What to try after schemas were refused; nil: there is nothing simpler, or no schema to be simpler.
    /// - Parameter rung: the one that was refused; nil: the first.
    package func rung(after rung: SchemaRung?, at candidate: Candidate) -> SchemaRung? {
        let isRelayed = candidate.upstream.profile.speaks(dialect)
        if isRelayed, candidate.upstream.mode == .exact || dialect != .chat { return nil }
        guard holds("tools") || Plan.members.contains(where: holds) else { return nil }
        let refused = rung ?? (isRelayed ? .verbatim : .fitted)
        let own = candidate.capabilities.schemaProfile
        return SchemaRung.allCases.first { next in
            switch next {
            case .verbatim: false
            case .fitted: next > refused && own != .none
            case .minimal: next > refused && own != .minimal
            case .bare: next > refused && holds("tools")
            }
        }
    }

    /// Tells these schemas at this place from others, for as long as this process lives.
    package func schemaKey(at candidate: Candidate) -> Int {
        var hasher = Hasher()
        hasher.combine(candidate.upstream.name)
        hasher.combine(candidate.model)
        for name in Plan.members {
            guard let member = try? document.member(name) else { continue }
            hasher.combine(name)
            document.slice(member.value).withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        }
        return hasher.finalize()
    }

    private func holds(_ name: String) -> Bool {
        guard let member = try? document.member(name) else { return false }
        return member.kind == .array || member.kind == .object
    }
}
