import MartletProcess
import Subprocess
import Synchronization

/// Runs one program in a process group of its own and returns when every process of that group is gone.
///
/// A guard lives in the same group: a shell that waits on a pipe whose other end only this process holds. When this
/// process dies, also by SIGKILL, the pipe closes and the guard ends the group: SIGTERM, the grace, SIGKILL.
package enum ChildProcess {
    /// What to run. Arguments are an array and reach the program as they are; nothing is read as shell text.
    package struct Command: Sendable {
        /// A path, or a name to be looked up in `PATH`.
        package var executable: String
        package var arguments: [String]
        /// The whole environment; nil inherits this process's.
        package var environment: [String: String]?
        /// Between SIGTERM and SIGKILL, both sent to the whole group.
        package var grace: Duration
        /// Its standard input ends when this process does, and has nothing in it until then. Else it is empty.
        package var holdsInput: Bool

        package init(
            _ executable: String, _ arguments: [String] = [], environment: [String: String]? = nil,
            grace: Duration = .seconds(2), holdsInput: Bool = false
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.grace = grace
            self.holdsInput = holdsInput
        }
    }

    package enum End: Sendable, Hashable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        package var description: String {
            switch self {
            case .code(let code): "exit code \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    package struct Outcome<Value: Sendable>: Sendable {
        package var end: End
        /// What the body returned; nil when the process ended, or the caller was cancelled, before it did.
        package var value: Value?
        /// The last lines of standard output and standard error together.
        package var tail: [String]
    }

    /// Runs the command for as long as it lives and `body` has not returned, then takes down what is left.
    ///
    /// A program that closes both its output streams counts as ending, and has the grace to do so.
    ///
    /// Cancelling the caller takes the group down too; this still returns only after the last process is gone.
    /// - Parameters:
    ///   - onLine: called for each line of either stream, in order.
    ///   - body: runs beside the process and is cancelled when it ends.
    /// - Throws: `launchFailed` when the program cannot be started. Any exit code is a result.
    package static func run<Value: Sendable>(
        _ command: Command,
        onLine: @escaping @Sendable (String) -> Void = { _ in },
        while body: @escaping @Sendable (_ process: Int32) async -> Value
    ) async throws(EngineError) -> Outcome<Value> {
        let stop = StopSignal()
        // Not structured in form, but awaited: taking the group down has to go on when the caller is cancelled.
        let task = Task { await perform(command, stop: stop, onLine: onLine, body: body) }
        return try await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            stop.fire()
        }.get()
    }

    private static func perform<Value: Sendable>(
        _ command: Command, stop: StopSignal,
        onLine: @escaping @Sendable (String) -> Void,
        body: @escaping @Sendable (Int32) async -> Value
    ) async -> Result<Outcome<Value>, EngineError> {
        let tail = TailBox()
        var options = PlatformOptions()
        options.createSession = true
        let takeDown = TeardownStep.gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: command.grace)
        options.teardownSequence = [takeDown]
        let ended = Flag()
        do {
            let result = try await Subprocess.run(
                .name("sh"),
                arguments: Arguments(guarded(command)),
                environment: environment(command),
                platformOptions: options,
                input: .inputWriter,
                output: .sequence,
                error: .combinedWithOutput
            ) { execution in
                let process = execution.processIdentifier.value
                return await withTaskGroup(of: Void.self, returning: (Value?, Int32).self) { group in
                    group.addTask {
                        await drain(execution.standardOutput, into: tail, onLine: onLine)
                        ended.raise()
                        stop.fire()
                    }
                    let value = await first(of: body, process: process, or: stop)
                    // Programs close their output a moment before they end (GNU tar does it explicitly), so the end of
                    // the output is waited out, with a signal that does nothing, before
                    // one that changes the exit status.
                    let wait = TeardownStep.send(
                        signal: Signal(rawValue: 0), allowedDurationToNextStep: command.grace)
                    await execution.teardown(using: ended.isRaised ? [wait, takeDown] : [takeDown])
                    // The leader is dead but not yet collected, so its number still names this group and no other.
                    try? execution.send(signal: .kill, toProcessGroup: true)
                    return (value, process)
                }
            }
            await ProcessGroup.vanish(result.closureResult.1)
            return .success(
                Outcome(end: end(result.terminationStatus), value: result.closureResult.0, tail: tail.lines))
        } catch {
            return .failure(
                EngineError(
                    .launchFailed,
                    EngineLog.withoutFolders("\(name(of: command)) could not be started: \(error)"),
                    logTail: tail.lines.map(EngineLog.withoutFolders)))
        }
    }

    private static func first<Value: Sendable>(
        of body: @escaping @Sendable (Int32) async -> Value, process: Int32, or stop: StopSignal
    ) async -> Value? {
        await withTaskGroup(of: Value?.self) { group in
            group.addTask { await body(process) }
            group.addTask {
                await stop.wait()
                return nil
            }
            let value = await group.next() ?? nil
            group.cancelAll()
            return value
        }
    }

    private static func drain(
        _ output: SubprocessOutputSequence, into tail: TailBox, onLine: @Sendable (String) -> Void
    ) async {
        do {
            for try await buffer in output {
                for line in buffer.withUnsafeBytes({ tail.take($0) }) { onLine(line) }
            }
        } catch {
            onLine("(its output could not be read any further: \(error))")
        }
        for line in tail.finish() { onLine(line) }
    }

    private static func end(_ status: TerminationStatus) -> End {
        switch status {
        case .exited(let code): .code(code)
        case .signaled(let signal): .signal(signal)
        }
    }

    private static func environment(_ command: Command) -> Environment {
        guard let environment = command.environment else { return .inherit }
        return .custom(
            Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) }))
    }

    private static func name(of command: Command) -> String {
        command.executable.split(separator: "/").last.map(String.init) ?? command.executable
    }

    /// The shell becomes the program (`exec`), so its process, exit status and signals are the program's own; the part
    /// in parentheses stays behind as the guard. It ignores SIGTERM so that it is still there to send SIGKILL, which it
    /// does when the program (`$$`, also in here) is gone or the grace (`$0`, in seconds) is over.
    private static let script = """
        exec 3<&0
        (
            exec </dev/null
            trap '' TERM INT HUP
            while IFS= read -r line <&3; do :; done
            kill -TERM 0
            left=$0
            while [ "$left" -gt 0 ] && kill -0 $$; do sleep 1; left=$((left - 1)); done
            kill -KILL 0
        ) >/dev/null 2>&1 &
        exec 3<&-

        """

    /// The arguments of the shell that runs the command under guard.
    package static func guarded(_ command: Command) -> [String] {
        let seconds = max(1, command.grace.components.seconds)
        let last = command.holdsInput ? "exec \"$@\"" : "exec \"$@\" </dev/null"
        return ["-c", script + last, String(seconds), command.executable] + command.arguments
    }
}

/// A tail that the reading task writes and the result reads.
private final class TailBox: Sendable {
    private let tail = Mutex(OutputTail())

    func take(_ bytes: UnsafeRawBufferPointer) -> [String] { tail.withLock { $0.take(bytes) } }
    func finish() -> [String] { tail.withLock { $0.finish() } }
    var lines: [String] { tail.withLock { $0.all } }
}
