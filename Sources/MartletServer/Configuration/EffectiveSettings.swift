import MartletGateway

/// What the sources say about one upstream, lowest first.
struct UpstreamStack {
    var name: String
    var place: Place
    var layers: [[String: WrittenSetting]]
}

/// A configuration while its sources are laid over each other, and where each value came from.
struct EffectiveSettings {
    var configuration = Configuration()
    /// Of each key that some source set, by its full path.
    private(set) var places: [String: Place] = [:]

    /// Lays a source over what is there. Every value is checked, also one that a later source replaces.
    mutating func apply(_ settings: [String: WrittenSetting]) throws(ConfigurationError) {
        for key in ConfigurationKeys.general {
            guard let written = settings[key.name] else { continue }
            try written.reading { try key.set(&configuration, $0) }
            places[key.name] = written.place
        }
    }

    mutating func add(_ stack: UpstreamStack) throws(ConfigurationError) {
        guard stack.name != UpstreamFactory.local else {
            throw stack.place.error(
                "\"\(stack.name)\" is the name of the engine on this machine; choose another for this upstream")
        }
        var upstream = Configuration.UpstreamSettings(name: stack.name, url: "")
        for layer in stack.layers {
            for key in ConfigurationKeys.upstream {
                guard let written = layer[key.name] else { continue }
                try written.reading { try key.set(&upstream, $0) }
                places["upstreams.\(stack.name).\(key.name)"] = written.place
            }
        }
        guard !upstream.url.isEmpty || upstream.kind == "mock" else {
            throw stack.place.error("upstreams.\(stack.name).url is missing")
        }
        configuration.upstreams.append(upstream)
        configuration.discovers = false
    }

    mutating func add(_ flags: [WrittenModelFlags]) {
        configuration.models.capabilities = flags.map(\.flags)
        for written in flags {
            places["\(ConfigurationKeys.modelFlags).\(written.flags.pattern.pattern)"] = written.place
        }
    }

    mutating func add(_ loads: [WrittenModelLoad]) {
        configuration.engine.ofModels = loads.map(\.load)
        for written in loads {
            for (name, place) in written.places {
                places["\(ConfigurationKeys.modelLoads).\(written.load.model).\(name)"] = place
            }
        }
    }

    /// `--mode` counts for every upstream, also for those found later.
    mutating func applyMode(_ mode: RelayMode?) {
        guard let mode else { return }
        configuration.mode = mode
        for index in configuration.upstreams.indices {
            configuration.upstreams[index].mode = mode
            places["upstreams.\(configuration.upstreams[index].name).mode"] = Place("--mode")
        }
    }

    /// Replaces `~/` in paths by the user's home.
    mutating func expandHome(_ home: String?) {
        guard let home, !home.isEmpty else { return }
        func expanded(_ path: String?) -> String? {
            guard let path, path == "~" || path.hasPrefix("~/") else { return path }
            return home + path.dropFirst()
        }
        configuration.engine.models = expanded(configuration.engine.models)
        configuration.engine.binary = expanded(configuration.engine.binary)
    }

    /// Every key with its effective value and the place it comes from.
    var origins: [LoadedConfiguration.Setting] {
        var result: [LoadedConfiguration.Setting] = []
        func add(_ key: String, _ value: String) {
            result.append(.init(key: key, value: value, origin: places[key]?.origin ?? "default"))
        }
        let general = ConfigurationKeys.general.map { ($0.name, $0.show(configuration)) }
        let head = general.prefix { !$0.0.hasPrefix("models.") }
        for (key, value) in head { add(key, value) }
        for upstream in configuration.upstreams {
            for key in ConfigurationKeys.upstream {
                let path = "upstreams.\(upstream.name).\(key.name)"
                // There are many, and nearly all of them the kind's.
                if key.name.hasPrefix("capabilities."), places[path] == nil { continue }
                add(path, key.show(upstream))
            }
        }
        for (key, value) in general.dropFirst(head.count) { add(key, value) }
        for flags in configuration.models.capabilities {
            add(
                "\(ConfigurationKeys.modelFlags).\(flags.pattern.pattern)",
                flags.settings.map { "\($0.flag): \($0.shown)" }.joined(separator: "; "))
        }
        for load in configuration.engine.ofModels {
            for key in LoadKey.ofModel {
                guard let value = key.show(load.settings) else { continue }
                add("\(ConfigurationKeys.modelLoads).\(load.model).\(key.name)", value)
            }
        }
        return result
    }
}
