import MartletGateway

/// Where a setting was written.
struct Place: Sendable {
    /// In front of an error: `martlet.yaml:12`, `MARTLET_SERVER_PORT`, `--port`.
    var name: String
    /// In `config show`: `file martlet.yaml:12`, `MARTLET_SERVER_PORT`, `--port`, `default`.
    var origin: String

    init(_ name: String) {
        self.name = name
        origin = name
    }

    init(file: String, line: Int) {
        name = "\(file):\(line)"
        origin = "file \(name)"
    }

    func error(_ text: String) -> ConfigurationError {
        ConfigurationError("\(name): \(text)", isUsage: name.hasPrefix("--"))
    }
}

/// A value in the words of its source, before it is known to be one.
enum WrittenValue: Sendable {
    /// Said to be none: `null`, `~`, or nothing after the colon.
    case none
    case text(String)
    case list([String])
    case pairs([(name: String, targets: [String])])
}

/// One setting as a source wrote it.
struct WrittenSetting: Sendable {
    /// The key for people, in the words of the file: `server.port`, `inference.http.timeout_secs`.
    var key: String
    var value: WrittenValue
    var place: Place
    /// The folder that relative paths start from; nil: the working directory's.
    var folder: String?

    /// What `read` makes of the value; its `ValueProblem` becomes a sentence with the key and the place.
    func reading<Value>(_ read: (WrittenSetting) throws -> Value) throws(ConfigurationError) -> Value {
        do {
            return try read(self)
        } catch let problem as ValueProblem {
            throw place.error("\(key) \(problem.text)")
        } catch {
            throw place.error("\(key) cannot be read")
        }
    }
}

/// What one source says, by key.
struct SettingLayer: Sendable {
    var settings: [String: WrittenSetting] = [:]
    /// In the order of the source.
    var upstreams: [WrittenUpstream] = []
    /// What some models can do otherwise, in the order of the source.
    var modelFlags: [WrittenModelFlags] = []
    /// How some models are loaded, in the order of the source.
    var modelLoads: [WrittenModelLoad] = []
    /// The keys of a file with a top-level `inference:`, still in that form's words; nil in our own form.
    var inference: [String: WrittenSetting]?
}

/// What a source says that the models of a name or pattern can do.
struct WrittenModelFlags: Sendable {
    var flags: ModelFlags
    var place: Place
}

/// How a source says that one model is loaded.
struct WrittenModelLoad: Sendable {
    var load: Configuration.ModelLoad
    /// By the key's name.
    var places: [String: Place]
}

/// One upstream as a source wrote it; keys without `upstreams.NAME.`.
struct WrittenUpstream: Sendable {
    var name: String
    var place: Place
    var settings: [String: WrittenSetting] = [:]

    /// A name that can stand before the `/` of `upstream/model`, in a key and in a variable.
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_") }
    }

    /// Sets a key of this upstream from a single value.
    mutating func set(_ key: String, _ text: String, at place: Place) {
        settings[key] = WrittenSetting(key: "upstreams.\(name).\(key)", value: .text(text), place: place)
    }
}
