import MartletProcess
package import NIOCore
import Subprocess
import Synchronization

#if canImport(System)
    import System
#else
    import SystemPackage
#endif
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A server that is a program on this machine: one message per line, in and out.
///
/// It runs in a process group of its own, beside a shell that hands its input on. Closing ends its input,
/// as the protocol wants, then the whole group: SIGTERM, the grace, SIGKILL.
package final class StdioTransport: MCPTransport {
    private let name: String
    private let command: StdioCommand
    private let limits: MCPLimits
    private let stop = StopSignal()
    private let input: AsyncStream<ByteBuffer>
    private let outbox: AsyncStream<ByteBuffer>.Continuation
    private let state = Mutex(State())

    private struct State {
        var run: Task<Void, Never>?
        var words = OutputTail()
        var strange: String?
        var strangeLines = 0
        /// What we ended it for.
        var verdict: MCPError?
        var isClosing = false
    }

    package init(name: String, command: StdioCommand, limits: MCPLimits) {
        self.name = name
        self.command = command
        self.limits = limits
        (input, outbox) = AsyncStream.makeStream()
    }

    package var tellsOfChanges: Bool { true }
    package var strangeWords: String? { state.withLock(\.strange) }
    package var lastWords: [String] { state.withLock { told($0.words) } }

    package func agreed(on version: String) {}

    package func open(_ deliver: @escaping @Sendable (TransportEvent) -> Void) async throws(MCPError) {
        guard !command.program.hasPrefix("/") || access(command.program, X_OK) == 0 else {
            throw MCPError(.cannotStart, "the MCP server \(name) cannot be started: its command is not a program here")
        }
        // Writing to a program that has just ended is an error of that write.
        signal(SIGPIPE, SIG_IGN)
        let task = Task { await self.run(deliver) }
        state.withLock { $0.run = task }
    }

    /// Messages that wait are bounded by the calls that a session may have under way.
    package func send(_ message: ByteBuffer, awaiting id: Int?) async throws(MCPError) {
        var line = message
        line.writeInteger(UInt8(ascii: "\n"))
        outbox.yield(line)
    }

    package func close() async {
        let task = state.withLock { state in
            state.isClosing = true
            return state.run
        }
        stop.fire()
        await task?.value
    }

    // MARK: The process

    private func run(_ deliver: @escaping @Sendable (TransportEvent) -> Void) async {
        var options = PlatformOptions()
        options.createSession = true
        let takeDown = TeardownStep.gracefulShutDown(
            toProcessGroup: true, allowedDurationToNextStep: limits.grace)
        options.teardownSequence = [takeDown]
        let politely = TeardownStep.send(signal: Signal(rawValue: 0), allowedDurationToNextStep: limits.grace)
        let (stop, outbox) = (self.stop, self.outbox)
        do {
            let result = try await Subprocess.run(
                .name("sh"), arguments: Arguments(Self.guarded(command, grace: limits.grace)),
                environment: .custom(
                    Dictionary(
                        uniqueKeysWithValues: command.environment.map { (Environment.Key(stringLiteral: $0), $1) })),
                workingDirectory: FilePath(command.folder), platformOptions: options,
                input: .inputWriter, output: .sequence, error: .sequence
            ) { execution in
                let process = execution.processIdentifier.value
                return await withTaskGroup(of: Void.self, returning: Int32.self) { group in
                    group.addTask { await self.readWords(execution.standardError) }
                    group.addTask {
                        await self.readMessages(execution.standardOutput, deliver)
                        stop.fire()
                    }
                    group.addTask { await self.write(to: execution.standardInputWriter) }
                    await stop.wait()
                    outbox.finish()
                    await execution.teardown(using: [politely, takeDown])
                    // The leader is dead but not yet collected, so its number still names this group and no other.
                    try? execution.send(signal: .kill, toProcessGroup: true)
                    return process
                }
            }
            await ProcessGroup.vanish(result.closureResult)
            outbox.finish()
            end(result.terminationStatus, deliver)
        } catch {
            outbox.finish()
            deliver(.closed(MCPError(.cannotStart, "the MCP server \(name) cannot be started: \(reason(error))")))
        }
    }

    private func reason(_ error: any Error) -> String {
        access(command.folder, X_OK) == 0
            ? Printable.text("\(error)", limit: 200) : "the folder it shall run in is not there"
    }

    private func end(_ status: TerminationStatus, _ deliver: (TransportEvent) -> Void) {
        let (verdict, isClosing) = state.withLock { ($0.verdict, $0.isClosing) }
        if isClosing { return }
        if let verdict { return deliver(.closed(verdict)) }
        let words = lastWords
        let how: String
        switch status {
        case .exited(126), .exited(127):
            let program = Printable.text(command.program, limit: 200)
            let message =
                "the MCP server \(name) cannot be started: there is no program \"\(program)\" on PATH that can be run; "
                + "install it, or name it with its whole path"
            // What the shell says of it says no more.
            return deliver(.closed(MCPError(.cannotStart, message)))
        case .exited(let code): how = "exit code \(code)"
        case .signaled(let signal): how = "signal \(signal)"
        }
        deliver(.closed(MCPError(.ended, "the MCP server \(name) has ended by itself (\(how))", lastWords: words)))
    }

    private func write(to writer: StandardInputWriter) async {
        for await line in input {
            // Whole, however full the pipe is; it fails only when nobody reads any more, which the output tells too.
            guard (try? await writer.write(Array(line.readableBytesView))) != nil else { break }
        }
        try? await writer.finish()
    }

    private func readWords(_ output: SubprocessOutputSequence) async {
        do {
            for try await buffer in output {
                buffer.withUnsafeBytes { bytes in state.withLock { _ = $0.words.take(bytes) } }
            }
        } catch {}
        state.withLock { _ = $0.words.finish() }
    }

    private func readMessages(
        _ output: SubprocessOutputSequence, _ deliver: @Sendable (TransportEvent) -> Void
    ) async {
        var lines = LineCutter(limit: limits.message)
        do {
            for try await buffer in output {
                let isWithin = buffer.withUnsafeBytes { lines.take($0) }
                while let line = lines.next() {
                    guard take(line, deliver) else { return }
                }
                guard isWithin else {
                    state.withLock {
                        $0.verdict = MCPError(
                            .tooLarge,
                            "the MCP server \(name) writes a line of more than \(limits.message >> 20) MiB: it was ended"
                        )
                    }
                    return
                }
            }
        } catch {}
    }

    private func told(_ words: OutputTail) -> [String] {
        words.all.suffix(limits.lastWords).map(command.withoutSecrets)
    }

    /// False when it has written too much that is no message.
    private func take(_ line: ByteBuffer, _ deliver: (TransportEvent) -> Void) -> Bool {
        if let messages = RPCMessage.all(in: line) {
            for message in messages { deliver(.message(message)) }
            return true
        }
        let beginning = line.getSlice(at: 0, length: min(line.readableBytes, 400)) ?? line
        let text = Printable.text(command.withoutSecrets(String(buffer: beginning)), limit: 80)
        if text.allSatisfy({ $0 == " " }) { return true }
        // Whoever waits for what this was to be would wait in vain.
        let isBrokenMessage = text.hasPrefix("{") && text.contains("\"jsonrpc\"")
        return state.withLock { state in
            state.strange = (isBrokenMessage ? nil : state.strange) ?? text
            state.strangeLines += 1
            guard isBrokenMessage || state.strangeLines > limits.strangeLines else { return true }
            state.verdict = MCPError(
                .badReply,
                "the MCP server \(name) writes what is no message of MCP to its standard output, such as "
                    + "\"\(state.strange ?? "")\": it was ended",
                lastWords: told(state.words))
            return false
        }
    }

    /// The shell becomes the program (`exec`), so its process, exit status and signals are the program's own. The part in
    /// parentheses stays behind: it hands the program's input on, through a pipe with a name for a moment, and is the guard of
    /// the group. When this process dies, also by SIGKILL, or closes that input, it gives the program the grace (`$0`, in
    /// seconds) to end by itself, sends SIGTERM, and after the grace again SIGKILL. It ignores SIGTERM so that it is still
    /// there to do so.
    private static let script = """
        folder=$(mktemp -d) && mkfifo "$folder/input" || exit 125
        wait_for_end() {
            left=$0
            while [ "$left" -gt 0 ] && kill -0 $$; do sleep 1; left=$((left - 1)); done
        }
        exec 3<&0
        (
            trap '' TERM INT HUP
            cat <&3 >"$folder/input"
            exec 3<&-
            wait_for_end
            kill -TERM 0
            wait_for_end
            kill -KILL 0
        ) </dev/null >/dev/null 2>&1 &
        exec 3<&- <"$folder/input"
        rm -r "$folder"
        exec "$@"
        """

    private static func guarded(_ command: StdioCommand, grace: Duration) -> [String] {
        ["-c", script, String(max(1, grace.components.seconds)), command.program] + command.arguments
    }
}
