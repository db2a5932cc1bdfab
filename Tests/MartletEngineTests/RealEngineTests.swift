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
import Testing

/// Against a real llama.cpp, when `MARTLET_TEST_ENGINE_HOME` names a home in which one is installed.
@Suite(
    "A real engine with the tiny model",
    .enabled(if: ProcessInfo.processInfo.environment["MARTLET_TEST_ENGINE_HOME"] != nil))
struct RealEngineTests {
    private func supervised() throws -> Supervised {
        let engineHome = ProcessInfo.processInfo.environment["MARTLET_TEST_ENGINE_HOME"] ?? ""
        let supervised = try Supervised(
            models: [],
            change: {
                $0.threads = 1
                $0.extra = ["--poll", "0"]
                $0.grace = .seconds(5)
            },
            binary: { () async throws(EngineError) in
                try await EngineFinder.find(configured: nil, home: engineHome, path: "")
            })
        let folder = "\(supervised.scratch.path)/models/martlet/tiny-chat-GGUF"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder)/tiny-chat-F16.gguf", withDestinationPath: Fixture.path("tiny-chat.gguf"))
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

    @Test("A file that is no model is refused with the engine's own reason")
    func brokenModel() async throws {
        let supervised = try supervised()
        try supervised.scratch.file("models/martlet/broken/broken.gguf", "GGUF and nothing else")
        let error = try #require(await supervised.ready("broken").error)
        #expect(error.code == .loadFailed)
        #expect(error.message.contains("gguf"))
        #expect(!error.message.contains(supervised.scratch.path))
        await supervised.stop()
    }
}
