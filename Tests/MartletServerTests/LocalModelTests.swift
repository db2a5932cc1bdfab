import Foundation
import MartletEngine
import MartletServer
import MartletTestSupport
import MartletWire
import Testing

@Suite("Models of this machine in LM Studio's words")
struct LocalModelTests {
    private let root = FileManager.default.temporaryDirectory.appending(path: "local-models-\(UUID().uuidString)")

    /// The model that files in one folder make; the first is the weights.
    private func local(_ files: [(String, GGUFWriter)]) throws -> LocalModel {
        defer { try? FileManager.default.removeItem(at: root) }
        let folder = root.appending(path: "acme/Writer-GGUF")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (name, writer) in files { try writer.write(to: folder.appending(path: name).path()) }
        return try #require(LocalModel.all(in: ModelStore(root: root.path())).first)
    }

    private func writer(_ architecture: String, _ more: [(String, GGUFWriter.Value)] = []) -> GGUFWriter {
        GGUFWriter(
            [
                ("general.architecture", .text(architecture)), ("general.name", .text("Writer")),
                ("\(architecture).block_count", .uint32(1)), ("\(architecture).context_length", .uint32(4096)),
                ("\(architecture).embedding_length", .uint32(64)),
                ("\(architecture).attention.head_count", .uint32(4)),
            ] + more,
            tensors: [.init("blk.0.attn_q.weight", type: 1, [64, 64], bytes: 8192)])
    }

    @Test("What a template and a projector tell are abilities")
    func abilities() throws {
        let template = "{% if tools %}{% endif %}{% if enable_thinking %}<think>{% endif %}"
        let local = try local([
            ("Writer-F16.gguf", writer("qwen3vl", [("tokenizer.chat_template", .text(template))])),
            ("mmproj-F16.gguf", writer("clip", [("clip.has_vision_encoder", .flag(true))])),
        ])
        #expect(local.abilities == ["tool_use", "vision", "reasoning"])
        let capabilities: JSON = [
            "vision": true, "trained_for_tool_use": true,
            "reasoning": ["allowed_options": ["off", "on"], "default": "on"],
        ]
        #expect(local.entry["capabilities"] == capabilities)
        let legacy = try #require(local.legacyEntry(state: .ready, window: 2048))
        #expect(legacy["type"] == "vlm" && legacy["capabilities"] == ["tool_use", "vision"])
        #expect(legacy["state"] == "loaded" && legacy["loaded_context_length"] == 2048)
        #expect(legacy["quantization"] == "F16" && legacy["max_context_length"] == 4096)
    }

    @Test("What makes vectors has neither architecture nor abilities", arguments: [("bert", UInt32(1)), ("bert", 4)])
    func encoders(architecture: String, pooling: UInt32) throws {
        let local = try local([
            ("w.gguf", writer(architecture, [("\(architecture).pooling_type", .uint32(pooling))]))
        ])
        let entry: JSON = [
            "type": "embedding", "publisher": "acme", "key": "writer", "display_name": "Writer",
            "quantization": ["name": "F16", "bits_per_weight": 16], "size_bytes": local.entry["size_bytes"] ?? .null,
            "params_string": "4K", "max_context_length": 4096, "format": "gguf",
        ]
        #expect(local.isEncoder && local.entry == entry)
        let legacy = try #require(local.legacyEntry(state: nil, window: 2048))
        #expect(legacy["type"] == "embeddings" && legacy["state"] == "not-loaded")
        #expect(legacy["capabilities"] == nil && legacy["loaded_context_length"] == nil)
    }

    @Test("What cannot be loaded says why, and is in no list of what can")
    func unusable() throws {
        let local = try local([("w.gguf", writer("llama", [("general.type", .text("adapter"))]))])
        #expect(local.problem == "it is an adapter (LoRA), used with a model and not by itself")
        #expect(local.usable == nil && local.abilities.isEmpty && local.legacyEntry(state: nil, window: nil) == nil)
        #expect(local.entry["problem"]?.string == local.problem && local.entry["type"] == nil)
    }

    @Test("A model that is being loaded is none that is loaded")
    func states() throws {
        let local = try local([("w.gguf", writer("llama"))])
        let loading = try #require(local.legacyEntry(state: .loading, window: 2048))
        #expect(loading["state"] == "loading" && loading["loaded_context_length"] == nil)
        #expect(local.legacyEntry(state: .stopping, window: 2048)?["state"] == "not-loaded")
    }

    @Test("What cannot be loaded is set apart with its reason; of published files without the advice to get them again")
    func divided() throws {
        defer { try? FileManager.default.removeItem(at: root) }
        for name in ["good", "cut"] {
            let folder = root.appending(path: "acme/\(name)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        try writer("llama").write(to: root.appending(path: "acme/good/good.gguf").path())
        try Data("GGUF".utf8).write(to: root.appending(path: "acme/cut/cut.gguf"))
        let all = LocalModel.all(in: ModelStore(root: root.path()))
        let (ids, unusable) = LocalModel.divided(all)
        #expect(ids == ["good"])
        let problem = try #require(unusable["cut"])
        #expect(problem.hasPrefix("cut.gguf is cut short") && problem.hasSuffix(": download it again"))
        let published = all.compactMap(\.publishedProblem)
        #expect(published.map { $0 + ": download it again" } == [problem])
    }
}
