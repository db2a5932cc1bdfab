import MartletEngine
import MartletTestSupport
import Testing

@Suite("The supervisor shares memory out, counts users and lets idle models go")
struct SupervisorResidencyTests {
    /// What one of the models takes with this context.
    private static func size() throws -> Int64 {
        var load = MemoryEstimate.Load(context: 4096)
        (load.slots, load.batch) = (2, 256)
        return MemoryEstimate(try Scratch().facts(.model("llama")), load).total
    }

    private func supervised(
        fake: String = "", models: Double = 1.5, measure: @escaping Supervisor.Measure = { _ in nil },
        change: (inout EngineSettings) -> Void = { _ in }
    ) throws -> Supervised {
        let budget = Int64(Double(try Self.size()) * models)
        return try Supervised(fake: fake, measure: measure) {
            $0.memory = .bytes(budget)
            $0.load.context = .tokens(4096)
            $0.limits.stay = .zero
            change(&$0)
        }
    }

    @Test("Where there is room for one, the second model gets in when the first is idle, and not before")
    func evicts() async throws {
        let supervised = try supervised()
        let alpha = try await supervised.acquire("alpha").get()
        #expect(SocketClient.request(alpha.socketPath, "/x")?.status == 200)
        let waiting = Task { await supervised.acquire("beta") }
        try await eventually("alpha is drained") {
            await supervised.supervisor.residents().first?.state == .draining
        }
        #expect(SocketClient.request(alpha.socketPath, "/x")?.status == 200, "what runs is not cut off")
        await supervised.supervisor.release(socketPath: alpha.socketPath)
        let beta = try await waiting.value.get()
        #expect(SocketClient.request(beta.socketPath, "/x")?.status == 200)
        #expect(SocketClient.request(alpha.socketPath, "/x") == nil)
        #expect(await supervised.supervisor.residents().map(\.instance) == ["beta"])
        await supervised.stop()
    }

    @Test("A client that leaves while its model waits for room loads nothing, and the other goes on")
    func leaves() async throws {
        let supervised = try supervised()
        _ = try await supervised.acquire("alpha").get()
        let waiting = Task { await supervised.acquire("beta") }
        try await eventually("alpha is drained") {
            await supervised.supervisor.residents().first?.state == .draining
        }
        waiting.cancel()
        #expect(await waiting.value.error?.code == .cancelled)
        try await eventually("alpha goes on") { await supervised.supervisor.residents().first?.state == .ready }
        #expect(await supervised.supervisor.residents().count == 1)
        await supervised.stop()
    }

    @Test("It reports users, bytes, settings with their origins, and idle time")
    func reports() async throws {
        let supervised = try supervised(measure: { _ in 1 << 40 }) {
            $0.ofModel = { model in
                var own = LoadSettings()
                own.threads = 2
                return model == "alpha" ? own : nil
            }
        }
        let lease = try await supervised.acquire("alpha").get()
        _ = try await supervised.acquire("alpha").get()
        let busy = try #require(await supervised.supervisor.residents().first)
        #expect(busy.instance == "alpha" && busy.users == 2 && busy.idle == nil && !busy.isExplicit)
        #expect(busy.load.threads == Chosen(2, .modelSettings))
        #expect(busy.load.context == Chosen(.tokens(4096), .configuration) && busy.context == 4096)
        #expect(busy.bytes == 1 << 40 && busy.measured == 1 << 40)
        for _ in 0..<2 { await supervised.supervisor.release(socketPath: lease.socketPath) }
        let idle = try #require(await supervised.supervisor.residents().first)
        #expect(idle.users == 0 && idle.idle != nil)
        #expect(await supervised.acquire("beta").error?.code == nil, "alpha has to go for it, whatever it takes")
        await supervised.stop()
    }

    @Test("A model goes by itself when it has been idle for as long as the request that loaded it said")
    func ttl() async throws {
        let supervised = try supervised(models: 3)
        var settings = LoadSettings()
        settings.keepAlive = .idle(.milliseconds(50))
        let alpha = try await supervised.acquire("alpha", settings).get()
        let beta = try await supervised.acquire("beta").get()
        await supervised.supervisor.release(socketPath: beta.socketPath)
        await supervised.supervisor.release(socketPath: alpha.socketPath)
        try await eventually("alpha is gone") {
            await supervised.supervisor.residents().map(\.instance) == ["beta"]
        }
        await supervised.stop()
    }

    @Test("Explicit loads make instances with names of their own, which stay, and are unloaded by name or by model")
    func instances() async throws {
        // A TTL of the configuration is about models that come by themselves.
        var own = LoadSettings()
        own.keepAlive = .idle(.seconds(3))
        let supervised = try supervised(models: 3.5, change: { [own] in $0.ofModel = { _ in own } })
        let supervisor = supervised.supervisor
        #expect(try await supervisor.load("alpha") == "alpha")
        #expect(await supervisor.residents().map(\.load.keepAlive) == [Chosen(.always, .builtIn)])
        #expect(try await supervisor.load("alpha") == "alpha:2")
        #expect(try await supervisor.load("alpha", as: "mine") == "mine")
        let taken = await Result { () async throws(EngineError) in try await supervisor.load("alpha", as: "mine") }
        #expect(taken.error?.code == .nameTaken)
        let foreign = await Result { () async throws(EngineError) in try await supervisor.load("alpha", as: "beta") }
        #expect(foreign.error?.code == .nameTaken)
        #expect(try await supervised.acquire("mine").get().instance == "mine")
        let refused = try #require(await supervised.acquire("beta").error)
        #expect(refused.code == .doesNotFit)
        #expect(refused.message.contains("loaded explicitly") && refused.message.contains("Unload "))
        #expect(await supervisor.unload("alpha:2", .now) == ["alpha:2"])
        _ = try await supervised.acquire("beta").get()
        let beta = await supervisor.residents().first { $0.instance == "beta" }
        #expect(beta?.load.keepAlive == Chosen(.idle(.seconds(3)), .modelSettings))
        #expect(await supervisor.unload("mine", .whenIdle) == ["mine"])
        #expect(await supervisor.residents().first { $0.instance == "mine" }?.state == .draining)
        #expect(await supervisor.unload("gamma", .now) == [])
        await supervised.stop()
    }

    @Test("A model's names go before an instance's, also when the model comes later; then lists tell the longer name")
    func newModel() async throws {
        let supervised = try supervised(models: 4)
        let supervisor = supervised.supervisor
        #expect(try await supervisor.load("alpha", as: "gamma") == "gamma")
        #expect(try await supervised.acquire("gamma").get().instance == "gamma")
        #expect(try await supervised.acquire("alpha:gamma").get().instance == "alpha:gamma")
        try GGUFWriter.model("llama").write(to: supervised.scratch.file("models/pub/gamma-GGUF/gamma-Q4_0.gguf"))
        #expect(await supervisor.borrow("gamma") == nil)
        let own = try await supervised.acquire("gamma").get()
        let residents = await supervisor.residents()
        #expect(residents.map(\.instance) == ["alpha:gamma", own.instance])
        #expect(residents.map(\.model.id) == ["alpha", "gamma"] && residents.map(\.isNamed) == [true, false])
        #expect(residents.first { $0.socketPath == own.socketPath }?.model.id == "gamma")
        #expect(try await supervised.acquire("pub/gamma").get().socketPath == own.socketPath)
        let long = try await supervised.acquire("alpha:gamma").get()
        #expect(long.instance == "alpha:gamma" && long.socketPath == residents[0].socketPath)
        #expect(await supervisor.pin("alpha:gamma"))
        #expect(await supervisor.unload("gamma", .now) == [own.instance])
        #expect(await supervisor.unload(["alpha:gamma"], .now, within: .seconds(60)))
        #expect(await supervised.acquire("alpha:gamma").error?.code == .noSuchModel)
        await supervised.stop()
    }

    @Test(
        "Where a model is only to be there, the name of an instance stands for it, and its model's name does not")
    func ensured() async throws {
        let supervised = try supervised(models: 3)
        let supervisor = supervised.supervisor
        _ = try await supervisor.load("alpha", as: "mine")
        #expect(try await supervisor.ensure("mine") == "mine")
        #expect(await supervisor.borrow("alpha") == nil)
        #expect(try await supervisor.ensure("alpha") == "alpha")
        #expect(await supervisor.residents().map(\.instance) == ["alpha", "mine"])
        #expect(await supervisor.residents().map(\.users) == [0, 0])
        await supervised.stop()
    }

    @Test("A use of an engine that has died does not end one of the next engine")
    func staleRelease() async throws {
        let supervised = try supervised(fake: "exit-on-request")
        let first = try await supervised.acquire("alpha").get()
        #expect(SocketClient.request(first.socketPath, "/boom") == nil)
        try await eventually("the crash is noticed") { await supervised.supervisor.residents().isEmpty }
        let second = try await supervised.acquire("alpha").get()
        await supervised.supervisor.release(socketPath: first.socketPath)
        #expect(await supervised.supervisor.residents().first?.users == 1)
        await supervised.supervisor.release(socketPath: second.socketPath)
        #expect(await supervised.supervisor.residents().first?.users == 0)
        await supervised.stop()
    }

    @Test("An engine that dies at each request is loaded later each time, until it has served one well")
    func diesAtWork() async throws {
        let supervised = try supervised(fake: "exit-on-request")
        let supervisor = supervised.supervisor
        func crash() async throws {
            let lease = try await supervised.acquire("alpha").get()
            #expect(SocketClient.request(lease.socketPath, "/boom") == nil)
            try await eventually("the crash is noticed") { await supervisor.residents().isEmpty }
            await supervisor.release(socketPath: lease.socketPath, served: true)
        }
        try await crash()
        let lease = try await supervised.acquire("alpha").get()
        await supervisor.release(socketPath: lease.socketPath, served: true)
        try await crash()
        try await crash()
        let error = try #require(await supervised.acquire("alpha").error)
        #expect(error.code == .backingOff && error.retryAfter != nil && error.message.contains("2 times in a row"))
        #expect(error.logTail.last?.contains("gives up") == true)
        await supervised.stop()
    }

    @Test("An engine is there for a use that lasts until it dies or is cut off, also while it waits for its end")
    func lastingUse() async throws {
        let supervised = try supervised(fake: "exit-on-request", models: 3)
        let supervisor = supervised.supervisor
        let drained = try await supervised.acquire("alpha").get()
        #expect(await supervisor.unload("alpha", .whenIdle) == ["alpha"])
        #expect(try await supervisor.keeps(socketPath: drained.socketPath))
        await supervisor.release(socketPath: drained.socketPath)
        try await eventually("it is gone") { await supervisor.residents().isEmpty }
        let died = try await supervised.acquire("alpha").get()
        #expect(SocketClient.request(died.socketPath, "/boom") == nil)
        try await eventually("the crash is noticed") { await supervisor.residents().isEmpty }
        #expect(try await !supervisor.keeps(socketPath: died.socketPath))
        let cut = try await supervised.acquire("alpha").get()
        #expect(await supervisor.unload("alpha", .now) == ["alpha"])
        await #expect(throws: EngineError.self) { try await supervisor.keeps(socketPath: cut.socketPath) }
        try await eventually("it is gone") { await supervisor.residents().isEmpty }
        await #expect(throws: EngineError.self) { try await supervisor.keeps(socketPath: cut.socketPath) }
        await supervised.stop()
    }

    @Test("What was loaded on purpose comes back after a crash under its name, with its settings and its pin")
    func comesBack() async throws {
        let supervised = try supervised(fake: "exit-on-request", models: 3)
        let supervisor = supervised.supervisor
        var settings = LoadSettings()
        (settings.context, settings.parallel, settings.keepAlive) = (.tokens(1024), 1, .idle(.seconds(600)))
        #expect(try await supervisor.load("alpha", settings: settings, from: .request, as: "mine") == "mine")
        #expect(await supervisor.pin("mine"))
        let before = try #require(await supervisor.residents().first)
        #expect(SocketClient.request(before.socketPath, "/boom") == nil)
        try await eventually("the crash is noticed") { await supervisor.residents().first?.state == .crashed }
        let crashed = try #require(await supervisor.residents().first)
        #expect(crashed.instance == "mine" && crashed.bytes == 0 && crashed.process == nil)
        #expect(try await supervised.acquire("mine").get().instance == "mine")
        let back = try #require(await supervisor.residents().first)
        #expect(back.load == before.load && back.context == 1024 && back.isExplicit && back.isPinned)
        #expect(back.process != before.process && back.users == 1)
        await supervised.stop()
    }

    @Test("An instance that was told to go is gone, whatever is loaded under its name by then")
    func goneUnderTraffic() async throws {
        let supervised = try supervised(models: 3)
        let supervisor = supervised.supervisor
        for how in [Residency.Unloading.now, .whenIdle] {
            let lease = try await supervised.acquire("alpha").get()
            let told = Task { await supervisor.unload(["alpha"], how, within: .seconds(5)) }
            try await eventually("it is told") {
                await !supervisor.residents().contains { $0.socketPath == lease.socketPath && $0.state == .ready }
            }
            let next = Task { await supervised.acquire("alpha") }
            await supervisor.release(socketPath: lease.socketPath)
            let other = try await next.value.get()
            #expect(other.socketPath != lease.socketPath)
            #expect(await told.value)
            await supervisor.release(socketPath: other.socketPath)
            _ = await supervisor.unload([other.instance], .now, within: .seconds(5))
        }
        await supervised.stop()
    }

    @Test("This machine's memory is known, and that of an engine")
    func memory() async throws {
        let supervised = try supervised(measure: EngineMemory.resident(group:))
        _ = try await supervised.acquire("alpha").get()
        let measured = try #require(await supervised.supervisor.residents().first?.measured)
        #expect(measured > 1 << 20, "a Python program takes more than that")
        await supervised.stop()
        let total = try #require(EngineMemory.total())
        #expect(total > 64 << 20)
        #expect(EngineSettings.Memory.share(0.5).budget(of: total) == Int64(Double(total) * 0.5))
        #expect(EngineSettings.Memory.bytes(7).budget(of: total) == 7)
    }
}

extension Result where Failure == EngineError {
    init(_ body: () async throws(EngineError) -> Success) async {
        do throws(EngineError) { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
