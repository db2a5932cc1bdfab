package import MartletDialects
import MartletWire
import NIOCore

/// The ladder of simpler and simpler schemas for upstreams that refuse a request because of one of them (specs 5.3).
extension Plan {
    private static let formatNames = ["response_format", "output_config", "output_format", "text"]

    /// What to try after schemas were refused; nil: there is nothing simpler, or no schema to be simpler.
    /// - Parameters:
    ///   - rung: the one that was refused; nil: the first.
    ///   - refusal: the upstream's words.
    package func rung(
        after rung: SchemaRung?, at candidate: Candidate, refusal: GatewayError
    ) -> SchemaRung? {
        let isRelayed = candidate.upstream.profile.speaks(dialect) && dialect != .lmstudio
        if isRelayed, candidate.upstream.mode == .exact || dialect != .chat { return nil }
        guard holds("tools") || Plan.formatNames.contains(where: holds) else { return nil }
        let refused = rung ?? (isRelayed ? .verbatim : .fitted)
        let own = candidate.capabilities.schemaProfile
        let offender = RefusedTool.name(in: refusal, among: toolNames)
        return SchemaRung.all(naming: offender).first { next in
            guard next.isBelow(refused) else { return false }
            return switch next {
            case .verbatim, .without, .bare: true
            case .fitted: own != .none
            case .minimal: own != .minimal
            }
        }
    }

    /// In their order; empty for those without one.
    private var toolNames: [String] {
        guard let member = try? document.member("tools"), let tools = try? JSON(parsing: document.slice(member.value))
        else { return [] }
        return (tools.array ?? []).map { ($0["function"]?["name"] ?? $0["name"])?.string ?? "" }
    }

    /// Tells these schemas at this place from others, for as long as this process lives.
    package func schemaKey(at candidate: Candidate) -> Int {
        var hasher = Hasher()
        hasher.combine(candidate.upstream.name)
        hasher.combine(candidate.model)
        for name in ["tools"] + Plan.formatNames {
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

/// The answer's form where it has to be asked for in words.
extension Plan {
    /// Of a relayed request: where its own member does not say it.
    func wordedForm(_ candidate: Candidate, _ rung: SchemaRung?) throws(JSONError) -> AnswerForm? {
        guard dialect == .chat, candidate.upstream.mode == .repair else { return nil }
        var flags = candidate.capabilities
        if rung == .bare { flags.takesNoForms() }
        return try ChatRequest.wordedForm(document, flags)
    }

    /// For an upstream that is to drop nothing.
    var unchecked: GatewayError {
        let name = OutputFormat.member(of: dialect)
        return GatewayError(
            code: .invalidRequest,
            message: "\(name): this model's server cannot be held to it, and a stream cannot be checked; "
                + "ask without stream",
            param: name)
    }
}

extension Capabilities {
    mutating func takesNoForms() {
        jsonSchema = .none
        jsonObject = .none
    }
}

/// Which tool's schema an upstream complains of.
enum RefusedTool {
    /// The one tool whose name stands in the refusal as a name does; nil for none, or several.
    /// - Parameter names: of the request's tools.
    static func name(in refusal: GatewayError, among names: [String]) -> String? {
        let found = Set(names.filter { !$0.isEmpty && isNamed($0, in: refusal.message) })
        return found.count == 1 ? found.first : nil
    }

    /// In quotation marks, or behind a word for what it is: a tool may well be called `pattern`.
    private static func isNamed(_ name: String, in text: String) -> Bool {
        if ["'", "\"", "`"].contains(where: { text.contains($0 + name + $0) }) { return true }
        var rest = text[...]
        while let found = rest.firstRange(of: name) {
            let before = rest[..<found.lowerBound].suffix(9).lowercased()
            let next = rest[found.upperBound...].first
            let isName = next.map { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") } ?? true
            if isName, before.hasSuffix("tool ") || before.hasSuffix("function ") { return true }
            rest = rest[found.upperBound...]
        }
        return false
    }
}
