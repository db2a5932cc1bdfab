package import MartletDialects
package import NIOCore

/// Which schemas an upstream could take only in a simpler form, so that the next request with them starts there and its
/// prompt stays the same from turn to turn (specs 5.3). One per event loop; bounded in number and in time.
package struct RungMemory: Sendable {
    /// Sets of schemas. An agent has one, and a few for its helpers.
    static let most = 256
    /// An engine may be replaced by one that can do more.
    static let lifetime = TimeAmount.hours(1)

    private var entries: [Int: (rung: SchemaRung, since: NIODeadline)] = [:]

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }

    /// - Parameter key: of the schemas, the upstream and the model: `Plan.schemaKey`.
    package func rung(for key: Int, at now: NIODeadline) -> SchemaRung? {
        guard let entry = entries[key], now - entry.since < RungMemory.lifetime else { return nil }
        return entry.rung
    }

    /// Keeps what worked. What is known already does not live longer for being used.
    package mutating func keep(_ rung: SchemaRung, for key: Int, at now: NIODeadline) {
        if self.rung(for: key, at: now) == rung { return }
        if entries.count >= RungMemory.most {
            entries = entries.filter { now - $0.value.since < RungMemory.lifetime }
            if entries.count >= RungMemory.most, let oldest = entries.min(by: { $0.value.since < $1.value.since }) {
                entries[oldest.key] = nil
            }
        }
        entries[key] = (rung, now)
    }
}
