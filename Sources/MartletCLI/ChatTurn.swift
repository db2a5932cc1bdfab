import ArgumentParser
import Martlet
import MartletCommands
import MartletWire
import Synchronization

/// One question to a model and its answer, shown as it comes.
struct ChatTurn: Sendable {
    let client: MartletClient
    let showsReasoning: Bool
    /// Nil: the answer is all there is, and Ctrl-C ends with it.
    var interrupts: Interrupts?

    /// What came of it.
    struct Outcome: Sendable {
        var answer = ""
        var end = ChatEnd()
        var failure: MartletError?
        var isCancelled = false
    }

    /// A question with what comes through a pipe behind it; nil: neither is there.
    static func question(_ text: String) -> String? {
        var text = text
        if let piped = Surroundings.pipedInput() { text += (text.isEmpty ? "" : "\n\n") + piped }
        return text.isEmpty ? nil : text
    }

    static func put(_ outputs: [ChatScreen.Output]) {
        for output in outputs {
            switch output {
            case .text(let text): Surroundings.put(text)
            case .aside(let text): Surroundings.putAside(text)
            }
        }
    }

    /// The answer to the only question of a command.
    /// - Throws: `MartletError`; an exit code when the user interrupted it.
    func askOnce(_ question: String, of talk: Conversation) async throws -> ChatEnd {
        let outcome = try await ask(question, of: talk)
        if let failure = outcome.failure { throw failure }
        guard !outcome.isCancelled else { throw ExitCode(ExitCodes.interrupted) }
        if outcome.answer.isEmpty { Surroundings.put("\n") }
        return outcome.end
    }

    /// Shows the answer. Ctrl-C cancels the request, which ends it at the server, and is said.
    func ask(_ question: String, of talk: Conversation) async throws -> Outcome {
        let reply = ShownReply(
            ChatScreen(
                name: talk.model ?? "the model", movesBars: Surroundings.movesBars,
                dims: Surroundings.hasColour(2), showsReasoning: showsReasoning))
        do {
            let isDone = try await cancelling {
                // A model may take its time before it says anything; a server may not.
                try await client.checkReachable()
                try await follow(question, of: talk, into: reply)
            }
            var outcome = reply.close()
            if !isDone {
                outcome.isCancelled = true
                Surroundings.complain("\(Surroundings.program): cancelled")
            } else if outcome.end.isCut || talk.maxTokens.map({ outcome.end.outputTokens ?? 0 >= $0 }) ?? false {
                Surroundings.complain("\(Surroundings.program): the answer was cut at the token limit")
            }
            return outcome
        } catch let error as MartletError {
            var outcome = reply.close()
            let message = talk.refusal(error.message, flag: Surroundings.isLMS ? "lms chat MODEL" : "-m MODEL")
            outcome.failure = MartletError(error.kind, message)
            return outcome
        }
    }

    private func cancelling(_ work: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        if let interrupts { return try await interrupts.cancelling(work) }
        return try await ModelCommand.untilInterrupted(work) != nil
    }

    /// LM Studio's own chat tells how far loading and reading are; where it is not there, or cannot go on, Chat
    /// Completions do as well.
    private func follow(_ question: String, of talk: Conversation, into reply: ShownReply) async throws {
        async let _: Void = tellWaiting(of: talk.model, into: reply)
        if talk.fitsNative {
            do {
                for try await event in try await client.events("/api/v1/chat", talk.nativeBody(question)) {
                    if event["type"]?.string == "chat.start" { reply.begin(event["model_instance_id"]?.string) }
                    guard let step = ChatStep(native: event) else { continue }
                    try reply.show(step)
                    if case .ended = step { return }
                }
                throw Self.endedEarly
            } catch let error as MartletError where error.kind == .routeMissing {}
        }
        for try await chunk in try await client.events("/v1/chat/completions", talk.chatBody(question)) {
            for step in ChatStep.steps(chunk: chunk) { try reply.show(step) }
        }
        guard reply.isEnded else { throw Self.endedEarly }
    }

    /// Says that the model waits for memory, as long as nothing has been said.
    private func tellWaiting(of model: String?, into reply: ShownReply) async {
        while (try? await Task.sleep(for: .seconds(1))) != nil, reply.isSilent {
            let residents = (try? await ResidentList.read(client)) ?? []
            let name = reply.instance ?? model
            guard let reason = residents.lazy.filter({ $0.id == name || $0.model == name }).compactMap(\.reason).first
            else { continue }
            reply.wait(because: reason)
        }
    }

    private static let endedEarly = MartletError(.connection, "the server ended the answer early")
}

/// An answer on its way to the terminal, and what it was so far: it is also wanted when it is cancelled.
private final class ShownReply: Sendable {
    private struct State: Sendable {
        var screen: ChatScreen
        var outcome = ChatTurn.Outcome()
        var isEnded = false
        /// Nothing of it has been shown.
        var isSilent = true
        /// What is going to answer.
        var instance: String?
    }

    private let state: Mutex<State>

    init(_ screen: ChatScreen) { state = Mutex(State(screen: screen)) }

    /// - Throws: `MartletError` when the server says that the answer failed.
    func show(_ step: ChatStep) throws {
        let outputs = state.withLock { state in
            state.isSilent = false
            switch step {
            case .text(let text): state.outcome.answer += text
            case .ended(let end):
                state.outcome.end = end
                state.isEnded = true
            default: break
            }
            return state.screen.show(step, columns: Surroundings.columns)
        }
        ChatTurn.put(outputs)
        if case .failed(let reason) = step { throw MartletError(.server, reason) }
    }

    /// Why nothing comes, until something does.
    func wait(because reason: String) {
        let outputs = state.withLock { state in
            state.isSilent ? state.screen.show(.waiting(reason), columns: Surroundings.columns) : []
        }
        ChatTurn.put(outputs)
    }

    func begin(_ instance: String?) { state.withLock { $0.instance = instance } }

    var isEnded: Bool { state.withLock(\.isEnded) }
    var isSilent: Bool { state.withLock(\.isSilent) }
    var instance: String? { state.withLock(\.instance) }

    func close() -> ChatTurn.Outcome {
        let (outputs, outcome) = state.withLock { ($0.screen.close(), $0.outcome) }
        ChatTurn.put(outputs)
        return outcome
    }
}
