import MartletEngine
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

    static func json(_ models: [String]) -> String { JSON.array(models.map { ["id": .string($0)] }).text }
}
