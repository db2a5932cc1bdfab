#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import MartletEngine
import MartletProcess
import Testing

@Suite("One engine process from start to end")
struct LlamaServerTests {
    private let scratch = Scratch()

    @Test("It becomes ready, answers on its socket, and cancelling leaves neither process nor socket")
    func lifecycle() async throws {
        let plan = Fixture.plan(scratch)
        let engine = Watched(plan)
        try await eventually("ready") { engine.isReady }
        #expect(SocketClient.request(plan.socketPath, "/anything")?.body == #"{"fake":true}"#)
        let process = try #require(engine.process)
        engine.cancel()
        #expect(await engine.error() == nil)
        #expect(!ProcessGroup.isAlive(process))
        #expect(!FileManager.default.fileExists(atPath: plan.socketPath))
    }

    @Test("While it loads it is asked again, and it is ready when it says so")
    func slowLoad() async throws {
        let plan = Fixture.plan(scratch, fake: "slow-load")
        let probes = Box(0)
        let engine = Watched(plan) { path in
            probes.change { $0 += 1 }
            return await SocketClient.probe(path)
        }
        try await eventually("probed while loading") { probes.value >= 3 }
        #expect(!engine.isReady)
        try scratch.file("1.sock.go")
        try await eventually("ready") { engine.isReady }
        engine.cancel()
        #expect(await engine.error() == nil)
    }

    @Test("An engine that ends while loading is an error with its first complaint, without our folders")
    func exitsOnLoad() async throws {
        let error = try #require(await Watched(Fixture.plan(scratch, fake: "exit-on-load")).error())
        #expect(error.code == .loadFailed)
        #expect(error.message.contains("exit code 3"))
        #expect(error.message.contains("gguf_init_from_reader: cannot read 'tiny-chat.gguf'"))
        #expect(error.logTail.last?.contains("exiting due to model loading error") == true)
        #expect(!error.logTail.contains { $0.contains(Fixture.path("")) })
    }

    @Test("A very noisy engine neither blocks nor fills the memory")
    func noisy() async throws {
        let error = try #require(await Watched(Fixture.plan(scratch, fake: "noisy,exit-on-load")).error())
        #expect(error.logTail.count == OutputTail.lines)
        #expect(error.logTail.contains { $0.hasPrefix("line 1999 ") })
    }

    @Test("An engine that never opens its socket is given up after the load timeout and taken down")
    func neverReady() async throws {
        let plan = Fixture.plan(scratch, fake: "no-socket", loadTimeout: .milliseconds(700))
        let engine = Watched(plan)
        let error = try #require(await engine.error())
        #expect(error.code == .loadTimedOut)
        #expect(!ProcessGroup.isAlive(try #require(engine.process)))
    }

    @Test("A probe that knows the engine will never answer ends the load")
    func probeFails() async throws {
        let error = try #require(await Watched(Fixture.plan(scratch)) { _ in .failed("it speaks nonsense") }.error())
        #expect(error.code == .loadFailed)
        #expect(error.message.contains("it speaks nonsense"))
    }

    @Test("An engine that dies after it was ready is an error with its last words")
    func crashes() async throws {
        let plan = Fixture.plan(scratch, fake: "exit-on-request")
        let engine = Watched(plan)
        try await eventually("ready") { engine.isReady }
        #expect(SocketClient.request(plan.socketPath, "/boom") == nil)
        let error = try #require(await engine.error())
        #expect(error.code == .exited)
        #expect(error.message.contains("exit code 7"))
        #expect(error.message.contains("the fake engine gives up"))
    }

    @Test("An engine that ignores SIGTERM and left a child behind is gone after the grace")
    func stubborn() async throws {
        let plan = Fixture.plan(scratch, fake: "ignore-term,grandchild", grace: .milliseconds(300))
        let engine = Watched(plan)
        try await eventually("ready") { engine.isReady }
        let process = try #require(engine.process)
        engine.cancel()
        #expect(await engine.error() == nil)
        #expect(!ProcessGroup.isAlive(process))
    }

    @Test("Cancelling during the load takes the engine down")
    func cancelledWhileLoading() async throws {
        let engine = Watched(Fixture.plan(scratch, fake: "no-socket"))
        try await eventually("started") { engine.process != nil }
        engine.cancel()
        #expect(await engine.error() == nil)
        #expect(!ProcessGroup.isAlive(try #require(engine.process)))
    }

    @Test("A binary that is not there cannot be launched, and the message says so")
    func missingBinary() async throws {
        var plan = Fixture.plan(scratch)
        plan.binary.executable = "/nowhere/llama-server"
        plan.binary.leading = []
        let error = try #require(await Watched(plan).error())
        #expect(error.code == .launchFailed)
    }

    @Test("A socket file left by a dead engine is removed before the start")
    func leftoverSocket() async throws {
        let plan = Fixture.plan(scratch)
        try scratch.file("1.sock", "left over")
        let engine = Watched(plan)
        try await eventually("ready") { engine.isReady }
        engine.cancel()
        #expect(await engine.error() == nil)
    }

    @Test("An engine sees what its backends need of our environment, and none of our keys")
    func environment() {
        let ours = [
            "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C", "OPENAI_API_KEY": "k", "MARTLET_AUTH": "k",
            "LLAMA_API_KEY": "k", "HTTPS_PROXY": "p", "LD_LIBRARY_PATH": "/lib",
        ]
        let seen = EngineEnvironment.inherited(ours, adding: ["OMP_NUM_THREADS": "1", "PATH": "/own"])
        #expect(
            seen == [
                "PATH": "/own", "CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C", "LD_LIBRARY_PATH": "/lib",
                "OMP_NUM_THREADS": "1",
            ])
    }

    @Test("The flags promise the window to each slot")
    func flags() {
        var plan = Fixture.plan(scratch)
        plan.binary.leading = ["-I", "launcher"]
        plan.parallel = 4
        plan.threads = 3
        plan.extra = ["--metrics"]
        let head = [
            "-I", "launcher", "--model", Fixture.model.path, "--alias", "tiny", "--host", plan.socketPath, "--parallel",
            "4",
        ]
        let tail = ["--threads", "3", "--batch-size", "256", "--ubatch-size", "256", "--metrics"]
        #expect(plan.arguments == head + tail)
        plan.contextTokens = 8192
        #expect(plan.arguments == head + ["--ctx-size", "32768"] + tail)
    }

    @Test("Every load setting reaches the engine, and a model what its kind needs")
    func settings() {
        var plan = Fixture.plan(scratch)
        plan.name = "tiny:2"
        (plan.gpuLayers, plan.flashAttention, plan.keyCache, plan.valueCache) = (12, .on, .q8_0, .bf16)
        (plan.cacheOnGPU, plan.promptCache, plan.checkpoints) = (false, (3 << 20) + 7, 5)
        plan.model.projector = "/models/mmproj.gguf"
        plan.experts = EffectiveLoad.Experts(used: 4, architecture: "qwen3moe")
        plan.draft = InstalledModel(id: "small", path: "/models/small.gguf", bytes: 1, file: "small.gguf")
        #expect(plan.arguments.contains("tiny:2") && !plan.arguments.contains("tiny"))
        let flags = [
            "--n-gpu-layers", "12", "--flash-attn", "on", "--cache-type-k", "q8_0", "--cache-type-v", "bf16",
            "--no-kv-offload", "--cache-ram", "3", "--ctx-checkpoints", "5", "--override-kv",
            "qwen3moe.expert_used_count=int:4", "--model-draft", "/models/small.gguf", "--mmproj",
            "/models/mmproj.gguf",
        ]
        #expect(plan.arguments.suffix(flags.count) == flags[...])
        plan.kind = .embedding()
        #expect(plan.arguments.last == "--embeddings")
        plan.kind = .embedding(.mean)
        #expect(plan.arguments.suffix(3) == ["--embeddings", "--pooling", "mean"])
        plan.kind = .reranker
        #expect(plan.arguments.last == "--rerank")
    }

    @Test(
        "A batch takes a fraction of a second on either backend, unless it is set",
        arguments: [
            ("CPU", nil, "256"), ("CUDA", nil, "512"), ("CPU", 1024, "1024"),
        ] as [(String, Int?, String)])
    func batch(backend: String, setting: Int?, tokens: String) {
        var plan = Fixture.plan(scratch)
        plan.binary.backend = backend
        plan.batch = setting
        #expect(plan.arguments.suffix(4) == ["--batch-size", tokens, "--ubatch-size", tokens])
    }
}
