import MartletEngine
import MartletGateway
import Yams

/// Reads a YAML file into a layer of settings: its structure, its line numbers and its `${NAME}`
/// variables, not yet its values.
struct ConfigurationFile {
    /// As it is named in errors.
    let path: String
    let environment: [String: String]

    private var folder: String? {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    }

    /// - Throws: for text that is not one YAML mapping, and for unknown, repeated or unbuilt keys.
    func layer(of text: String) throws(ConfigurationError) -> SettingLayer {
        guard let root = try compose(text) else { return SettingLayer() }
        let pairs = try mapping(root, key: "the file")
        var layer = SettingLayer()
        if pairs.contains(where: { $0.name == "inference" }) {
            try readInference(pairs, into: &layer)
        } else {
            for pair in pairs { try read(pair, path: pair.name, into: &layer) }
        }
        return layer
    }

    // MARK: Keys

    private func read(_ pair: Pair, path key: String, into layer: inout SettingLayer) throws(ConfigurationError) {
        if let known = ConfigurationKeys.general(key) {
            layer.settings[key] = try setting(pair, key: key, shape: known.shape)
        } else if key == ConfigurationKeys.modelFlags {
            for model in try mapping(pair.value, key: key) { try readModelFlags(model, into: &layer) }
        } else if key == ConfigurationKeys.modelLoads {
            for model in try mapping(pair.value, key: key) { try readModelLoad(model, into: &layer) }
        } else if key == "upstreams" {
            for upstream in try mapping(pair.value, key: key) { try readUpstream(upstream, into: &layer) }
        } else if ConfigurationKeys.general.contains(where: { $0.name.hasPrefix(key + ".") }) {
            for inner in try mapping(pair.value, key: key) {
                try read(inner, path: "\(key).\(inner.name)", into: &layer)
            }
        } else {
            throw unknown(key, at: pair.line, among: ConfigurationKeys.allNames)
        }
    }

    private func readUpstream(_ pair: Pair, into layer: inout SettingLayer) throws(ConfigurationError) {
        let place = Place(file: path, line: pair.line)
        guard WrittenUpstream.isName(pair.name) else {
            throw place.error("\"\(pair.name)\" is no name for an upstream: letters, digits, - and _ only")
        }
        var upstream = WrittenUpstream(name: pair.name, place: place)
        for inner in try mapping(pair.value, key: "upstreams.\(pair.name)") {
            try readUpstreamKey(inner, suffix: inner.name, into: &upstream)
        }
        layer.upstreams.append(upstream)
    }

    private func readUpstreamKey(
        _ pair: Pair, suffix: String, into upstream: inout WrittenUpstream
    ) throws(ConfigurationError) {
        let start = "upstreams.\(upstream.name)."
        if let known = ConfigurationKeys.upstream(suffix) {
            upstream.settings[suffix] = try setting(pair, key: start + suffix, shape: known.shape)
        } else if ConfigurationKeys.upstream.contains(where: { $0.name.hasPrefix(suffix + ".") }) {
            for inner in try mapping(pair.value, key: start + suffix) {
                try readUpstreamKey(inner, suffix: "\(suffix).\(inner.name)", into: &upstream)
            }
        } else {
            throw unknown(start + suffix, at: pair.line, among: ConfigurationKeys.upstream.map { start + $0.name })
        }
    }

    private func readModelFlags(_ pair: Pair, into layer: inout SettingLayer) throws(ConfigurationError) {
        let start = "\(ConfigurationKeys.modelFlags).\(pair.name)"
        guard ModelName.isPlain(pair.name) else {
            throw Place(file: path, line: pair.line).error(
                "\(ConfigurationKeys.modelFlags) must be a mapping of models or patterns to mappings of flags")
        }
        var settings: [CapabilitySetting] = []
        for inner in try mapping(pair.value, key: start) {
            let place = Place(file: path, line: inner.line)
            guard let flag = CapabilityFlag.named(inner.name) else {
                if CapabilityFlag.notBuilt.contains(inner.name) {
                    throw place.error("\(start).\(inner.name) is not built yet")
                }
                let near = UnknownKey.nearest(inner.name, among: CapabilityFlag.all.map(\.name))
                throw place.error("unknown flag \(start).\(inner.name); the nearest known flag is \(near)")
            }
            let written = try setting(inner, key: "\(start).\(inner.name)", shape: flag.isList ? .list : .single)
            if let setting = try written.reading({ try $0.capability(flag) }) { settings.append(setting) }
        }
        layer.modelFlags.append(
            WrittenModelFlags(
                flags: ModelFlags(pattern: pair.name, settings: settings), place: Place(file: path, line: pair.line)))
    }

    private func readModelLoad(_ pair: Pair, into layer: inout SettingLayer) throws(ConfigurationError) {
        let start = "\(ConfigurationKeys.modelLoads).\(pair.name)"
        guard ModelName.isPlain(pair.name) else {
            throw Place(file: path, line: pair.line).error(
                "\(ConfigurationKeys.modelLoads) must be a mapping of models to mappings of load settings")
        }
        var load = Configuration.ModelLoad(model: pair.name, settings: LoadSettings())
        var places: [String: Place] = [:]
        for inner in try mapping(pair.value, key: start) {
            guard let key = LoadKey.ofModel.first(where: { $0.name == inner.name }) else {
                let known = LoadKey.ofModel.map { "\(start).\($0.name)" }
                throw unknown("\(start).\(inner.name)", at: inner.line, among: known)
            }
            let written = try setting(inner, key: "\(start).\(inner.name)", shape: .single)
            try written.reading { try key.set(&load.settings, $0) }
            places[key.name] = written.place
        }
        layer.modelLoads.append(WrittenModelLoad(load: load, places: places))
    }

    private func readInference(_ pairs: [Pair], into layer: inout SettingLayer) throws(ConfigurationError) {
        var written: [String: WrittenSetting] = [:]
        for pair in pairs {
            if pair.name == "upstreams" || pair.name == "models" {
                throw Place(file: path, line: pair.line).error(
                    "\(pair.name) cannot stand beside inference: in one file")
            }
            try readInference(pair, path: pair.name, into: &layer, &written)
        }
        layer.inference = written
    }

    private func readInference(
        _ pair: Pair, path key: String, into layer: inout SettingLayer, _ written: inout [String: WrittenSetting]
    ) throws(ConfigurationError) {
        if let known = InferenceForm.key(key) {
            written[key] = try setting(pair, key: key, shape: known.shape)
        } else if InferenceForm.notBuilt.contains(key) {
            throw Place(file: path, line: pair.line).error("\(key) is not built yet")
        } else if InferenceForm.keys.contains(where: { $0.name.hasPrefix(key + ".") }) {
            for inner in try mapping(pair.value, key: key) {
                try readInference(inner, path: "\(key).\(inner.name)", into: &layer, &written)
            }
        } else if key.hasPrefix("inference.") || key.hasPrefix("logging.") {
            throw unknown(key, at: pair.line, among: InferenceForm.keys.map(\.name))
        } else {
            try read(pair, path: key, into: &layer)
        }
    }

    private func unknown(_ key: String, at line: Int, among known: [String]) -> ConfigurationError {
        UnknownKey.error(key, at: Place(file: path, line: line), among: known)
    }

    // MARK: Nodes

    /// One entry of a mapping.
    private struct Pair {
        var name: String
        var line: Int
        var value: Node
    }

    private func compose(_ text: String) throws(ConfigurationError) -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch {
            throw YAMLFault(error, in: text).error(path: path)
        }
    }

    /// The entries of a mapping; nothing at all counts as an empty one, so that a section may be commented out.
    private func mapping(_ node: Node, key: String) throws(ConfigurationError) -> [Pair] {
        if case .scalar(let scalar) = node, Self.isNone(scalar) { return [] }
        guard case .mapping(let mapping) = node else {
            throw Place(file: path, line: line(node)).error("\(key) must be a mapping of keys to values")
        }
        var pairs: [Pair] = []
        for (key, value) in mapping {
            guard case .scalar(let name) = key else {
                throw Place(file: path, line: line(key)).error("a key must be a plain word")
            }
            guard !pairs.contains(where: { $0.name == name.string }) else {
                throw Place(file: path, line: line(key)).error("the key \(name.string) stands here twice")
            }
            pairs.append(Pair(name: name.string, line: line(key), value: value))
        }
        return pairs
    }

    private func line(_ node: Node) -> Int { node.mark?.line ?? 1 }

    private static func isNone(_ scalar: Node.Scalar) -> Bool {
        scalar.style == .plain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    private func setting(
        _ pair: Pair, key: String, shape: ValueShape
    ) throws(ConfigurationError) -> WrittenSetting {
        let place = Place(file: path, line: pair.line)
        let value = try shape == .pairs ? pairs(pair, key: key) : plainValue(pair.value, key: key)
        return WrittenSetting(key: key, value: value, place: place, folder: folder)
    }

    private func pairs(_ pair: Pair, key: String) throws(ConfigurationError) -> WrittenValue {
        var found: [(name: String, targets: [String])] = []
        for entry in try mapping(pair.value, key: key) {
            switch try plainValue(entry.value, key: "\(key).\(entry.name)") {
            case .text(let target): found.append((entry.name, [target]))
            case .list(let targets) where !targets.isEmpty: found.append((entry.name, targets))
            case .none, .list, .pairs:
                throw Place(file: path, line: entry.line).error(
                    "\(key).\(entry.name) must be a model or a list of models")
            }
        }
        return .pairs(found)
    }

    private func plainValue(_ node: Node, key: String) throws(ConfigurationError) -> WrittenValue {
        switch node {
        case .scalar(let scalar):
            return Self.isNone(scalar) ? .none : .text(try expand(scalar.string, at: node, key: key))
        case .sequence(let sequence):
            var items: [String] = []
            for item in sequence {
                guard case .scalar(let scalar) = item else {
                    throw Place(file: path, line: line(item)).error("\(key) must be a list of single values")
                }
                items.append(try expand(scalar.string, at: item, key: key))
            }
            return .list(items)
        case .mapping: return .pairs([])
        case .alias: throw Place(file: path, line: line(node)).error("\(key) refers to an anchor that is not there")
        }
    }

    private func expand(_ text: String, at node: Node, key: String) throws(ConfigurationError) -> String {
        do throws(ValueProblem) {
            return try VariableText.expand(text, environment)
        } catch {
            throw Place(file: path, line: line(node)).error("\(key) \(error.text)")
        }
    }
}
