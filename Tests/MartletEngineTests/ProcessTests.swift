#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif
import MartletEngine
import MartletProcess
import Testing

@Suite("A child process and everything it started")
struct ProcessTests {
    private func forever(_ process: Int32) async -> Bool {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(60)) }
        return false
    }

    @Test("An exit code is a result and both streams are kept")
    func exitCode() async throws {
        let outcome = try await ChildProcess.run(
            .init("sh", ["-c", "echo one; echo two >&2; printf three; exit 5"]), while: forever)
        #expect(outcome.end == .code(5))
        #expect(outcome.value == nil)
        #expect(outcome.tail == ["one", "two", "three"])
    }

    @Test("Arguments reach the program as they are")
    func arguments() async throws {
        let odd = ["a b", "$(id)", "`id`", "'\"", "*", "", "-n", "ä\n"]
        let outcome = try await ChildProcess.run(
            .init("python3", ["-c", "import sys; print(ascii(sys.argv[1:]))"] + odd), while: forever)
        #expect(outcome.tail == ["['a b', '$(id)', '`id`', '\\'\"', '*', '', '-n', '\\xe4\\n']"])
    }

    @Test("Standard input is empty and no variable but the given ones is seen")
    func environment() async throws {
        let outcome = try await ChildProcess.run(
            .init("sh", ["-c", "cat; echo $MARK-$HOME"], environment: ["MARK": "here", "PATH": "/usr/bin:/bin"]),
            while: forever)
        #expect(outcome.tail == ["here-"])
    }

    @Test("Standard input that is held has nothing in it and does not end while the program runs")
    func heldInput() async throws {
        let outcome = try await ChildProcess.run(
            .init("sh", ["-c", "read -r line && echo $line; echo ended"], grace: .seconds(1), holdsInput: true)
        ) { _ in
            try? await Task.sleep(for: .milliseconds(300))
            return true
        }
        #expect(outcome.value == true)
        #expect(outcome.tail == [], "it still read when it was taken down")
    }

    @Test("A program that closes its output before it ends keeps its exit code; one that does not end is taken down")
    func closesOutput() async throws {
        let closing = "exec >&- 2>&-; sleep 0.3; exit 6"
        let outcome = try await ChildProcess.run(.init("sh", ["-c", closing], grace: .seconds(30)), while: forever)
        #expect(outcome.end == .code(6))
        let staying = try await ChildProcess.run(
            .init("sh", ["-c", "exec >&- 2>&-; exec sleep 600"], grace: .milliseconds(200)), while: forever)
        #expect(staying.end == .signal(SIGTERM))
    }

    @Test("A program that does not exist is exit code 127")
    func missing() async throws {
        let outcome = try await ChildProcess.run(.init("no-such-program-at-all"), while: forever)
        #expect(outcome.end == .code(127))
        #expect(outcome.tail.contains { $0.contains("no-such-program-at-all") })
    }

    @Test("When the body returns, SIGTERM is enough for a program that heeds it")
    func polite() async throws {
        let process = Box<Int32>(0)
        let outcome = try await ChildProcess.run(
            .init("sh", ["-c", "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.05; done"]),
            onLine: { if $0 == "up" { process.change { $0 += 1 } } },
            while: { pid in
                try? await eventually("the program is up") { process.value == 1 }
                return pid
            })
        #expect(outcome.end == .code(9))
        #expect(outcome.tail.first == "up")
        #expect(outcome.tail.last == "bye")
        #expect(!ProcessGroup.isAlive(try #require(outcome.value)))
    }

    @Test("A program that ignores SIGTERM is killed after the grace, with its children")
    func stubborn() async throws {
        let lines = Box<[String]>([])
        let script = "trap '' TERM; (trap '' TERM; echo child; exec sleep 600) & echo up; while :; do sleep 60; done"
        let outcome = try await ChildProcess.run(
            .init("sh", ["-c", script], grace: .milliseconds(300)),
            onLine: { line in lines.change { $0.append(line) } },
            while: { pid in
                try? await eventually("both are up") { lines.value.count == 2 }
                return pid
            })
        #expect(outcome.end == .signal(SIGKILL))
        #expect(!ProcessGroup.isAlive(try #require(outcome.value)))
    }

    @Test("A child that a program leaves behind goes with it")
    func grandchild() async throws {
        let group = Box<Int32>(0)
        let outcome = try await ChildProcess.run(
            .init("sh", ["-c", "(trap '' TERM; exec sleep 600) & exit 0"]),
            while: { pid in
                group.change { $0 = pid }
                return await forever(pid)
            })
        #expect(outcome.end == .code(0))
        #expect(group.value > 0)
        #expect(!ProcessGroup.isAlive(group.value))
    }

    @Test("Cancelling the caller ends the process, and the caller returns only then")
    func cancelled() async throws {
        let group = Box<Int32>(0)
        let isDeaf = Box(false)
        let task = Task {
            try await ChildProcess.run(
                .init(
                    "sh", ["-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"], grace: .milliseconds(200)),
                onLine: { _ in isDeaf.change { $0 = true } },
                while: { pid in
                    group.change { $0 = pid }
                    return await forever(pid)
                })
        }
        try await eventually("it runs") { group.value > 0 && isDeaf.value }
        task.cancel()
        let outcome = try await task.value
        #expect(outcome.end == .signal(SIGKILL))
        #expect(!ProcessGroup.isAlive(group.value))
    }

    @Test("When the one who started it is killed with SIGKILL, the program and its children end too")
    func parentKilled() async throws {
        // A parent in between holds the pipe as a gateway does; it is killed as an impatient person would.
        let guarded = ChildProcess.guarded(
            .init("sh", ["-c", "(trap '' TERM; exec sleep 601) & echo engine $$; trap '' TERM; sleep 602"]))
        let parent = """
            import subprocess, sys, time
            subprocess.Popen(["/bin/sh"] + sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
            time.sleep(600)
            """
        let engine = Box<Int32>(0)
        let outcome = try await ChildProcess.run(
            .init("python3", ["-c", parent] + guarded),
            onLine: { line in
                if let pid = Int32(line.split(separator: " ").last ?? ""), line.hasPrefix("engine") {
                    engine.change { $0 = pid }
                }
            },
            while: { parent in
                try? await eventually("the engine runs") { engine.value > 0 }
                #expect(ProcessGroup.isAlive(engine.value))
                kill(parent, SIGKILL)
                try? await eventually("engine and grandchild are gone") { !ProcessGroup.isAlive(engine.value) }
                return true
            })
        #expect(outcome.end == .signal(SIGKILL))
    }

    @Test("Any cut of the output gives the same lines", arguments: [1, 2, 3, 7, 64])
    func tailCuts(size: Int) {
        let text =
            "first\nsecond line\r\n\u{1B}[31mred\u{1B}[0m\ttab\n\n" + String(repeating: "ä", count: 400) + "\nlast"
        let bytes = Array(text.utf8)
        var tail = OutputTail()
        var lines: [String] = []
        var index = 0
        while index < bytes.count {
            lines += tail.take(bytes[index..<min(index + size, bytes.count)])
            index += size
        }
        lines += tail.finish()
        #expect(lines == tail.all)
        #expect(lines == ["first", "second line", "red tab", String(repeating: "ä", count: 250), "last"])
    }

    @Test("However much is printed, the tail stays bounded and keeps the end")
    func tailBound() {
        var tail = OutputTail()
        for number in 0..<10_000 { tail.take(Array("line \(number) \(String(repeating: "x", count: 900))\n".utf8)) }
        #expect(tail.all.count == OutputTail.lines)
        #expect(tail.all.allSatisfy { $0.utf8.count <= OutputTail.lineBytes })
        #expect(tail.all.last?.hasPrefix("line 9999 ") == true)
    }
}
