/// A line of an engine's log, for whoever reads along.
package struct EngineLine: Sendable, Hashable {
    package enum Level: String, Sendable, Hashable { case debug, info, warn, error }

    /// The engine's instance.
    package var instance: String
    /// Of the engine, as it names itself.
    package var version: String
    package var level: Level
    package var text: String

    package init(instance: String, version: String, level: Level, text: String) {
        self.instance = instance
        self.version = version
        self.level = level
        self.text = text
    }
}

extension EngineLine.Level {
    /// As llama.cpp marks its lines.
    init(_ mark: Character) {
        self =
            switch mark {
            case "D": .debug
            case "W": .warn
            case "E": .error
            default: .info
            }
    }
}
