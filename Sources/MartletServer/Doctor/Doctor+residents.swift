import MartletGateway
import MartletTransport
import MartletWire

extension Doctor {
    /// Tokens that a coding agent's first request has or exceeds: instructions and tools of Claude Code or Codex.
    static let agentWindow = 16_384
    /// What to ask for instead: room for some files and turns beside them.
    static let advisedWindow = 32_768

    /// What is loaded at an upstream and how much fits into it, where its kind tells; nothing where all is well.
    func examineResidents(_ upstream: Upstream, _ calls: UpstreamCalls) async -> [Finding] {
        switch upstream.profile.kind {
        case UpstreamProfile.lmStudio.kind: await examineLMStudio(upstream, calls)
        case UpstreamProfile.llamaCpp.kind: await examineLlamaServer(upstream, calls)
        default: []
        }
    }

    private func examineLMStudio(_ upstream: Upstream, _ calls: UpstreamCalls) async -> [Finding] {
        guard let residents = await lmStudioResidents(upstream, calls) else { return [] }
        guard !residents.isEmpty else {
            return [
                Finding(
                    "upstream \(upstream.name)", .hint, "no model is loaded",
                    advice: "Load one (lms load NAME); else the first request waits for it, or fails where "
                        + "just-in-time loading is off")
            ]
        }
        return residents.compactMap { model, window in
            guard let window, window < Doctor.agentWindow else { return nil }
            return shortWindow(
                upstream, "\(model) is loaded with a context window of \(window) tokens",
                advice: "lms load \(model) --context-length \(Doctor.advisedWindow)")
        }
    }

    /// The language models that are loaded, with their windows; nil when nothing of LM Studio's own lists can be read.
    private func lmStudioResidents(
        _ upstream: Upstream, _ calls: UpstreamCalls
    ) async -> [(model: String, window: Int?)]? {
        if let models = await answer("/api/v1/models", upstream, calls)?["models"]?.array {
            return models.filter { $0["type"]?.string != "embedding" }.flatMap { model in
                (model["loaded_instances"]?.array ?? []).map {
                    (model["key"]?.string ?? "?", $0["config"]?["context_length"]?.int)
                }
            }
        }
        guard let models = await answer("/api/v0/models", upstream, calls)?["data"]?.array else { return nil }
        return models.filter { $0["type"]?.string != "embeddings" && $0["state"]?.string == "loaded" }.map {
            ($0["id"]?.string ?? "?", $0["loaded_context_length"]?.int)
        }
    }

    private func examineLlamaServer(_ upstream: Upstream, _ calls: UpstreamCalls) async -> [Finding] {
        guard let properties = await answer("/props", upstream, calls),
            let window = properties["default_generation_settings"]?["n_ctx"]?.int, window < Doctor.agentWindow
        else { return [] }
        let slots = max(1, properties["total_slots"]?.int ?? 1)
        return [
            shortWindow(
                upstream, "a request has a context window of \(window) tokens",
                advice: "start llama-server with --ctx-size \(Doctor.advisedWindow * slots) --parallel \(slots)")
        ]
    }

    private func shortWindow(_ upstream: Upstream, _ text: String, advice: String) -> Finding {
        Finding(
            "upstream \(upstream.name)", .hint, text,
            advice: "Coding agents need \(Doctor.advisedWindow) or more: \(advice)")
    }

    private func answer(_ path: String, _ upstream: Upstream, _ calls: UpstreamCalls) async -> JSON? {
        guard let reply = try? await calls.get(path, at: upstream, timeout: KindProbe.patience), reply.head.isSuccess
        else { return nil }
        return try? JSON(parsing: reply.body)
    }
}
