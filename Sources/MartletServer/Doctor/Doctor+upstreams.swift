import MartletDialects
import MartletEngine
import MartletGateway
import MartletHub
import MartletTransport
import MartletWire
import NIOCore

extension Doctor {
    // MARK: Upstreams

    /// Asks every upstream for its models.
    /// - Returns: the routes as they would be, and a finding for each upstream.
    func examineUpstreams(_ calls: UpstreamCalls, _ mocks: MockHost) async throws -> (RouteTable, [Finding]) {
        var configuration = self.configuration
        var findings: [Finding] = []
        if UpstreamMaker.looksAround(configuration) {
            let answers = await Discovery.look(at: places, over: calls)
            for case .server(let settings) in answers.map(\.answer) { configuration.upstreams.append(settings) }
            findings += Discovery.notes(answers).map { Finding("discovery", .hint, $0) }
            if configuration.upstreams.isEmpty {
                let names = places.map { "\($0.shown) (\($0.port))" }.joined(separator: ", ")
                findings.append(
                    Finding(
                        "discovery", .hint, "none of \(names) answers on this machine",
                        advice: "Start one of them, or name a server with --upstream URL"))
            }
        }
        configuration.discovers = false
        var (upstreams, _) = try await UpstreamMaker(configuration, calls: calls, mocks: mocks).make()
        var served: [String: ServedModels] = [:]
        for upstream in upstreams {
            let (models, finding) = await examine(upstream, calls)
            served[upstream.name] = models
            findings.append(finding)
            if finding.level != .broken { findings += await examineResidents(upstream, calls) }
        }
        let (local, unusable) = LocalModel.divided(LocalModel.all(in: store))
        if !configuration.usesInferenceErrors, !local.isEmpty {
            let engine = UpstreamFactory.engine()
            upstreams.append(engine)
            served[engine.name] = ServedModels(ids: local, unusable: unusable)
        }
        let routes = RouteTable(
            upstreams: upstreams, served: served,
            aliases: configuration.models.aliases.map { ($0.pattern, $0.targets) },
            defaultModel: configuration.models.preferred, allowed: configuration.models.allowed,
            usesInferenceErrors: configuration.usesInferenceErrors)
        return (routes, findings)
    }

    private func examine(_ upstream: Upstream, _ calls: UpstreamCalls) async -> (ServedModels, Finding) {
        let about = "upstream \(upstream.name)"
        let clock = ContinuousClock()
        let start = clock.now
        let result = await ModelLists(upstream, over: calls, patience: Catalog.patience).read()
        let milliseconds = (clock.now - start) / .milliseconds(1)
        var facts: JSONObject = [
            "name": .string(upstream.name), "kind": .string(upstream.profile.kind), "place": .string(upstream.shown),
        ]
        switch result {
        case .success(let models):
            let ids = models.ids ?? []
            facts["latency_ms"] = .int(Int(milliseconds.rounded()))
            facts["models"] = .array(ids.map(JSON.string))
            let names = ids.prefix(4).joined(separator: ", ") + (ids.count > 4 ? ", …" : "")
            let count = ids.count == 1 ? "1 model" : "\(ids.count) models"
            let through = upstream.proxyUse.proxy.map { " through the proxy \($0.shown) (\($0.setting))" } ?? ""
            let text =
                "\(upstream.shown)\(through), \(count)\(ids.isEmpty ? "" : " (\(names))") in "
                + "\(Int(milliseconds.rounded(.up))) ms"
            return (
                models,
                ids.isEmpty
                    ? Finding(about, .hint, text, advice: "Load or download a model there", facts: facts)
                    : Finding(about, .fine, text, facts: facts)
            )
        case .failure(let error):
            let advice = advice(error, upstream)
            return (ServedModels(), Finding(about, .broken, error.message, advice: advice, facts: facts))
        }
    }

    /// What to do about an upstream whose model list could not be read, where the error does not say it itself.
    private func advice(_ error: GatewayError, _ upstream: Upstream) -> String? {
        switch error.code {
        case .upstreamUnreachable: nil
        case .upstreamTimeout: "It may be busy loading a model; if this stays so, check the URL's port"
        case .upstreamCredentials:
            "Give its key: upstreams.\(upstream.name).api_key in martlet.yaml, or "
                + "MARTLET_UPSTREAMS_\(ConfigurationKeys.variable(upstream.name))_API_KEY"
        default: "Something else than a model server seems to answer there: check the URL's port and path"
        }
    }

    // MARK: The engine and its models

    func examineEngine() async -> [Finding] {
        let models = store.models()
        let bytes = models.reduce(into: Int64(0)) { $0 += $1.bytes }
        let count = models.count == 1 ? "1 model" : "\(models.count) models"
        var findings = [
            Finding(
                "models on disk", .fine, "\(count), \(ByteCount.shown(bytes)), under \(store.root)",
                facts: ["folder": .string(store.root), "models": .array(models.map { .string($0.id) })])
        ]
        findings += configuration.engine.faults(store).map { Finding("engine settings", .broken, $0) }
        findings += configuration.engine.idle(store).map { Finding("engine settings", .hint, $0) }
        do throws(EngineError) {
            let engine = try await EngineFinder.find(
                configured: configuration.engine.binary, home: home, path: path)
            findings.append(
                Finding(
                    "engine", .fine, "llama.cpp \(engine.version), \(engine.backend), from \(engine.origin)",
                    facts: [
                        "version": .string(engine.version), "backend": .string(engine.backend),
                        "origin": .string("\(engine.origin)"), "executable": .string(engine.executable),
                    ]))
            if let warning = EngineFinder.gpuWarning(for: engine) { findings.append(Finding("engine", .hint, warning)) }
        } catch {
            // Without a model of its own, and none configured, the engine is not needed.
            let isNeeded = !models.isEmpty || configuration.engine.binary != nil
            findings.append(Finding("engine", isNeeded ? .broken : .hint, error.message))
        }
        return findings
    }

    // MARK: Names

    /// Where requests would go, and which configured names lead nowhere.
    func examineModels(_ routes: RouteTable) -> [Finding] {
        guard !routes.upstreams.isEmpty else {
            return [
                Finding(
                    "models", .broken, "there is nothing to serve: no upstream and no model on disk",
                    advice: "Start with --upstream URL, or get a model with martlet get OWNER/REPOSITORY")
            ]
        }
        var findings: [Finding] = []
        do throws(GatewayError) {
            let places = try routes.resolve(nil)
            if let silent = places.first(where: { routes.served[$0.upstream.name]?.ids == nil })?.upstream.name {
                findings.append(Finding("default model", .hint, "not known while upstream \(silent) does not answer"))
            } else {
                let shown = places.map(\.shown).joined(separator: ", ")
                findings.append(Finding("default model", .fine, "requests without a model go to \(shown)"))
            }
        } catch {
            let isNamed = ![nil, "local-model"].contains(configuration.models.preferred)
            let isWrong = isNamed && error.code == .modelNotFound
            findings.append(Finding("default model", isWrong ? .broken : .hint, error.message))
        }
        for alias in configuration.models.aliases {
            // A pattern is asked for by a name that only it can match.
            let table = RouteTable(
                upstreams: routes.upstreams, served: routes.served, aliases: [("alias", alias.targets)])
            do throws(GatewayError) {
                _ = try table.resolve("alias")
            } catch {
                findings.append(Finding("alias \(alias.pattern)", .broken, error.message))
            }
        }
        return findings
    }
}
