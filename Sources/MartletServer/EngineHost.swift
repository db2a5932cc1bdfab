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
            return Origin(address: .unix(path: try await supervisor.ready(model, onProgress: { _ in })))
        } catch {
            throw EngineHost.gatewayError(error)
        }
    }

    package func release(_ model: String) {}

    static func gatewayError(_ error: EngineError) -> GatewayError {
        var message = error.message
        if !error.logTail.isEmpty { message += " Its last words: " + error.logTail.suffix(3).joined(separator: " / ") }
        let code: ErrorCode =
            switch error.code {
            case .noSuchModel: .modelNotFound
            case .loadFailed, .loadTimedOut, .launchFailed, .notInstalled: .modelLoadFailed
            case .atCapacity: .queueFull
            default: .engineFailed
            }
        return GatewayError(code: code, message: message, retryAfter: error.retryAfter)
    }
}
