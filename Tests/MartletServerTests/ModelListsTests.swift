import MartletDialects
import MartletGateway
import MartletServer
import MartletTransport
import NIOCore
import NIOPosix
import Testing

@Suite("Model lists, and how much each model holds")
struct ModelListsTests {
    static func list(_ entries: String...) -> String { "{\"data\":[\(entries.joined(separator: ","))]}" }

    static func read(
        _ profile: UpstreamProfile, _ routes: [String: String], known: [String: ContextWindow] = [:]
    ) async throws -> ServedModels {
        try await Loop.run { loop in
            let server = try await FixedServer.start(on: loop.group, routes)
            let place = BaseURL(origin: Origin(address: .tcp(host: "127.0.0.1", port: server.port)))
            let upstream = Upstream(name: "u", profile: profile, location: .url(place))
            return try await ModelLists(upstream, over: loop.calls, patience: .seconds(60)).read(known: known).get()
        }
    }

    @Test("A real LM Studio tells what else its models may be called, each instance with its window")
    func names() async throws {
        let models = try await Self.read(
            .lmStudio,
            [
                "/v1/models": Self.list("{\"id\":\"m\"}", "{\"id\":\"m@q8_0\"}"),
                "/api/v1/models":
                    "{\"models\":[{\"key\":\"m\",\"max_context_length\":4096,\"variants\":[\"m@q4_k_m\",\"m@q8_0\"],"
                    + "\"loaded_instances\":[{\"id\":\"m\",\"config\":{\"context_length\":1024}},"
                    + "{\"id\":\"m:2\",\"config\":{\"context_length\":512}}]}]}",
            ])
        #expect(models.variants == ["m@q4_k_m": "m"] && models.instances == ["m:2": "m"])
        #expect(models.windows["m"] == ContextWindow(loaded: 1024, maximum: 4096))
        #expect(models.windows["m:2"] == ContextWindow(loaded: 512, maximum: 4096))
        #expect(models.windows["m@q4_k_m"] == ContextWindow(maximum: 4096))
        #expect(models.loaded == ["m", "m:2"])
    }

    @Test("A real LM Studio tells what is loaded and what makes embeddings, in either of its lists")
    func states() async throws {
        let ids = Self.list("{\"id\":\"one\"}", "{\"id\":\"two\"}", "{\"id\":\"e\"}")
        let newer = try await Self.read(
            .lmStudio,
            [
                "/v1/models": ids,
                "/api/v1/models":
                    "{\"models\":[{\"key\":\"one\",\"type\":\"llm\",\"loaded_instances\":[]},"
                    + "{\"key\":\"two\",\"type\":\"llm\",\"loaded_instances\":[{\"id\":\"mine\"}]},"
                    + "{\"key\":\"e\",\"type\":\"embedding\",\"loaded_instances\":[{\"id\":\"e\"}]}]}",
            ])
        let older = try await Self.read(
            .lmStudio,
            [
                "/v1/models": ids,
                "/api/v0/models": Self.list(
                    "{\"id\":\"one\",\"type\":\"llm\",\"state\":\"not-loaded\"}",
                    "{\"id\":\"two\",\"type\":\"vlm\",\"state\":\"loaded\"}",
                    "{\"id\":\"e\",\"type\":\"embeddings\",\"state\":\"loaded\"}"),
            ])
        #expect(newer.hasOwnAPI && !older.hasOwnAPI)
        #expect(newer.loaded == ["mine", "e"] && newer.work == ["e": .embeddings])
        #expect(older.loaded == ["two", "e"] && older.work == ["e": .embeddings])
    }

    @Test(
        "Each kind tells the window in its own place",
        arguments: [
            (
                "llamacpp", ["/v1/models": list("{\"id\":\"m\",\"meta\":{\"n_ctx\":8192,\"n_ctx_train\":32768}}")],
                ContextWindow(loaded: 8192, maximum: 32768)
            ),
            (
                "llamacpp",
                [
                    "/v1/models": list("{\"id\":\"m\",\"meta\":{\"n_ctx_train\":32768}}"),
                    "/props": "{\"default_generation_settings\":{\"n_ctx\":4096}}",
                ], ContextWindow(loaded: 4096, maximum: 32768)
            ),
            ("llamacpp", ["/v1/models": list("{\"id\":\"m\",\"meta\":null}")], nil),
            (
                "vllm", ["/v1/models": list("{\"id\":\"m\",\"max_model_len\":40960}")],
                ContextWindow(loaded: 40960)
            ),
            (
                "lmstudio",
                [
                    "/v1/models": list("{\"id\":\"m\"}"),
                    "/api/v0/models": list(
                        "{\"id\":\"m\",\"state\":\"loaded\",\"max_context_length\":131072,\"loaded_context_length\":8192}",
                        "{\"id\":\"elsewhere\",\"max_context_length\":9}"),
                ], ContextWindow(loaded: 8192, maximum: 131072)
            ),
            ("lmstudio", ["/v1/models": list("{\"id\":\"m\"}")], nil),
            (
                "lmstudio",
                [
                    "/v1/models": list("{\"id\":\"m\"}"), "/api/v0/models": "{\"error\":\"Unexpected endpoint\"}",
                    "/api/v1/models":
                        "{\"models\":[{\"key\":\"m\",\"max_context_length\":131072,\"loaded_instances\":[{\"config\":{\"context_length\":16384}}]}]}",
                ], ContextWindow(loaded: 16384, maximum: 131072)
            ),
            (
                "lmstudio",
                [
                    "/v1/models": list("{\"id\":\"m\"}"),
                    "/api/v1/models":
                        "{\"models\":[{\"key\":\"m\",\"max_context_length\":131072,\"loaded_instances\":[]}]}",
                ], ContextWindow(maximum: 131072)
            ),
            (
                "ollama",
                [
                    "/v1/models": list("{\"id\":\"m\"}"),
                    "/api/ps": "{\"models\":[{\"name\":\"m\",\"model\":\"m\",\"context_length\":4096}]}",
                    "/api/show": "{\"model_info\":{\"llama.context_length\":131072}}",
                ], ContextWindow(loaded: 4096)
            ),
            (
                "ollama",
                [
                    "/v1/models": list("{\"id\":\"m\"}"), "/api/ps": "{\"models\":[]}",
                    "/api/show":
                        "{\"model_info\":{\"general.architecture\":\"llama\",\"llama.context_length\":131072}}",
                ], ContextWindow(maximum: 131072)
            ),
            (
                "anthropic", ["/v1/models": list("{\"id\":\"m\",\"type\":\"model\",\"max_input_tokens\":200000}")],
                ContextWindow(maximum: 200_000)
            ),
            (
                "anthropic",
                [
                    "/v1/models": list(
                        "{\"id\":\"m\",\"type\":\"model\",\"max_input_tokens\":200000,\"max_tokens\":64000}")
                ], ContextWindow(maximum: 200_000, reply: 64_000)
            ),
            ("anthropic", ["/v1/models": list("{\"id\":\"m\",\"max_tokens\":64000}")], ContextWindow(reply: 64_000)),
            ("openai", ["/v1/models": list("{\"id\":\"m\",\"context_length\":1}")], nil),
            (
                "openai-compatible", ["/v1/models": list("{\"id\":\"m\",\"context_length\":65536}")],
                ContextWindow(maximum: 65536)
            ),
            ("vllm", ["/v1/models": list("{\"id\":\"m\",\"max_model_len\":0}")], nil),
            ("vllm", ["/v1/models": list("{\"id\":\"m\",\"max_model_len\":\"long\"}")], nil),
            ("vllm", ["/v1/models": list("{\"id\":\"m\",\"max_model_len\":1e30}")], nil),
        ] as [(String, [String: String], ContextWindow?)])
    func kinds(kind: String, routes: [String: String], window: ContextWindow?) async throws {
        let profile = try #require(UpstreamProfile.named(kind))
        let models = try await Self.read(profile, routes)
        #expect(models.ids == ["m"])
        #expect(models.windows == (window.map { ["m": $0] } ?? [:]))
    }

    @Test("What a server of several models says about one of them is taken for none")
    func router() async throws {
        let models = try await Self.read(
            .llamaCpp,
            [
                "/v1/models": Self.list("{\"id\":\"a\"}", "{\"id\":\"b\"}"),
                "/props": "{\"default_generation_settings\":{\"n_ctx\":4096}}",
            ])
        #expect(models == ServedModels(ids: ["a", "b"]))
    }

    @Test("A maximum that was read once is kept, a loaded window is not")
    func known() async throws {
        let models = try await Self.read(
            .ollama, ["/v1/models": Self.list("{\"id\":\"m\"}")],
            known: ["m": ContextWindow(loaded: 4096, maximum: 8192), "gone": ContextWindow(maximum: 1)])
        #expect(models.windows == ["m": ContextWindow(maximum: 8192)])
    }

    @Test("Of a box full of models a bounded number is asked about")
    func bounded() async throws {
        let entries = (0..<200).map { "{\"id\":\"m\($0)\"}" }.joined(separator: ",")
        let models = try await Self.read(
            .ollama,
            ["/v1/models": "{\"data\":[\(entries)]}", "/api/show": "{\"model_info\":{\"x.context_length\":7}}"])
        #expect(models.ids?.count == 200)
        #expect(models.windows.count == 64)
    }

    @Test("A list that cannot be read is an error, whatever else can")
    func noList() async throws {
        await #expect(throws: GatewayError.self) {
            _ = try await Self.read(.ollama, ["/api/ps": "{\"models\":[]}"])
        }
    }
}
