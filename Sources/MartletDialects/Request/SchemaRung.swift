/// How much of a client's JSON Schemas an upstream is shown, from all to nothing: what it cannot compile is asked again with
/// less (specs 5.3).
package enum SchemaRung: Int, Sendable, Hashable, CaseIterable, Comparable {
    /// As the client wrote them.
    case verbatim
    /// Made fit for the upstream by its profile.
    case fitted
    /// Types, properties and enumerations.
    case minimal
    /// Tools without a schema; an answer's schema stays minimal, because a client relies on it.
    case bare

    package static func < (a: SchemaRung, b: SchemaRung) -> Bool { a.rawValue < b.rawValue }

    package func profile(_ own: SchemaProfile) -> SchemaProfile {
        switch self {
        case .verbatim: .none
        case .fitted: own
        case .minimal: .minimal
        case .bare: .bare
        }
    }

    /// In `x-translation-dropped`, where less is shown than the client and the upstream's profile want.
    package var note: String {
        switch self {
        case .verbatim: "schemas.verbatim"
        case .fitted: "schemas.fitted"
        case .minimal: "schemas.minimal"
        case .bare: "schemas.bare"
        }
    }
}
