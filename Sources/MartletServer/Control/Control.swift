import MartletDialects
import MartletEngine
package import MartletGateway
import MartletWire
import NIOCore

/// Answers what is no completion: model lists, health, probes.
package struct Control: ControlRoutes {
    private let catalog: CatalogBox
    private let instance: String
    private let startedAt: Int
    private let tokens: TokenCount
    private let responses: ResponseRoutes
    private let images: ImageFetch
    private let models: ModelRoutes
    private let loads: LoadRoutes
    private let others: UpstreamNative
    private let downloads: Downloads
    private let logs: [LogFeed.Source: LogFeed]

    /// - Parameters:
    ///   - catalog: filled in once the listener stands.
    ///   - startedAt: seconds since 1970; the `created` of models that tell none, so that it
    ///     does not change from list to list.
    init(
        catalog: CatalogBox, instance: String, startedAt: Int, tokens: TokenCount,
        responses: ResponseLedger?, images: ImageFetch, models: ModelRoutes, loads: LoadRoutes, downloads: Downloads,
        logs: [LogFeed.Source: LogFeed], others: UpstreamNative
    ) {
        self.logs = logs
        self.others = others
        self.models = models
        self.loads = loads
        self.downloads = downloads
        self.images = images
        self.tokens = tokens
        self.responses = ResponseRoutes(ledger: responses, tokens: tokens)
        self.catalog = catalog
        self.instance = instance
        self.startedAt = startedAt
    }

    /// Of LM Studio, whose API this server has: what `/lms-status` tells.
    static let apiVersion = "0.4.1"

    package func refreshCatalog() async { await catalog.value?.refresh(ifOlderThan: .seconds(1)) }

    package func weigh(_ plan: Plan) async -> Decision {
        do throws(GatewayError) {
            return await PromptCheck(tokens: tokens, catalog: catalog).weigh(try await images.inlined(plan))
        } catch {
            return .refuse(error)
        }
    }

    package func answer(_ request: InboundRequest, in snapshot: Snapshot) async -> ControlReply {
        switch request.endpoint {
        case .models:
            await catalog.value?.refresh()
            do throws(GatewayError) {
                return ok(try await list(ModelPage(query: request.query)))
            } catch {
                return self.error(error, request)
            }
        case .model(let id):
            await catalog.value?.refresh()
            return await model(id, request)
        case .countTokens:
            do throws(GatewayError) {
                let document = try Decider.check(request.body)
                let count = try await tokens.count(document, of: request, from: .anthropic, in: snapshot)
                return ok(["input_tokens": .int(count)])
            } catch {
                return self.error(error, request)
            }
        case .inputTokens, .response, .inputItems, .cancelResponse:
            do throws(GatewayError) {
                return try await responses.answer(request, in: snapshot)
            } catch {
                return self.error(error, request)
            }
        case .nativeModels, .legacyModels, .legacyModel, .downloadModel, .downloadStatus, .cancelDownload, .loadModel,
            .unloadModel,
            .legacyLoad, .legacyUnload, .residents, .pinResident:
            do throws(NativeError) {
                return try await native(request)
            } catch {
                return request.isLegacy ? error.bareReply : error.reply
            }
        case .serverLog:
            do throws(GatewayError) {
                return try readLog(request.query)
            } catch {
                return self.error(error, request)
            }
        case .health: return await health()
        case .live: return ok(["status": "ok"])
        case .ready: return await ready()
        case .greeting: return ok(["lmstudio": true])
        case .apiStatus: return ok(["package": "lmstudio", "version": .string(Control.apiVersion)])
        case .hello: return ok(["message": "Ok", "name": "martlet", "instance": .string(instance)])
        default:
            return error(
                GatewayError(code: .notFound, message: "there is no route \(request.path.prefix(200))"), request)
        }
    }

    // MARK: Models

    /// What LM Studio's own API has beside completions.
    private func native(_ request: InboundRequest) async throws(NativeError) -> ControlReply {
        if request.endpoint != .residents { await catalog.value?.refresh() }
        let catalog = catalog.value
        if let reply = try await others.answer(request, catalog, ownsJob: downloads.owns) {
            return reply
        }
        switch request.endpoint {
        case .nativeModels: return await models.native(catalog, beside: await others.native(catalog))
        case .legacyModel(let id):
            return try await models.legacy(id, catalog, beside: await others.legacy(catalog))
        case .downloadModel:
            return try await downloads.start(request.body) { await catalog?.refresh() }
        case .downloadStatus(let id): return try downloads.status(id)
        case .cancelDownload(let id): return try await downloads.cancel(id)
        case .loadModel: return try await loads.load(request.body, catalog)
        case .unloadModel: return try await loads.unload(request.body, catalog)
        case .legacyLoad: return try await loads.legacyLoad(request.body, catalog)
        case .legacyUnload: return try await loads.legacyUnload(request.body, catalog)
        case .residents: return await loads.residents(beside: await others.residents(catalog))
        case .pinResident: return try await loads.pin(request.body)
        default: return await models.legacy(catalog, beside: await others.legacy(catalog))
        }
    }

    /// One list that reads as OpenAI's and as Anthropic's (specs 1.6).
    private func list(_ page: ModelPage) async -> JSON {
        let routes = await catalog.value?.routes
        let (ids, hasMore) = page.of((routes?.listed ?? []) + (routes?.published ?? []))
        let local = await catalog.value?.local ?? []
        let expected = local.isEmpty ? [:] : await loads.supervisor?.expectedContexts() ?? [:]
        return [
            "object": "list", "data": .array(ids.map { entry($0, routes, local, expected) }), "models": [],
            "has_more": .bool(hasMore),
            "first_id": ids.first.map(JSON.string) ?? .null, "last_id": ids.last.map(JSON.string) ?? .null,
        ]
    }

    /// The window goes by the names that clients read: LM Studio's and routers', vLLM's, Anthropic's.
    /// - Parameter expected: windows that models of this machine would have, by their ids.
    private func entry(
        _ id: String, _ routes: RouteTable?, _ local: [LocalModel], _ expected: [String: Int]
    ) -> JSON {
        let place = routes?.place(of: id)
        let window = place?.window
        let loadable = place.flatMap { $0.upstream.location == .hosted ? expected[$0.model] : nil }
        var entry: JSON = [
            "id": .string(id), "object": "model", "type": "model", "created": .int(startedAt),
            "created_at": .string(Timestamp.text(startedAt)), "owned_by": "martlet", "display_name": .string(id),
        ]
        if let tokens = window?.loaded ?? loadable ?? window?.maximum {
            for name in ["context_length", "max_model_len", "max_input_tokens"] { entry[name] = .int(tokens) }
        }
        if let maximum = window?.maximum { entry["max_context_length"] = .int(maximum) }
        if place?.upstream.location == .hosted, let model = local.first(where: { $0.model.id == place?.model }),
            model.usable != nil, !model.isEncoder
        {
            entry["capabilities"] = .array(model.abilities.map(JSON.string))
        }
        return entry
    }

    private func model(_ id: String, _ request: InboundRequest) async -> ControlReply {
        let routes = await catalog.value?.routes
        let local = await catalog.value?.local ?? []
        let expected = local.isEmpty ? [:] : await loads.supervisor?.expectedContexts() ?? [:]
        if routes?.listed.contains(id) == true { return ok(entry(id, routes, local, expected)) }
        do throws(GatewayError) {
            try routes?.checkListed(id)
        } catch {
            return self.error(error, request)
        }
        return ok(entry(id, routes, local, expected))
    }

    // MARK: Logs

    private func readLog(_ query: String) throws(GatewayError) -> ControlReply {
        let source = Endpoints.parameter("source", of: query) ?? LogFeed.Source.server.rawValue
        if let log = LogFeed.Source(rawValue: source).flatMap({ logs[$0] }) { return log.reply }
        throw GatewayError(
            code: .invalidRequest,
            message: source == "model"
                ? "prompts and answers are told only where store.capture is on, and this version cannot switch it on: "
                    + "source takes server and runtime"
                : "source takes server and runtime (got \"\(source.prefix(40))\")")
    }

    // MARK: Health

    private func ready() async -> ControlReply {
        let all = await catalog.value?.upstreamHealth() ?? []
        let isReady = all.isEmpty || all.contains { $0.health.isReachable == true }
        var reply = ok(["status": isReady ? "ok" : "no upstream answers"])
        if !isReady { reply.status = 503 }
        return reply
    }

    private func health() async -> ControlReply {
        await catalog.value?.refresh()
        let all = await catalog.value?.upstreamHealth() ?? []
        let lines = all.map { upstream, health -> JSON in
            [
                "name": .string(upstream.name), "kind": .string(upstream.profile.kind),
                "status": health.isReachable.map { $0 ? "ok" : "unreachable" } ?? "unknown",
                "models": health.models.map(JSON.int) ?? .null,
                "problem": health.problem.map(JSON.string) ?? .null,
                "mode": .string(upstream.mode.rawValue),
            ]
        }
        let isOK = all.allSatisfy { $0.health.isReachable != false }
        return ok([
            "status": isOK ? "ok" : "degraded", "instance": .string(instance),
            "provider": all.first.map { .string($0.upstream.profile.kind) } ?? .null,
            "http_config": all.first.map { Control.httpConfig($0.upstream) } ?? .null,
            "upstreams": .array(lines),
        ])
    }

    private static func httpConfig(_ upstream: Upstream) -> JSON {
        func seconds(_ amount: TimeAmount?) -> JSON {
            amount.map { .int(Int($0.nanoseconds / 1_000_000_000)) } ?? .null
        }
        return [
            "timeout_secs": seconds(
                upstream.deadlines.total ?? upstream.deadlines.unstreamedTotal ?? upstream.deadlines.idle),
            "connect_timeout_secs": seconds(upstream.deadlines.connect),
            "keep_alive_secs": seconds(upstream.connections.keepAlive),
            "max_idle_connections": .int(upstream.connections.maxIdle),
            "max_retries": .int(upstream.retries),
        ]
    }

    // MARK: Replies

    private func ok(_ json: JSON) -> ControlReply {
        var body = ByteBuffer()
        json.write(into: &body)
        return ControlReply(status: 200, body: body)
    }

    private func error(_ error: GatewayError, _ request: InboundRequest) -> ControlReply {
        ControlReply(refusing: error, request)
    }
}
