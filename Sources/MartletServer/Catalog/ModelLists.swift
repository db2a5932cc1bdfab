package import MartletDialects
package import MartletGateway
package import MartletTransport
import MartletWire
package import NIOCore

/// Reads which models an upstream has and how much they hold, in the way its profile describes.
package struct ModelLists: Sendable {
    /// Questions about single models in one reading, and how many of them are under way at a
    /// time: a box may hold hundreds.
    private static let mostQuestions = 64
    private static let atATime = 8

    private let upstream: Upstream
    private let calls: UpstreamCalls
    /// Where to ask; nil: the upstream's own address.
    private let origin: Origin?
    private let deadline: NIODeadline

    /// - Parameter patience: for everything together; what is not known by then is left open.
    package init(_ upstream: Upstream, at origin: Origin? = nil, over calls: UpstreamCalls, patience: TimeAmount) {
        self.upstream = upstream
        self.calls = calls
        self.origin = origin
        deadline = .now() + patience
    }

    private var listing: ModelListing { upstream.profile.listing }

    /// - Parameter known: windows of an earlier reading; the maximum of a model does not change.
    /// - Returns: a failure when the list itself cannot be read. A window that cannot be read is no error.
    package func read(known: [String: ContextWindow] = [:]) async -> Result<ServedModels, GatewayError> {
        // One after the other, and without a typed error: `async let` beside an `async` function with a typed error is
        // compiled wrongly in release builds (Swift 6.3.1), and ends the process now and then.
        let entries: [(id: String, entry: JSON)]
        switch await self.entries() {
        case .success(let read): entries = read
        case .failure(let error): return .failure(error)
        }
        var models = ServedModels(ids: entries.map(\.id))
        for (id, entry) in entries {
            let window = ContextWindow(
                loaded: ModelLists.tokens(listing.loaded, in: entry),
                maximum: ModelLists.tokens(listing.maximum, in: entry),
                reply: ModelLists.tokens(listing.reply, in: entry))
            if window.isKnown { models.windows[id] = window }
        }
        let told = await aside()
        for (id, window) in told.windows where models.ids?.contains(id) == true {
            models.windows[id] = (models.windows[id] ?? ContextWindow()).filled(from: window)
        }
        models.hasOwnAPI = !told.lacksOwnAPI
        models.cards = told.cards.filter { models.ids?.contains($0.key) == true }
        for (id, entry) in told.entries {
            ModelLists.noteNames(of: id, in: entry, &models)
            ModelLists.noteState(of: id, in: entry, &models)
        }
        for (id, window) in known where models.ids?.contains(id) == true && models.windows[id]?.maximum == nil {
            guard let maximum = window.maximum else { continue }
            models.windows[id, default: ContextWindow()].maximum = maximum
        }
        await askFurther(&models)
        return .success(models)
    }

    private func entries() async -> Result<[(id: String, entry: JSON)], GatewayError> {
        let reply: UpstreamReply
        do throws(GatewayError) {
            reply = try await calls.get(listing.path, at: upstream, origin: origin, timeout: left)
        } catch {
            return .failure(error)
        }
        guard reply.head.isSuccess else {
            var error = ChatErrors.read(status: reply.head.status, body: upstream.withoutKey(reply.body))
            error.message =
                "\(upstream.shown) answers \(listing.path) with HTTP \(reply.head.status): \(error.message)"
            return .failure(error)
        }
        guard let json = try? JSON(parsing: reply.body), let entries = json["data"]?.array else {
            return .failure(
                GatewayError(code: .upstreamBadReply, message: "\(upstream.shown) answers without a model list"))
        }
        return .success(entries.compactMap { entry in entry["id"]?.string.map { ($0, entry) } })
    }

    /// What single replies tell about many models.
    private func aside() async -> (
        windows: [String: ContextWindow], cards: [String: ModelCard], entries: [(id: String, entry: JSON)],
        lacksOwnAPI: Bool
    ) {
        var windows: [String: ContextWindow] = [:]
        var all: [(id: String, entry: JSON)] = []
        var cards: [String: ModelCard] = [:]
        var lacksOwnAPI = false
        for question in listing.questions {
            guard case .many(let member, let id) = question.subject else { continue }
            let reply = try? await calls.get(question.path, at: upstream, origin: origin, timeout: left)
            let json = reply.flatMap { $0.head.isSuccess ? try? JSON(parsing: $0.body) : nil }
            guard let entries = json?[member]?.array else {
                // An older one answers 404, or 200 without a list.
                let isMissing = reply.map { $0.head.isSuccess || $0.head.status == 404 } ?? false
                if question.path == "/api/v1/models", isMissing { lacksOwnAPI = true }
                continue
            }
            for entry in entries {
                guard let id = entry[id]?.string else { continue }
                all.append((id, entry))
                windows[id] = ModelLists.window(question, entry).filled(from: windows[id])
                let card = ModelLists.card(entry)
                if !card.isEmpty { cards[id] = card }
            }
        }
        return (windows, cards, all, lacksOwnAPI)
    }

    /// What else requests may call a model, as LM Studio lists it: its variants, and its instances with their own windows.
    private static func noteNames(of id: String, in entry: JSON, _ models: inout ServedModels) {
        let maximum = models.windows[id]?.maximum ?? tokens([["max_context_length"]], in: entry)
        func isNew(_ name: String) -> Bool { models.ids?.contains(name) == false && name != id }
        for name in entry.variants where isNew(name) {
            models.variants[name] = id
            models.windows[name] = maximum.map { ContextWindow(maximum: $0) }
        }
        for instance in entry["loaded_instances"]?.array ?? [] {
            guard let name = instance["id"]?.string, isNew(name) else { continue }
            models.instances[name] = id
            let window = ContextWindow(
                loaded: tokens([["config", "context_length"]], in: instance), maximum: maximum)
            if window.isKnown { models.windows[name] = window }
        }
    }

    /// What is loaded, and what makes embeddings, in the words of either of LM Studio's lists.
    private static func noteState(of id: String, in entry: JSON, _ models: inout ServedModels) {
        if let type = entry["type"]?.string, type.hasPrefix("embedding") { models.work[id] = .embeddings }
        let instances = entry["loaded_instances"]?.array?.compactMap { $0["id"]?.string }
        for name in instances ?? (entry["state"] == "loaded" ? [id] : []) {
            models.work[name] = models.work[id]
            if !models.loaded.contains(name) { models.loaded.append(name) }
        }
    }

    /// In the words of either of LM Studio's lists.
    private static func card(_ entry: JSON) -> ModelCard {
        ModelCard(
            architecture: (entry["architecture"] ?? entry["arch"])?.string,
            quantisation: (entry["quantization"]?["name"] ?? entry["quantization"])?.string,
            format: (entry["format"] ?? entry["compatibility_type"])?.string)
    }

    /// Asks about models whose window nothing has told so far.
    private func askFurther(_ models: inout ServedModels) async {
        let ids = models.ids ?? []
        for question in listing.questions {
            switch question.subject {
            case .many: break
            case .single:
                guard ids.count == 1, models.windows[ids[0]]?.loaded == nil, let json = await answer(question.path)
                else { continue }
                let window = ModelLists.window(question, json).filled(from: models.windows[ids[0]])
                if window.isKnown { models.windows[ids[0]] = window }
            case .each(let name):
                let open = ids.filter { models.windows[$0]?.isKnown != true }.prefix(ModelLists.mostQuestions)
                for (id, window) in await ask(question, name, about: Array(open)) { models.windows[id] = window }
            }
        }
    }

    private func ask(
        _ question: ModelListing.Question, _ name: String, about ids: [String]
    ) async -> [(String, ContextWindow)] {
        await withTaskGroup(of: (String, ContextWindow).self) { group in
            var waiting = ids[...]
            func add() {
                guard let id = waiting.popFirst() else { return }
                group.addTask {
                    let json = await answer(question.path, JSON.object(JSONObject([(name, .string(id))])).buffer)
                    return (id, json.map { ModelLists.window(question, $0) } ?? ContextWindow())
                }
            }
            for _ in 0..<ModelLists.atATime { add() }
            var found: [(String, ContextWindow)] = []
            for await answer in group {
                if answer.1.isKnown { found.append(answer) }
                add()
            }
            return found
        }
    }

    /// Time that is left, at least a moment, so that a call made too late fails by itself.
    private var left: TimeAmount { max(deadline - .now(), .milliseconds(1)) }

    private func answer(_ path: String, _ body: ByteBuffer? = nil) async -> JSON? {
        let reply =
            if let body {
                try? await calls.post(path, body, at: upstream, origin: origin, timeout: left)
            } else {
                try? await calls.get(path, at: upstream, origin: origin, timeout: left)
            }
        guard let reply, reply.head.isSuccess else { return nil }
        return try? JSON(parsing: reply.body)
    }

    private static func window(_ question: ModelListing.Question, _ json: JSON) -> ContextWindow {
        ContextWindow(loaded: tokens(question.loaded, in: json), maximum: tokens(question.maximum, in: json))
    }

    /// The first of the members that is a number of tokens.
    static func tokens(_ paths: [ModelListing.Path], in json: JSON) -> Int? {
        for path in paths {
            var place: JSON? = json
            for step in path {
                if step.hasPrefix("*") {
                    let name = place?.object?.keys.first { $0.hasSuffix(step.dropFirst()) }
                    place = name.flatMap { place?[$0] }
                } else if let index = Int(step), let elements = place?.array {
                    place = elements.indices.contains(index) ? elements[index] : nil
                } else {
                    place = place?[step]
                }
            }
            // Zero stands for "the model's own" where it stands at all; nothing holds as much as the upper bound.
            if let tokens = place?.int, (1...(1 << 40)).contains(tokens) { return tokens }
        }
        return nil
    }
}
