import MartletCommands
import MartletWire
import Testing

@Suite("models in the words of lms")
struct LMSModelTests {
    static let writer = """
        {"type":"llm","publisher":"acme","key":"acme/writer-8b","display_name":"Writer 8B","architecture":"qwen3",
         "quantization":{"name":"Q4_K_M","bits_per_weight":4.0},"size_bytes":5030000000,"params_string":"8B",
         "loaded_instances":[],"max_context_length":131072,"format":"gguf",
         "capabilities":{"vision":false,"trained_for_tool_use":true},"description":null}
        """
    static let mini = """
        {"type":"embedding","publisher":"acme","key":"text-embedding-mini","display_name":"Mini Embed",
         "quantization":null,"size_bytes":270000000,"params_string":null,"loaded_instances":[],
         "max_context_length":2048,"format":"gguf"}
        """

    static func model(_ text: String, path: String? = nil, variant: String? = nil) throws -> LMSModel {
        try #require(LMSModel(try JSON(parsing: text), path: path, variant: variant))
    }

    /// The example of `lms ps --json` (specs lmstudio 8).
    @Test("lms ps --json is as specified")
    func ps() throws {
        let resident = try #require(
            Resident(
                try JSON(
                    parsing: """
                        {"id":"acme/writer-8b","model":"acme/writer-8b","state":"generating","users":3,"queued":2,
                         "parallel":4,"context":16384,"bytes":6000000000,"ttl_ms":3600000,"last_used":1767225600000}
                        """)))
        let entry = try Self.model(Self.writer, path: "acme/writer-8b-GGUF/writer-8b-Q4_K_M.gguf").json(
            loadedAs: resident)
        #expect(
            entry.text
                == #"{"type":"llm","modelKey":"acme/writer-8b","format":"gguf","displayName":"Writer 8B","#
                + #""publisher":"acme","path":"acme/writer-8b-GGUF/writer-8b-Q4_K_M.gguf","sizeBytes":5030000000,"#
                + #""indexedModelIdentifier":"acme/writer-8b","deviceIdentifier":null,"paramsString":"8B","#
                + #""architecture":"qwen3","quantization":{"name":"Q4_K_M","bits":4},"vision":false,"#
                + #""trainedForToolUse":true,"maxContextLength":131072,"identifier":"acme/writer-8b","#
                + #""ttlMs":3600000,"lastUsedTime":1767225600000,"contextLength":16384,"status":"generating","#
                + #""queued":2,"parallel":4}"#)
    }

    @Test("an embedding model has no parallel, no vision and no null where a validator wants a text")
    func embedding() throws {
        let model = try Self.model(Self.mini)
        #expect(
            LMSListing.json([model]).text
                == #"[{"type":"embedding","modelKey":"text-embedding-mini","format":"gguf","displayName":"Mini Embed","#
                + #""publisher":"acme","path":"text-embedding-mini","sizeBytes":270000000,"#
                + #""indexedModelIdentifier":"text-embedding-mini","deviceIdentifier":null,"maxContextLength":2048}]"#)
        let resident = try #require(
            Resident(["id": "e", "model": "e", "state": "draining", "users": 1, "parallel": 4]))
        let loaded = model.json(loadedAs: resident)
        #expect(loaded["parallel"] == .null)
        #expect(loaded["status"] == "computingEmbedding")
    }

    @Test(
        "the status is one of LM Studio's four",
        arguments: [
            ("idle", 0, "idle"), ("processingPrompt", 1, "processingPrompt"), ("loading", 0, "idle"),
            ("draining", 2, "generating"),
        ])
    func status(_ state: String, _ users: Int, _ status: String) throws {
        let resident = try #require(Resident(["id": "w", "state": .string(state), "users": .int(users)]))
        #expect(try Self.model(Self.writer).json(loadedAs: resident)["status"] == .string(status))
    }

    @Test("the tables of lms ls")
    func tables() throws {
        let models = [try Self.model(Self.writer, variant: "writer-8b@ud-q4_k_m"), try Self.model(Self.mini)]
        #expect(
            LMSListing.lines(models, loaded: ["acme/writer-8b"]) == [
                "You have 2 models, taking up 5.3 GB of disk space.", "",
                "LLM             PARAMS  ARCH     SIZE  DEVICE",
                "acme/writer-8b  8B      qwen3  5.0 GB  Local   ✓ LOADED", "",
                "EMBEDDING            PARAMS  ARCH      SIZE  DEVICE",
                "text-embedding-mini                270.0 MB  Local",
            ])
        #expect(LMSListing.lines([], loaded: []).isEmpty)
        let variant = LMSListing.variants([models[0]])[0]?["variants"]?[0]
        #expect(variant?["modelKey"] == "writer-8b@ud-q4_k_m" && variant?["sizeBytes"] == 5_030_000_000)
        #expect(LMSListing.variants([models[0]])[0]?["model"]?["modelKey"] == "acme/writer-8b")
        #expect(LMSListing.variantLines(models)[2].hasPrefix("text-embedding-mini "))
    }

    @Test("lms status says whether the server is on, and what it has loaded")
    func serverStatus() throws {
        #expect(LMSListing.status(port: nil, [], sizes: [:])[0] == "Server: OFF")
        let resident = try #require(Resident(["id": "w:2", "model": "w", "bytes": 7_000_000_000]))
        #expect(
            LMSListing.status(port: 1234, [resident], sizes: ["w": 5_030_000_000])
                == ["Server: ON (port: 1234)", "", "Loaded Models", "  · w:2 - 5.0 GB"])
        #expect(LMSListing.status(port: 1, [], sizes: [:]).last == "  · No Models Loaded")
    }

    @Test("a model that cannot be used is none")
    func unusable() throws {
        #expect(LMSModel(["publisher": "a", "key": "broken", "problem": "it is cut short"]) == nil)
    }
}
