package import MartletDialects

/// Model names to places. Immutable; made anew when configuration or a model list changes.
package struct RouteTable: Sendable {
    /// A failover order of `upstream/model` or bare model names.
    package typealias Targets = [String]

    package let upstreams: [Upstream]
    package let served: [String: ServedModels]
    private let exact: [String: Targets]
    private let globs: [(glob: Glob, targets: Targets)]
    private let byName: [String: Upstream]
    private let defaultModel: String?
    /// As configured; empty: all.
    private let allowed: [String]
    /// Names a request may use: `allowed`, and the ids that its entries stand for.
    private let allowedNames: Set<String>
    private let usesInferenceErrors: Bool
    /// By upstream and model, of the listed ones.
    private let traits: [String: [String: ModelTraits]]
    /// What some models can do otherwise, the most specific last.
    private let flags: [ModelFlags]

    /// - Parameter usesInferenceErrors: a model that is not allowed is a 400, as the `inference:` form documents it.
    package init(
        upstreams: [Upstream], served: [String: ServedModels] = [:],
        aliases: [(pattern: String, targets: Targets)] = [],
        defaultModel: String? = nil, allowed: [String] = [], flags: [ModelFlags] = [],
        usesInferenceErrors: Bool = false
    ) {
        self.upstreams = upstreams
        self.served = served
        self.defaultModel = defaultModel
        self.allowed = allowed
        self.usesInferenceErrors = usesInferenceErrors
        allowedNames = RouteTable.names(allowed, in: served)
        self.flags = flags.sorted { $0.pattern.specificity < $1.pattern.specificity }
        traits = ModelTraits.all(upstreams, served, self.flags)
        byName = Dictionary(upstreams.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var exact: [String: Targets] = [:]
        var globs: [(glob: Glob, targets: Targets)] = []
        for (pattern, targets) in aliases {
            let glob = Glob(pattern)
            if glob.isExact { exact[pattern] = targets } else { globs.append((glob, targets)) }
        }
        self.exact = exact
        self.globs = globs.sorted { $0.glob.specificity > $1.glob.specificity }
        listed = listing()
    }

    /// The same table with other model lists.
    package func with(served: [String: ServedModels]) -> RouteTable {
        RouteTable(
            upstreams: upstreams, served: served,
            aliases: exact.map { ($0.key, $0.value) } + globs.map { ($0.glob.pattern, $0.targets) },
            defaultModel: defaultModel, allowed: allowed, flags: flags, usesInferenceErrors: usesInferenceErrors)
    }

    /// The entries of `models.allowed`, and for an entry that no list holds the one id that it is a part of.
    private static func names(_ allowed: [String], in served: [String: ServedModels]) -> Set<String> {
        let ids = Set(served.values.flatMap { $0.ids ?? [] })
        var names = Set(allowed)
        for entry in allowed where !ids.contains(entry) {
            let matches = ids.filter { $0.contains(entry) }
            if matches.count == 1 { names.formUnion(matches) }
        }
        for models in served.values {
            for (name, model) in models.instances where names.contains(model) { names.insert(name) }
            for (name, model) in models.variants where names.contains(model) { names.insert(name) }
        }
        return names
    }

    /// Ids a client may use, in configuration order, aliases last, without doubles.
    package private(set) var listed: [String] = []

    private func listing() -> [String] {
        var seen: Set<String> = []
        var ids: [String] = []
        for upstream in upstreams {
            let models = served[upstream.name]
            let instances = upstream.location == .hosted ? models?.loaded ?? [] : []
            for id in (models?.ids ?? []) + instances where seen.insert(id).inserted { ids.append(id) }
        }
        for alias in exact.keys.sorted() where seen.insert(alias).inserted { ids.append(alias) }
        return ids.filter { id in
            guard let targets = exact[id] else { return isAllowed(id) }
            // One that leads nowhere is of no use to anybody.
            let places = (try? candidates(targets)) ?? []
            return isAllowed(id) ? !places.isEmpty : !permitted(places).isEmpty
        }
    }

    /// Resolves a request's model (product.md 3, Model names). Never answers with a model that was not asked for.
    /// - Parameter task: what is asked of it, where none is named; nil: a completion.
    /// - Throws: `modelNotFound`, `modelNotAllowed`, `modelLoadFailed` when it is known that it cannot be loaded, or
    ///   `invalidRequest` when no model is named and several are served.
    package func resolve(_ asked: String?, for task: VectorTask? = nil) throws(GatewayError) -> [Candidate] {
        var places = try places(for: asked, task)
        for (index, place) in places.enumerated() where served[place.upstream.name]?.hasOwnAPI == false {
            places[index].hasOwnAPI = false
        }
        guard !traits.isEmpty || !flags.isEmpty else { return places }
        for index in places.indices {
            let place = places[index]
            places[index].traits =
                traits[place.upstream.name]?[place.model]
                ?? (flags.isEmpty ? nil : ModelTraits.of(place.model, at: place.upstream, nil, nil, nil, flags))
        }
        return places
    }

    /// - Throws: what `resolve` throws, and `modelNotFound` when the name would only be asked for on trust.
    package func checkListed(_ name: String) throws(GatewayError) {
        if var error = unusable(name) {
            error.code = .modelNotFound
            throw error
        }
        guard try resolve(name).allSatisfy({ $0.listedElsewhere != nil }) else { return }
        var error = notFound(name)
        error.message += ". The list of \(trusting.map(\.name).joined(separator: ", ")) could not be read"
        throw error
    }

    /// What answers to a name first.
    package func place(of name: String) -> Candidate? { (try? resolve(name))?.first }

    /// What is known of its window.
    package func window(of name: String) -> ContextWindow? { place(of: name)?.window }

    /// What is known of a candidate's window by now.
    package func window(at candidate: Candidate) -> ContextWindow? {
        served[candidate.upstream.name]?.windows[candidate.model]
    }

    /// The id that a name is another spelling of, where it is no name of its own.
    private func respelled(_ name: String) -> String? {
        for upstream in upstreams {
            guard let spellings = served[upstream.name]?.spellings, !spellings.isEmpty else { continue }
            if exact[name] != nil || direct(name) != nil { return nil }
            let start = upstream.name + "/"
            // An id is a spelling of its own, and no other name once it is listed no more.
            if let id = spellings[name.lowercased()], id != name { return id }
            let bare = name.dropFirst(start.count)
            if name.hasPrefix(start), let id = spellings[bare.lowercased()], id != bare { return start + id }
        }
        return nil
    }

    /// Whether a request leaves open which model is meant; many clients write `local-model` by habit.
    static func namesNone(_ asked: String?) -> Bool { asked?.isEmpty != false || asked == "local-model" }

    private func places(for asked: String?, _ task: VectorTask?) throws(GatewayError) -> [Candidate] {
        if let asked, let id = respelled(asked) { return try places(for: id, task) }
        guard let asked, !Self.namesNone(asked) else { return try resolveDefault(asked, task) }
        guard ModelName.isPlain(asked) else {
            throw GatewayError(
                code: .invalidRequest,
                message: "model must be a name of at most \(Limits.modelName) bytes without control characters",
                param: "model")
        }
        let bare = ModelName.withoutContextSuffix(asked)
        guard isAllowed(asked) || isAllowed(bare) else {
            // Another name for a model that is allowed is allowed too; what else it stands for is not.
            guard let targets = aliased(asked, bare) else { throw notAllowed(asked) }
            let places = permitted(try candidates(targets))
            guard !places.isEmpty else { throw notAllowed(asked) }
            return places
        }
        if let found = try known(asked) { return found }
        if bare != asked, let found = try known(bare) { return found }
        // It is there, so that no pattern is about it.
        if let error = unusable(asked) ?? unusable(bare) { throw error }
        for (glob, targets) in globs where glob.matches(asked) || glob.matches(bare) { return try candidates(targets) }
        // Clients repeat the name that stands in the configuration; there a part of an id is enough.
        if bare == defaultModel || allowed.contains(bare), let found = try uniqueMatch(bare, of: bare, at: upstreams) {
            return [found]
        }
        let onTrust = trusting.map { Candidate(upstream: $0, model: bare, listedElsewhere: listed) }
        guard onTrust.isEmpty else { return onTrust }
        throw notFound(asked)
    }

    /// Whether a configured name goes to an upstream whose list was never read, so that it may yet be a part of an id.
    package func awaitsList(_ candidates: [Candidate]) -> Bool {
        guard let first = candidates.first, served[first.upstream.name]?.ids == nil else { return false }
        return first.upstream.location != .hosted && (first.model == defaultModel || allowed.contains(first.model))
    }

    private func isAllowed(_ name: String) -> Bool { allowed.isEmpty || allowedNames.contains(name) }

    /// Those of some places whose models are allowed.
    private func permitted(_ places: [Candidate]) -> [Candidate] {
        places.filter { isAllowed($0.model) || isAllowed($0.shown) }
    }

    /// What an alias or a pattern of aliases stands for, if one of them matches.
    private func aliased(_ name: String, _ bare: String) -> Targets? {
        if let targets = exact[name] ?? exact[bare] { return targets }
        guard direct(name) == nil, direct(bare) == nil else { return nil }
        return globs.first { $0.glob.matches(name) || $0.glob.matches(bare) }?.targets
    }

    /// Upstreams whose list was never read.
    private var trusting: [Upstream] {
        upstreams.filter { served[$0.name]?.ids == nil && $0.location != .hosted }
    }

    private func known(_ name: String) throws(GatewayError) -> [Candidate]? {
        if let targets = exact[name] { return try candidates(targets) }
        return direct(name).map { [$0] }
    }

    /// `upstream/model`, else an id that an upstream lists, in configuration order.
    private func direct(_ name: String) -> Candidate? {
        if let slash = name.firstIndex(of: "/"), let upstream = byName[String(name[..<slash])] {
            let model = String(name[name.index(after: slash)...])
            let models = served[upstream.name]
            if !model.isEmpty, models?.ids == nil || models?.has(model) == true {
                return Candidate(upstream: upstream, model: model)
            }
        }
        for upstream in upstreams {
            if served[upstream.name]?.has(name) == true { return Candidate(upstream: upstream, model: name) }
        }
        return nil
    }

    private func candidates(_ targets: Targets) throws(GatewayError) -> [Candidate] {
        var found: [Candidate] = []
        for target in targets {
            if let place = direct(target) {
                found.append(place)
            } else if unusable(target) != nil {
                continue
            } else if let slash = target.firstIndex(of: "/"), let upstream = byName[String(target[..<slash])] {
                let model = String(target[target.index(after: slash)...])
                if let match = try uniqueMatch(model, of: target, at: [upstream]) {
                    found.append(match)
                } else if upstream.location != .hosted {
                    // An upstream may serve more than it lists; the folder of models holds what it holds.
                    found.append(Candidate(upstream: upstream, model: model))
                }
            } else if let place = try unlisted(target) {
                found.append(place)
            }
        }
        guard found.isEmpty else { return found }
        throw targets.lazy.compactMap { unusable($0) }.first ?? notFound(targets.joined(separator: ", "))
    }

    /// The sentence for a model that is there and cannot be loaded; nil: it is none.
    package func unusable(_ name: String) -> GatewayError? {
        for upstream in upstreams {
            guard let problems = served[upstream.name]?.unusable, !problems.isEmpty else { continue }
            let start = upstream.name + "/"
            let own = name.hasPrefix(start) ? String(name.dropFirst(start.count)) : name
            guard let problem = problems[name] ?? problems[own] else { continue }
            return GatewayError(
                code: .modelLoadFailed, message: "model \"\(name)\" cannot be loaded: \(problem)", param: "model")
        }
        return nil
    }

    /// A configured name that no list holds: a unique substring is enough; else it is taken on trust by an upstream
    /// whose list is not known.
    private func unlisted(_ target: String) throws(GatewayError) -> Candidate? {
        try uniqueMatch(target, of: target, at: upstreams)
            ?? trusting.first.map { Candidate(upstream: $0, model: target) }
    }

    /// The one id that `part` stands in; at the first of `places` that lists it.
    private func uniqueMatch(
        _ part: String, of target: String, at places: [Upstream]
    ) throws(GatewayError) -> Candidate? {
        var matches: [Candidate] = []
        for upstream in places {
            for id in served[upstream.name]?.ids ?? []
            where id.contains(part) && !matches.contains(where: { $0.model == id }) {
                matches.append(Candidate(upstream: upstream, model: id))
            }
        }
        if matches.count > 1 {
            throw GatewayError(
                code: .modelNotFound,
                message: "\"\(target)\" in the configuration could be any of "
                    + matches.map(\.shown).joined(separator: ", ") + "; write one of them in full", param: "model")
        }
        return matches.first
    }

    private func loadedModel(_ place: Candidate) -> String {
        served[place.upstream.name]?.instances[place.model] ?? place.model
    }

    /// Models that may be chosen for a client that names none, each once.
    private func choices(_ task: VectorTask?, _ ids: (ServedModels) -> [String]) -> [Candidate] {
        var seen: Set<String> = []
        return upstreams.flatMap { upstream in
            let models = served[upstream.name] ?? ServedModels()
            return ids(models).filter {
                isAllowed($0) && models.work[$0]?.does(task) != false && seen.insert($0).inserted
            }.map { Candidate(upstream: upstream, model: $0) }
        }
    }

    private func resolveDefault(_ asked: String?, _ task: VectorTask?) throws(GatewayError) -> [Candidate] {
        let asked = asked?.isEmpty == true ? nil : asked
        if let asked, isAllowed(asked), let found = try known(asked) { return found }
        if let found = try configuredDefault() {
            let places = permitted(found)
            // A name that no list holds yet may become an allowed one.
            guard places.isEmpty, found.contains(where: { served[$0.upstream.name]?.ids != nil }) else {
                return places.isEmpty ? found : places
            }
            throw notAllowed(found[0].model)
        }
        let loaded = choices(task, \.loaded)
        // Instances of one model are one model.
        if let first = loaded.first, Set(loaded.map(loadedModel)).count == 1 { return [first] }
        let all = choices(task) { $0.ids ?? [] }
        if all.count == 1 { return all }
        let onTrust = trusting.map { Candidate(upstream: $0, model: asked ?? "local-model") }
        if all.isEmpty, !onTrust.isEmpty { return onTrust }
        guard !all.isEmpty else {
            throw GatewayError(
                code: .modelNotFound,
                message: "no model is installed or served. Get one with martlet get OWNER/REPOSITORY, or start with "
                    + "--upstream URL; see: martlet doctor", param: "model")
        }
        let setting = usesInferenceErrors ? "inference.default_model" : "models.default"
        let named = asked.map { "\"\($0)\" is none of the models" } ?? "the request names no model"
        throw GatewayError(
            code: .invalidRequest,
            message: "\(named) and \(all.count) are served; name one of: "
                + all.prefix(10).map(\.model).joined(separator: ", ")
                + (defaultModel == nil ? ", or set \(setting)" : ", in the request or as \(setting)"), param: "model")
    }

    /// Where the configured default leads. `local-model` there is an id that is called so, or the one it is a part of,
    /// and where there is none it stands for the only model there is.
    private func configuredDefault() throws(GatewayError) -> [Candidate]? {
        guard let defaultModel else { return nil }
        guard defaultModel == "local-model" else {
            return try candidates(exact[defaultModel] ?? [defaultModel])
        }
        if let found = try known(defaultModel) { return found }
        return try uniqueMatch(defaultModel, of: defaultModel, at: upstreams).map { [$0] }
    }

    private func notAllowed(_ name: String) -> GatewayError {
        let names = allowed.sorted().joined(separator: ", ")
        guard usesInferenceErrors else {
            return GatewayError(
                code: .modelNotAllowed, message: "model \"\(name)\" is not in models.allowed; allowed: \(names)",
                param: "model")
        }
        return GatewayError(
            code: .invalidRequest,
            message: "model \"\(name)\" is not in inference.allowed_models; allowed: \(names)", param: "model")
    }

    private func notFound(_ name: String) -> GatewayError {
        let closest = ModelName.closest(to: name, namedAmong: listed)
        let remedy =
            listed.isEmpty
            ? "No model is known: get one with martlet get OWNER/REPOSITORY, or name an upstream that serves it"
            : "See what is served with: martlet ls --served"
        return GatewayError(
            code: .modelNotFound, message: "model \"\(name)\" is not installed or served\(closest). \(remedy)",
            param: "model")
    }
}
