package import MartletDialects
package import MartletEngine
package import MartletGateway

/// Lets the gateway use the engine's models.
package struct EngineHost: ModelHost {
    private let supervisor: Supervisor?

    /// - Parameter supervisor: nil when this server runs no engine.
    package init(supervisor: Supervisor?) { self.supervisor = supervisor }

    package func acquire(_ model: String) async throws(GatewayError) -> Origin {
        guard let supervisor else {
            throw GatewayError(code: .internalError, message: "this server runs no engine")
        }
        do throws(EngineError) {
            return Origin(address: .unix(path: try await supervisor.acquire(model).socketPath))
        } catch {
            throw EngineHost.gatewayError(error)
        }
    }

    package func release(_ model: String, at origin: Origin) {
        guard let supervisor, case .unix(let path) = origin.address else { return }
        // Called on a loop, which cannot wait; nobody waits for the end of a use.
        Task { await supervisor.release(socketPath: path) }
    }

    package func lastWords(of model: String) async -> GatewayError? {
        await supervisor?.lastWords(of: model).map(EngineHost.gatewayError)
    }

    /// Lines of an engine's log that a client is shown.
    private static let shownLines = 3

    static func gatewayError(_ error: EngineError) -> GatewayError {
        var message = error.message
        let words = error.logTail.map(EngineLog.bare).filter { !message.contains($0) }.suffix(shownLines)
        if !words.isEmpty { message += " Its last words: " + words.joined(separator: " / ") }
        let code: ErrorCode =
            switch error.code {
            case .noSuchModel: .modelNotFound
            case .loadFailed, .loadTimedOut, .launchFailed, .notInstalled, .unreadableModel, .incompleteModel,
                .doesNotFit, .badSetting:
                .modelLoadFailed
            case .atCapacity: .queueFull
            default: .engineFailed
            }
        return GatewayError(code: code, message: message, retryAfter: error.retryAfter)
    }
}
