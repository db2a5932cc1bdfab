import Foundation
import MartletEngine
import MartletTestSupport
import Testing

@Suite("what a load would take")
struct LoadEstimateTests {
    private let folder: Scratch
    private let store: ModelStore
    private let model: InstalledModel

    init() throws {
        folder = Scratch()
        let file = try folder.file("acme/tiny/tiny.gguf")
        try FileManager.default.removeItem(atPath: file)
        try FileManager.default.createSymbolicLink(
            atPath: file, withDestinationPath: Fixture.path("tiny-chat.gguf"))
        store = ModelStore(root: folder.path)
        model = try #require(store.models().first)
    }

    private func estimate(
        _ settings: LoadSettings = LoadSettings(), _ memory: EngineSettings.Memory = .bytes(1 << 30),
        deviceMemory: Int64? = nil
    ) async throws -> LoadEstimate {
        var engine = EngineSettings()
        engine.memory = memory
        var binary = Fixture.fakeEngine()
        binary.deviceMemory = deviceMemory
        return try await LoadEstimate.make(model, settings, in: store, engine, for: binary)
    }

    @Test("a context nobody asks for is what fits, one that is asked for is told as it is")
    func context() async throws {
        let fitted = try await estimate()
        #expect(fitted.isFitted && fitted.context > 0 && fitted.bytes <= 1 << 30)
        var settings = LoadSettings()
        settings.context = .tokens(4096)
        let asked = try await estimate(settings)
        #expect(!asked.isFitted && asked.context == 4096)
        settings.parallel = 64
        #expect(try await estimate(settings).bytes > asked.bytes)
    }

    @Test("how many experts work on a token cannot be set where the engine has no way to")
    func experts() async throws {
        let other = Scratch()
        _ = try other.file("acme/moe/moe.gguf")
        _ = try other.model(
            .model("qwen3moe", [("ARCH.expert_count", .uint32(8)), ("ARCH.expert_used_count", .uint32(2))]),
            "acme/moe/moe.gguf")
        let store = ModelStore(root: other.path)
        let moe = try #require(store.models().first)
        var settings = LoadSettings()
        settings.experts = 4
        var binary = Fixture.fakeEngine()
        let error = await Result { () async throws(EngineError) in
            try await LoadEstimate.make(moe, settings, in: store, EngineSettings(), for: binary)
        }.error
        #expect(
            error?.code == .badSetting && error?.message.contains("needs a llama-server with --override-kv") == true)
        binary.overridesHeader = true
        #expect(try await LoadEstimate.make(moe, settings, in: store, EngineSettings(), for: binary).model == "moe")
    }

    @Test("what does not fit is told with what it takes at least")
    func tooLarge() async throws {
        let small = try await estimate(LoadSettings(), .bytes(1000))
        #expect(small.bytes > 1000 && small.budget == 1000)
    }

    @Test("memory of devices is used for the layers they compute, and only where there are devices")
    func devices() async throws {
        var settings = LoadSettings()
        settings.gpuLayers = 1
        #expect(try await estimate(settings).gpuBytes == 0)
        let all = try await estimate(deviceMemory: 8 << 30)
        #expect(all.gpuBytes == all.bytes)
        let some = try await estimate(settings, deviceMemory: 8 << 30)
        #expect(some.gpuBytes > 0 && some.gpuBytes < some.bytes)
        settings.gpuLayers = 0
        #expect(try await estimate(settings, deviceMemory: 8 << 30).gpuBytes == 0)
    }

    @Test("a draft model counts where it can be used, and one that a file names is left out where it cannot")
    func drafts() async throws {
        let two = try folder.file("acme/two/two.gguf")
        try FileManager.default.removeItem(atPath: two)
        try FileManager.default.createSymbolicLink(atPath: two, withDestinationPath: Fixture.path("tiny-chat.gguf"))
        try folder.file("acme/vectors/vectors.gguf")
        _ = try folder.model(.model("bert"), "acme/vectors/vectors.gguf")
        let alone = try await estimate()
        var settings = LoadSettings()
        settings.context = .tokens(2048)
        let alone2048 = try await estimate(settings).bytes
        settings.draftModel = "two"
        #expect(try await estimate(settings).bytes > alone2048)
        // Its context is as long as the model's, also where that is fitted.
        settings.context = nil
        let fitted = try await estimate(settings, .bytes(1 << 40))
        settings.context = .tokens(131_072)
        let asked = try await estimate(settings, .bytes(1 << 40))
        #expect(fitted.context == 131_072 && fitted.bytes == asked.bytes)
        settings.context = nil
        for draft in ["vectors", "tiny", "gone"] {
            settings.draftModel = draft
            await #expect(throws: EngineError.self, "\(draft)") { try await estimate(settings) }
            var engine = EngineSettings()
            engine.memory = .bytes(1 << 30)
            engine.load.draftModel = draft
            let made = try await LoadEstimate.make(
                model, LoadSettings(), in: store, engine, for: Fixture.fakeEngine())
            #expect(made.bytes == alone.bytes, "\(draft)")
        }
    }

    @Test("layers with a window bring checkpoints, which are bounded and counted where the engine takes a bound")
    func checkpoints() async throws {
        try folder.file("acme/windows/windows.gguf")
        _ = try folder.model(
            .model("gpt-oss", layers: 2, [("ARCH.attention.sliding_window", .uint32(128))]),
            "acme/windows/windows.gguf")
        let windows = try #require(store.find("windows"))
        var settings = LoadSettings()
        settings.context = .tokens(4096)
        var engine = EngineSettings()
        // A sixteenth is room for five in each of four slots, which hold 4096 bytes in each of 512 cells.
        engine.memory = .bytes(5 * 16 * 4 * 4096 * 512)
        var binary = Fixture.fakeEngine()
        let unbounded = try await LoadEstimate.make(windows, settings, in: store, engine, for: binary)
        binary.boundsCheckpoints = true
        let bounded = try await LoadEstimate.make(windows, settings, in: store, engine, for: binary)
        #expect(bounded.bytes - unbounded.bytes == 5 * 4 * 4096 * 512)
    }

    @Test("a setting that cannot be is refused, as the load would be")
    func refused() async throws {
        var settings = LoadSettings()
        settings.context = .tokens(1 << 30)
        await #expect(throws: EngineError.self) { try await estimate(settings) }
    }
}
