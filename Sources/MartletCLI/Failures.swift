import ArgumentParser
import Martlet
import MartletCommands
import MartletEngine
import MartletHub
import MartletMCP

/// Turns errors into a sentence and an exit code: 69 when the server cannot be reached, 130 when the user interrupted,
/// else 1.
enum Failures {
    static func reported(_ work: () async throws -> Void) async throws {
        do {
            try await work()
        } catch {
            throw explained(error)
        }
    }

    /// Says what an error of ours is about.
    /// - Returns: the exit code that it ends with; any other error as it is.
    static func explained(_ error: any Error) -> any Error {
        switch error {
        case let error as MartletError:
            tell(error)
            return ExitCode(error.kind == .connection ? ExitCodes.unavailable : 1)
        case let error as HubError: return failed(error.message)
        case let error as MCPError:
            let code = failed(error.message)
            for line in error.lastWords { Surroundings.complain("  \(TerminalText.safe(line))") }
            return code
        case let error as EngineError: return failed(error.message)
        case let error as LMSRefusal: return failed(error.description)
        default: return error
        }
    }

    /// Says why a call to a server failed, and what to do.
    static func tell(_ error: MartletError) {
        let wantsKey = error.kind == .authentication && error.message.contains("token")
        let hint = wantsKey ? "; put the token into \(Surroundings.isLMS ? "LM_API_TOKEN" : "MARTLET_API_KEY")" : ""
        // Whoever calls the program lms starts the server by that name, too.
        let unreached = Surroundings.isLMS && error.kind == .connection
        let message = error.message.replacing("martlet serve", with: unreached ? "lms server start" : "martlet serve")
        Surroundings.complain("\(Surroundings.program): \(TerminalText.safe(own(message)))\(hint)")
    }

    private static func failed(_ message: String) -> ExitCode {
        Surroundings.complain("\(Surroundings.program): \(TerminalText.safe(own(message)))")
        return ExitCode(1)
    }

    private static func own(_ sentence: String) -> String { Surroundings.isLMS ? LMSWords.own(sentence) : sentence }
}
