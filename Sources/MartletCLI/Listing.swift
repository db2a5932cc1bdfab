import MartletEngine
import MartletGateway
import MartletWire

/// Listings as JSON, for scripts.
enum Listing {
    static func json(_ binaries: [EngineBinary]) -> String {
        let entries = binaries.map { binary -> JSON in
            [
                "version": .string(binary.version), "backend": .string(binary.backend),
                "origin": .string("\(binary.origin)"), "executable": .string(binary.executable),
            ]
        }
        return JSON.array(entries).text
    }

    /// Up to five of the names that are like another.
    static func closest(to name: String, among names: [String]) -> [String] {
        ModelName.closest(to: name, among: names)
    }

    static func json(_ models: [String]) -> String { JSON.array(models.map { ["id": .string($0)] }).text }
}
