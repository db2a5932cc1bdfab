package import MartletDialects
package import MartletEngine
package import MartletGateway

/// Lets the gateway use the engine's models.
package struct EngineHost: ModelHost {
    private let supervisor: Supervisor?

    /// - Parameter supervisor: nil when this server runs no engine.
    package init(supervisor: Supervisor?) { self.supervisor = supervisor }

    package func acquire(
        _ model: String, wish: LoadWish, onProgress: @escaping @Sendable (Progress) -> Void
    ) async throws(GatewayError) -> Origin {
        guard let supervisor else {
            throw GatewayError(code: .internalError, message: "this server runs no engine")
        }
        do throws(EngineError) {
            var settings = LoadSettings()
            settings.context = wish.contextLength.map { .tokens($0) }
            settings.keepAlive = wish.ttl.map { .idle($0) }
            let lease = try await supervisor.acquire(model, settings: settings) { onProgress($0.shown) }
            return Origin(address: .unix(path: lease.socketPath), instance: lease.instance)
        } catch {
            throw EngineHost.gatewayError(error)
        }
    }

    package func keeps(_ model: String, at origin: Origin) async throws(GatewayError) -> Bool {
        guard let supervisor, case .unix(let path) = origin.address else { return false }
        do throws(EngineError) {
            return try await supervisor.keeps(socketPath: path)
        } catch {
            throw EngineHost.gatewayError(error)
        }
    }

    package func release(_ model: String, at origin: Origin, served: Bool) {
        guard let supervisor, case .unix(let path) = origin.address else { return }
        // Called on a loop, which cannot wait; nobody waits for the end of a use.
        Task { await supervisor.release(socketPath: path, served: served) }
    }

    package func lastWords(of model: String, at origin: Origin) async -> GatewayError? {
        guard let supervisor, case .unix(let path) = origin.address else { return nil }
        return await supervisor.lastWords(at: path).map(EngineHost.gatewayError)
    }

    /// Counts a use of the model's engine until `release`, if it is loaded already.
    func borrow(_ model: String) async -> Origin? {
        await supervisor?.borrow(model).map { Origin(address: .unix(path: $0.socketPath)) }
    }

    /// Lines of an engine's log that a client is shown.
    private static let shownLines = 3

    static func gatewayError(_ error: EngineError) -> GatewayError {
        let code: ErrorCode =
            switch error.code {
            case .noSuchModel: .modelNotFound
            case .badSetting: .invalidRequest
            case .atCapacity: .queueFull
            default: error.loadFault ?? .engineFailed
            }
        // The only setting that a request for an answer has.
        let param = error.setting.flatMap { $0 == "context_length" ? $0 : nil }
        return GatewayError(code: code, message: sentence(error), param: param, retryAfter: error.retryAfter)
    }

    /// With the engine's last words.
    static func sentence(_ error: EngineError) -> String {
        let words = error.logTail.map(EngineLog.bare).filter { !error.message.contains($0) }.suffix(shownLines)
        return words.isEmpty
            ? error.message : error.message + " Its last words: " + words.joined(separator: " / ")
    }
}

extension EngineError {
    /// What every API calls it that a model cannot be loaded, also while nothing is tried; nil for other errors.
    var loadFault: ErrorCode? {
        switch code {
        case .loadFailed, .loadTimedOut, .launchFailed, .notInstalled, .unreadableModel, .incompleteModel,
            .badConfiguration, .backingOff:
            .modelLoadFailed
        case .doesNotFit: .modelTooLarge
        default: nil
        }
    }
}

extension LoadProgress {
    /// As the gateway tells it.
    var shown: Progress {
        switch phase {
        case .queued: Progress(.queue, elapsed: elapsed)
        case .loading: Progress(.load, fraction: fraction, elapsed: elapsed)
        case .ready: Progress(.load, fraction: 1, elapsed: elapsed)
        }
    }
}
