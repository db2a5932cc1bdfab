#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif
import Logging
import MartletEngine
import MartletProcess
import MartletTestSupport
import Testing

/// A supervisor over fake engines, with models of its own, run in a task.
final class Supervised: Sendable {
    let scratch = Scratch()
    let supervisor: Supervisor
    let launches = Box(0)
    private let task: Task<Void, Never>

    init(
        fake behaviour: String = "", models: [String] = ["alpha", "beta"],
        probe: @escaping LlamaServer.Prober = SocketClient.probe,
        measure: @escaping Supervisor.Measure = { _ in nil },
        lines: Box<[EngineLine]>? = nil,
        change: (inout EngineSettings) -> Void = { _ in },
        binary: Supervisor.BinarySource? = nil
    ) throws {
        for model in models {
            let path = try scratch.file("models/pub/\(model)-GGUF/\(model)-Q4_0.gguf")
            try GGUFWriter.model("llama").write(to: path)
        }
        var settings = EngineSettings()
        settings.load.parallel = 2
        settings.grace = .milliseconds(500)
        settings.loadTimeout = .seconds(120)
        settings.extra = behaviour.isEmpty ? [] : ["--fake", behaviour]
        change(&settings)
        let launches = self.launches
        let counting: Supervisor.BinarySource = { () async throws(EngineError) in
            launches.change { $0 += 1 }
            if let binary { return try await binary() }
            return Fixture.fakeEngine()
        }
        let supervisor = Supervisor(
            store: ModelStore(root: "\(scratch.path)/models"), binary: counting, home: scratch.path, settings: settings,
            probe: probe, measure: measure,
            onLine: { line in
                if let lines, let line = line() { lines.change { $0.append(line) } }
            },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        self.supervisor = supervisor
        task = Task { await supervisor.run() }
    }

    /// A test that gave up leaves no engine behind.
    deinit { task.cancel() }

    /// Ends the service and waits for it.
    func stop() async {
        task.cancel()
        await task.value
    }

    func ready(_ model: String) async -> Result<String, EngineError> {
        await acquire(model).map(\.socketPath)
    }

    func acquire(_ model: String, _ settings: LoadSettings = LoadSettings()) async -> Result<Lease, EngineError> {
        do throws(EngineError) {
            return .success(try await supervisor.acquire(model, settings: settings))
        } catch {
            return .failure(error)
        }
    }

    var process: Int32? { get async { await supervisor.residents().first?.process } }
}

extension Result where Failure == EngineError {
    var error: EngineError? { if case .failure(let error) = self { error } else { nil } }
}

@Suite("The supervisor keeps one engine per model")
struct SupervisorTests {
    @Test("Requests for one model share one engine; another model gets its own; all end with the service")
    func shares() async throws {
        let supervised = try Supervised()
        let paths = await withTaskGroup(of: Result<String, EngineError>.self) { group in
            for _ in 0..<8 { group.addTask { await supervised.ready("alpha") } }
            return await group.reduce(into: Set<String>()) { $0.insert((try? $1.get()) ?? "failed") }
        }
        #expect(paths.count == 1)
        let alpha = try #require(paths.first)
        let beta = try await supervised.ready("pub/beta").get()
        #expect(alpha != beta)
        #expect(SocketClient.request(alpha, "/x")?.status == 200)
        let residents = await supervised.supervisor.residents()
        #expect(residents.map(\.model.id) == ["alpha", "beta"])
        #expect(residents.allSatisfy { $0.state == .ready })
        let processes = try residents.map { try #require($0.process) }
        await supervised.stop()
        for process in processes { #expect(!ProcessGroup.isAlive(process)) }
        #expect(await supervised.supervisor.residents().isEmpty)
        #expect(!FileManager.default.fileExists(atPath: String(alpha.dropLast("/1.sock".count))))
        #expect(await supervised.ready("alpha").error?.code == .cancelled)
    }

    @Test("The sockets' folder is private to this user")
    func privateFolder() async throws {
        let supervised = try Supervised()
        let path = try await supervised.ready("alpha").get()
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
        var status = stat()
        #expect(stat(folder, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o700)
        #expect(status.st_uid == getuid())
        #expect(path.utf8.count <= SocketFolder.pathLimit)
        await supervised.stop()
    }

    @Test("A model that is not installed is refused by name, with those that are")
    func unknownModel() async throws {
        let supervised = try Supervised()
        let error = try #require(await supervised.ready("gamma").error)
        #expect(error.code == .noSuchModel)
        #expect(error.message == "model \"gamma\" is not installed; installed: alpha, beta.")
        await supervised.stop()
    }

    @Test("A model whose file is gone is served no longer, and the next that has its name is another")
    func removed() async throws {
        let supervised = try Supervised()
        let first = try await supervised.acquire("alpha").get()
        let models = "\(supervised.scratch.path)/models"
        try FileManager.default.removeItem(atPath: "\(models)/pub/alpha-GGUF")
        #expect(await supervised.ready("alpha").error?.code == .noSuchModel)
        try GGUFWriter.model("llama").write(to: supervised.scratch.file("models/other/alpha/a-Q8_0.gguf"))
        let second = try await supervised.acquire("alpha").get()
        #expect(second.socketPath != first.socketPath)
        let residents = await supervised.supervisor.residents()
        #expect(residents.first { $0.socketPath == second.socketPath }?.model.publisher == "other")
        // Who was being served by the one that is gone is served to the end.
        #expect(SocketClient.request(first.socketPath, "/x")?.status == 200)
        await supervised.supervisor.release(socketPath: first.socketPath)
        try await eventually("it is unloaded") { await supervised.supervisor.residents().count == 1 }
        await supervised.stop()
    }

    @Test("Whoever reads along is told what the engines say, and of which instance")
    func lines() async throws {
        let lines = Box<[EngineLine]>([])
        let supervised = try Supervised(lines: lines)
        _ = try await supervised.ready("alpha").get()
        #expect(
            lines.value.contains {
                $0.instance == "alpha" && $0.version == "1 (fake)" && $0.text.hasPrefix("listening")
            })
        await supervised.stop()
    }

    @Test("When the last request that waits is cancelled the load is stopped; a later request starts anew")
    func cancelledLoad() async throws {
        let supervised = try Supervised(fake: "slow-load")
        let first = Task { await supervised.ready("alpha") }
        let second = Task { await supervised.ready("alpha") }
        try await eventually("it loads, and both wait") {
            let resident = await supervised.supervisor.residents().first
            return resident?.process != nil && resident?.waiting == 2
        }
        let process = try #require(await supervised.process)
        first.cancel()
        #expect(await first.value.error?.code == .cancelled)
        #expect(ProcessGroup.isAlive(process))
        second.cancel()
        #expect(await second.value.error?.code == .cancelled)
        try await eventually("the load is gone") { await supervised.supervisor.residents().isEmpty }
        #expect(!ProcessGroup.isAlive(process))
        let third = Task { await supervised.ready("alpha") }
        try await eventually("it loads again") { await supervised.process != nil }
        let socket = try #require(await supervised.supervisor.residents().first?.socketPath)
        try Data().write(to: URL(filePath: socket + ".go"))
        #expect(try await third.value.get() == socket)
        await supervised.stop()
    }

    @Test("A crash is remembered with its last words, and the next request starts a new engine")
    func crash() async throws {
        let supervised = try Supervised(fake: "exit-on-request")
        let path = try await supervised.ready("alpha").get()
        #expect(SocketClient.request(path, "/boom") == nil)
        try await eventually("the crash is noticed") { await supervised.supervisor.residents().isEmpty }
        let failure = try #require(await supervised.supervisor.lastWords(at: path))
        #expect(failure.code == .exited)
        #expect(failure.logTail.last?.contains("gives up") == true)
        let again = try await supervised.ready("alpha").get()
        #expect(again != path)
        #expect(await supervised.supervisor.lastWords(at: again) == nil)
        await supervised.stop()
    }

    @Test("The end of one instance is no news to whoever uses another of the same model")
    func crashOfAnother() async throws {
        let supervised = try Supervised(fake: "exit-on-request")
        let path = try await supervised.ready("alpha").get()
        #expect(try await supervised.supervisor.load("alpha") == "alpha:2")
        let other = try #require(await supervised.supervisor.residents().last?.socketPath)
        #expect(SocketClient.request(other, "/boom") == nil)
        try await eventually("the crash is noticed") {
            await supervised.supervisor.residents().map(\.state) == [.ready, .crashed]
        }
        #expect(await supervised.supervisor.lastWords(at: other)?.code == .exited)
        #expect(await supervised.supervisor.lastWords(at: path) == nil)
        await supervised.stop()
    }

    @Test("Who only asks an engine something is counted as a user, and loads nothing")
    func borrowed() async throws {
        let supervised = try Supervised()
        #expect(await supervised.supervisor.borrow("alpha") == nil)
        #expect(await supervised.supervisor.residents().isEmpty)
        let lease = try await supervised.acquire("alpha").get()
        #expect(await supervised.supervisor.borrow("alpha") == lease)
        #expect(await supervised.supervisor.residents().first?.users == 2)
        await supervised.supervisor.release(socketPath: lease.socketPath)
        await supervised.supervisor.release(socketPath: lease.socketPath)
        #expect(await supervised.supervisor.residents().first?.users == 0)
        await supervised.stop()
    }

    @Test("Whoever loses a connection gets the engine's last words, at once when it lives")
    func lastWords() async throws {
        let supervised = try Supervised()
        let path = try await supervised.ready("alpha").get()
        #expect(await supervised.supervisor.lastWords(at: path) == nil, "it answers")
        kill(try #require(await supervised.process), SIGKILL)
        try await eventually("connections break") { SocketClient.request(path, "/health") == nil }
        #expect(await supervised.supervisor.lastWords(at: path)?.code == .exited)
        #expect(await supervised.supervisor.lastWords(at: path)?.message.contains("signal 9") == true)
        let again = try await supervised.ready("alpha").get()
        await supervised.supervisor.unload("alpha", .now)
        let cutOff = await supervised.supervisor.lastWords(at: again)
        #expect(cutOff?.message == "alpha was unloaded before its reply was complete.")
        try await eventually("it is gone") { await supervised.supervisor.residents().isEmpty }
        #expect(await supervised.supervisor.lastWords(at: again) == cutOff)
        let idle = try await supervised.ready("alpha").get()
        await supervised.supervisor.release(socketPath: idle)
        await supervised.supervisor.unload("alpha", .now)
        #expect(await supervised.supervisor.lastWords(at: idle) == nil, "nobody used it")
        await supervised.stop()
    }

    @Test("An engine killed from outside is noticed and started anew by the next request")
    func killedFromOutside() async throws {
        let supervised = try Supervised()
        let path = try await supervised.ready("alpha").get()
        let process = try #require(await supervised.process)
        kill(process, SIGKILL)
        try await eventually("noticed") { await supervised.supervisor.residents().isEmpty }
        #expect(await supervised.supervisor.lastWords(at: path)?.message.contains("signal 9") == true)
        _ = try await supervised.ready("alpha").get()
        #expect(try #require(await supervised.process) != process)
        await supervised.stop()
    }

    @Test("An engine that cannot load refuses everyone who waited, and after the second time says when to come back")
    func loadFails() async throws {
        let supervised = try Supervised(fake: "exit-on-load")
        #expect(await supervised.ready("alpha").error?.code == .loadFailed)
        #expect(await supervised.ready("alpha").error?.code == .loadFailed)
        let error = try #require(await supervised.ready("alpha").error)
        #expect(error.code == .backingOff)
        #expect(error.message.contains("cannot read"))
        #expect(error.retryAfter != nil)
        await supervised.stop()
    }

    @Test("Without an engine the request says how to get one, and finds it once it is there")
    func notInstalled() async throws {
        let installed = Box(false)
        let supervised = try Supervised(binary: { () async throws(EngineError) in
            guard installed.value else { throw EngineError(.notInstalled, "Get one with: martlet engine install") }
            return Fixture.fakeEngine()
        })
        for _ in 0..<3 { #expect(await supervised.ready("alpha").error?.code == .notInstalled) }
        installed.change { $0 = true }
        _ = try await supervised.ready("alpha").get()
        #expect(supervised.launches.value == 4)
        _ = try await supervised.ready("beta").get()
        #expect(supervised.launches.value == 4)
        await supervised.stop()
    }

    @Test("Unloading ends the engine; a request that comes meanwhile gets the next one")
    func unloads() async throws {
        let supervised = try Supervised(fake: "ignore-term")
        let path = try await supervised.ready("alpha").get()
        let process = try #require(await supervised.process)
        await supervised.supervisor.unload("alpha", .now)
        #expect(await supervised.supervisor.residents().first?.state == .stopping)
        let again = try await supervised.ready("alpha").get()
        #expect(again != path)
        #expect(!ProcessGroup.isAlive(process))
        await supervised.stop()
    }

    @Test("Stopping the service during a load refuses the request and leaves no process")
    func stopsWhileLoading() async throws {
        let supervised = try Supervised(fake: "slow-load,ignore-term,grandchild")
        let request = Task { await supervised.ready("alpha") }
        try await eventually("it loads") { await supervised.process != nil }
        let process = try #require(await supervised.process)
        await supervised.stop()
        #expect(await request.value.error?.code == .cancelled)
        #expect(!ProcessGroup.isAlive(process))
    }

    @Test("gateways that start at the same moment do not take each other's folders for a dead one's")
    func startingTogether() async throws {
        let scratch = Scratch()
        let home = scratch.path
        let lost = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var lost = 0
                    for _ in 0..<150 {
                        guard let folder = try? SocketFolder(home: home, environment: ["TMPDIR": home]),
                            folder.path.hasPrefix("\(home)/run/"), FileManager.default.fileExists(atPath: folder.path)
                        else {
                            lost += 1
                            continue
                        }
                    }
                    return lost
                }
            }
            return await group.reduce(0, +)
        }
        #expect(lost == 0)
    }

    @Test("Folders of dead gateways are removed, those of living ones stay")
    func leftovers() async throws {
        let scratch = Scratch()
        try scratch.file("run/martlet-1-dead/lock")
        try scratch.file("run/martlet-1-dead/1.sock")
        try scratch.file("run/other/lock")
        let living = try SocketFolder(home: scratch.path, environment: [:])
        let second = try SocketFolder(home: scratch.path, environment: [:])
        #expect(living.path != second.path)
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/run").sorted()
        #expect(names.contains("other"))
        #expect(!names.contains("martlet-1-dead"))
        #expect(names.count == 3)
    }

    @Test("Where home is too deep for a socket's path a short folder is taken")
    func deepHome() throws {
        let scratch = Scratch()
        let home = scratch.path + "/" + Array(repeating: "a-rather-long-name", count: 6).joined(separator: "/")
        let folder = try SocketFolder(home: home, environment: ["TMPDIR": scratch.path])
        #expect(folder.path.hasPrefix(scratch.path + "/martlet-"))
        #expect(folder.socketPath(.max).utf8.count <= SocketFolder.pathLimit)
    }
}
