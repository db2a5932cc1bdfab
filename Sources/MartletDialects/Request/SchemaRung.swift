/// How much of a client's JSON Schemas an upstream is shown, from all to nothing: what it cannot compile is
/// asked again with less (specs 5.3).
package enum SchemaRung: Sendable, Hashable {
    /// As the client wrote them.
    case verbatim
    /// Made fit for the upstream by its profile.
    case fitted
    /// As `fitted`, but for one tool, by the client's name for it: the refusal named it,
    /// so it is shown without a schema.
    case without(tool: String)
    /// Types, properties and enumerations.
    case minimal
    /// Tools without a schema. An answer's schema, which a client relies on, is asked for in
    /// words, and the answer checked.
    case bare

    /// The forms of a request's schemas in the order they are tried.
    package static func all(naming tool: String?) -> [SchemaRung] {
        [.verbatim, .fitted] + (tool.map { [.without(tool: $0)] } ?? []) + [.minimal, .bare]
    }

    /// Whether it comes later in that order.
    package func isBelow(_ other: SchemaRung) -> Bool { rank > other.rank }

    private var rank: Int {
        switch self {
        case .verbatim: 0
        case .fitted: 1
        case .without: 2
        case .minimal: 3
        case .bare: 4
        }
    }

    /// Of all tools but the one that is shown without a schema.
    package func profile(_ own: SchemaProfile) -> SchemaProfile {
        switch self {
        case .verbatim: .none
        case .fitted, .without: own
        case .minimal: .minimal
        case .bare: .bare
        }
    }

    package var bareTool: String? { if case .without(let tool) = self { tool } else { nil } }

    /// In `x-translation-dropped` and the log, where less is shown than the client and the upstream's profile want.
    package var note: String {
        switch self {
        case .verbatim: "schemas.verbatim"
        case .fitted: "schemas.fitted"
        case .without(let tool): DropNotes.header("schemas.without.\(tool)")
        case .minimal: "schemas.minimal"
        case .bare: "schemas.bare"
        }
    }
}
