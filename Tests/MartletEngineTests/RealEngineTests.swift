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
import Testing

/// Against a real llama.cpp, when `MARTLET_TEST_ENGINE_HOME` names a home in which one is installed.
@Suite(
    "A real engine with the tiny model",
    .enabled(if: ProcessInfo.processInfo.environment["MARTLET_TEST_ENGINE_HOME"] != nil))
struct RealEngineTests {
    private func supervised(change: @escaping (inout EngineSettings) -> Void = { _ in }) throws -> Supervised {
        let engineHome = ProcessInfo.processInfo.environment["MARTLET_TEST_ENGINE_HOME"] ?? ""
        let supervised = try Supervised(
            models: [], measure: EngineMemory.resident(group:),
            change: {
                $0.load.threads = 1
                $0.extra = ["--poll", "0"]
                $0.grace = .seconds(5)
                change(&$0)
            },
            binary: { () async throws(EngineError) in
                try await EngineFinder.find(configured: nil, home: engineHome, path: "")
            })
        try supervised.link("tiny-chat")
        return supervised
    }

    @Test("It loads, answers, streams, calls a tool, survives being killed, and is gone at the end")
    func wholePath() async throws {
        let supervised = try supervised()
        let path = try await supervised.ready("tiny-chat").get()
        let question = #"{"role":"user","content":"What is the weather in Oslo?"}"#

        let props = try #require(SocketClient.request(path, "/props"))
        #expect(props.body.contains(#""total_slots":2"#))
        let whole = try #require(
            SocketClient.request(
                path, "/v1/chat/completions", method: "POST",
                body: #"{"model":"tiny-chat","messages":[\#(question)],"max_tokens":40}"#))
        #expect(whole.status == 200)
        #expect(whole.body.contains(#""model":"tiny-chat""#))
        let stream = try #require(
            SocketClient.request(
                path, "/v1/chat/completions", method: "POST",
                body: #"{"model":"tiny-chat","messages":[\#(question)],"max_tokens":40,"stream":true}"#))
        #expect(stream.body.contains("data: [DONE]"))
        let tool =
            #"{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":20}},"required":["city"]}}}"#
        let call = try #require(
            SocketClient.request(
                path, "/v1/chat/completions", method: "POST",
                body:
                    #"{"model":"tiny-chat","messages":[\#(question)],"max_tokens":200,"tools":[\#(tool)],"tool_choice":"required"}"#
            ))
        #expect(call.body.contains(#""name":"get_weather""#))

        let process = try #require(await supervised.process)
        kill(process, SIGKILL)
        try await eventually("the kill is noticed") { await supervised.supervisor.residents().isEmpty }
        let again = try await supervised.ready("tiny-chat").get()
        #expect(SocketClient.request(again, "/health")?.status == 200)
        let second = try #require(await supervised.process)
        await supervised.stop()
        #expect(!ProcessGroup.isAlive(process))
        #expect(!ProcessGroup.isAlive(second))
    }

    @Test("With memory for one of two models the first is unloaded when it is idle, and not before")
    func twoModels() async throws {
        let facts = try ModelFacts([GGUFHeader.read(Fixture.path("tiny-chat.gguf"))])
        var load = MemoryEstimate.Load(context: 512)
        (load.slots, load.batch) = (2, 256)
        let budget = MemoryEstimate(facts, load).total * 3 / 2
        let supervised = try supervised {
            $0.load.context = .tokens(512)
            $0.limits.stay = .zero
            $0.memory = .bytes(budget)
        }
        try supervised.link("other")
        let first = try await supervised.acquire("tiny-chat").get()
        let resident = try #require(await supervised.supervisor.residents().first)
        let measured = try #require(resident.measured)
        print("tiny-chat: \(MemoryEstimate(facts, load).total) bytes estimated, \(measured) measured")
        let prompts = try #require(resident.load.promptCache).value
        #expect(prompts == min(budget / 16, MemoryEstimate(facts, load).cache * 4))
        #expect(resident.bytes == max(measured, MemoryEstimate(facts, load).total + prompts))
        let waiting = Task { await supervised.acquire("other") }
        try await eventually("the first is drained") {
            await supervised.supervisor.residents().map(\.state) == [.draining]
        }
        let body = #"{"messages":[{"role":"user","content":"Hello"}],"max_tokens":40}"#
        let reply = SocketClient.request(first.socketPath, "/v1/chat/completions", method: "POST", body: body)
        #expect(reply?.status == 200, "what runs is not cut off")
        await supervised.supervisor.release(socketPath: first.socketPath)
        let second = try await waiting.value.get()
        #expect(SocketClient.request(second.socketPath, "/v1/models")?.body.contains("other") == true)
        #expect(await supervised.supervisor.residents().map(\.instance) == ["other"])
        await supervised.stop()
    }

    @Test("An automatic context is what the model was trained for where there is room, one window for all slots")
    func automaticContext() async throws {
        let facts = try ModelFacts([GGUFHeader.read(Fixture.path("tiny-chat.gguf"))])
        let supervised = try supervised { $0.memory = .bytes(8 << 30) }
        let lease = try await supervised.acquire("tiny-chat").get()
        let resident = try #require(await supervised.supervisor.residents().first)
        #expect(resident.context == facts.trainedContext)
        #expect(resident.load.context == Chosen(.auto, .builtIn) && resident.load.threads == Chosen(1, .configuration))
        let trained = try #require(facts.trainedContext)
        #expect(SocketClient.request(lease.socketPath, "/props")?.body.contains(#""n_ctx":\#(trained)"#) == true)
        await supervised.stop()
    }

    @Test("A file that is no model is refused with the engine's own reason")
    func brokenModel() async throws {
        let supervised = try supervised()
        try supervised.scratch.file("models/martlet/broken/broken.gguf", "GGUF and nothing else")
        let error = try #require(await supervised.ready("broken").error)
        #expect(error.code == .unreadableModel)
        #expect(error.message.contains("broken"))
        #expect(!error.message.contains(supervised.scratch.path))
        await supervised.stop()
    }
}

extension Supervised {
    /// Installs the tiny model under a name.
    fileprivate func link(_ name: String) throws {
        let folder = "\(scratch.path)/models/martlet/\(name)-GGUF"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder)/\(name)-F16.gguf", withDestinationPath: Fixture.path("tiny-chat.gguf"))
    }
}
