import MartletEngine
import MartletWire

enum EngineListing {
    static func json(_ binaries: [EngineBinary]) -> String {
        let entries = binaries.map { binary -> JSON in
            [
                "version": .string(binary.version), "backend": .string(binary.backend),
                "origin": .string("\(binary.origin)"), "executable": .string(binary.executable),
            ]
        }
        return JSON.array(entries).text
    }
}
