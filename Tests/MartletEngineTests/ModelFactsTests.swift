import MartletEngine
import MartletTestSupport
import Testing

@Suite("What a model's header tells")
struct ModelFactsTests {
    private let scratch = Scratch()

    @Test("What each layer keeps follows the architecture", arguments: LayersCase.all)
    func layers(model: LayersCase) throws {
        let facts = try scratch.facts(model.model)
        #expect(facts.layers == model.layers)
        #expect(facts.trainedContext == 32_768)
    }

    @Test("The tiny model")
    func tinyModel() throws {
        let facts = try ModelFacts([GGUFHeader.read(Fixture.path("tiny-chat.gguf"))])
        #expect(facts.kind == .llm)
        #expect(facts.architecture == "llama" && facts.displayName == "tiny-chat")
        #expect(facts.parameters.total == 918_656 && facts.parameters.text == "0.9M")
        #expect(facts.quantisation?.name == "F16" && facts.quantisation?.bits == 16)
        #expect(facts.trainedContext == 131_072 && facts.vocabulary == 1024)
        #expect(
            facts.layers.count == 4 && facts.heads == 4 && facts.layers.allSatisfy { $0.heads == 2 && $0.keys == 64 })
        #expect(facts.template == TemplateAbilities("{% if tools %}{% endif %}"))
        #expect(facts.weightBytes > 1_800_000 && facts.weightBytes < 1_871_200)
        #expect(facts.senses == ModelFacts.Senses() && facts.experts == nil)
    }

    @Test(
        "What a file is for",
        arguments: [
            (GGUFWriter.model("qwen3"), ModelFacts.Kind.llm), (.model("somethingnew"), .llm),
            (.model("bert"), .embedding(.mean)),
            (.model("bert", [("ARCH.pooling_type", .uint32(2))]), .embedding(.own)),
            (.model("qwen3", [("ARCH.pooling_type", .uint32(3))]), .embedding(.own)),
            (.model("llama", [("general.name", .text("E5 Mistral 7B Embeddings"))]), .embedding(.last)),
            (
                .model(
                    "llama",
                    [("general.name", .text("Embed Chat")), ("tokenizer.chat_template", .text("{{ messages }}"))]),
                .llm
            ),
            (.model("qwen3", [("ARCH.pooling_type", .uint32(0))]), .llm),
            (.model("bert", [("ARCH.pooling_type", .uint32(4))]), .reranker),
            (.model("modern-bert", tensors: [.init("cls.output.weight", .f32, [8])]), .reranker),
            (.model("clip"), .projector), (GGUFWriter([("general.type", .text("mmproj"))]), .projector),
        ])
    func kinds(model: GGUFWriter, kind: ModelFacts.Kind) throws {
        #expect(try scratch.facts(model).kind == kind)
    }

    @Test(
        "What is no model says what it is instead",
        arguments: [
            (GGUFWriter.model("llama", [("general.type", .text("adapter"))]), "an adapter (LoRA)"),
            (.model("llama", [("general.type", .text("imatrix"))]), "an importance matrix"),
            (.model("llama", tensors: []), "a vocabulary and no weights"),
            (GGUFWriter(), "does not say what architecture"),
            (.model("controlvector"), "a control vector"), (.model("eagle3"), "a draft head"),
            (.model("wavtokenizer-dec"), "codes into sound"), (.model("qwen3tts"), "text into sound"),
            (.model("llama", [("split.no", .uint16(1))]), "part 2 of a model"),
        ])
    func others(model: GGUFWriter, says: String) throws {
        guard case .other(let clause) = try scratch.facts(model).kind else {
            Issue.record("it is taken for a model")
            return
        }
        #expect(clause.contains(says), "\(clause)")
    }

    @Test(
        "The name is made fit to be shown",
        arguments: [
            ("  Writer 8B ", "Writer 8B"), ("a\u{1B}]52;c;x\u{7}b", "a?]52;c;x?b"), (" \t", "?"), ("", nil),
            ("x\u{202E}y", "x?y"), (String(repeating: "é", count: 200), String(repeating: "é", count: 120) + "…"),
        ] as [(String, String?)])
    func names(said: String, shown: String?) throws {
        #expect(try scratch.facts(.model("llama", [("general.name", .text(said))])).displayName == shown)
    }

    @Test(
        "The number of parameters is written as people write it",
        arguments: [
            (8_030_000_000, nil, "8B"), (8_030_000_000, "8B", "8B"), (7_620_000_000, "7B", "7B"),
            (7_620_000_000, nil, "7B"),
            (1_540_000_000, nil, "1.5B"), (596_000_000, nil, "0.6B"), (268_000_000, nil, "268M"),
            (918_656, nil, "0.9M"),
            (70_600_000_000, nil, "70B"), (1_030_000_000_000, nil, "1T"), (30_500_000_000, "30B-A3B", "30B-A3B"),
            (8_030_000_000, "400B", "8B"), (8_030_000_000, "8x7B", "8B"), (8_030_000_000, "8B\u{7}", "8B"),
            (8_030_000_000, "-8B", "8B"), (8_030_000_000, "8B-A", "8B"), (300, nil, "300"),
        ] as [(UInt64, String?, String)])
    func parameters(count: UInt64, label: String?, text: String) throws {
        let tensor = GGUFWriter.Tensor("w", .i8, [count])
        let facts = try scratch.facts(
            .model("llama", label.map { [("general.size_label", .text($0))] } ?? [], tensors: [tensor]))
        #expect(facts.parameters.total == count)
        #expect(facts.parameters.text == text)
    }

    @Test("Of experts only those that work on a token are active")
    func experts() throws {
        let facts = try scratch.facts(
            .model(
                "qwen3moe", [("ARCH.expert_count", .uint32(128)), ("ARCH.expert_used_count", .uint32(8))],
                tensors: [
                    .init("token_embd.weight", .q4_k, [2048, 1_000_192]),
                    .init("blk.0.ffn_up_exps.weight", .q4_k, [2048, 108_800, 128]),
                ]))
        #expect(facts.experts == ModelFacts.Experts(count: 128, used: 8))
        #expect(facts.parameters.total == 2048 * (1_000_192 + 108_800 * 128))
        #expect(facts.parameters.active == 2048 * (1_000_192 + 108_800 * 8))
        #expect(facts.parameters.text == "30B-A3B")
    }

    @Test(
        "The quantisation is what the file says, if most of its matrices bear it out",
        arguments: [
            (15, .q4_k, "Q4_K_M", 4), (1024 + 15, .q4_k, "Q4_K_M", 4), (15, .q5_0, "Q5_0", 5), (nil, .q6_k, "Q6_K", 6),
            (999, .iq4_nl, "IQ4_NL", 4), (0, .q8_0, "Q8_0", 8), (1, .bf16, "BF16", 16), (32, .bf16, "BF16", 16),
            (27, .iq3_s, "IQ3_M", 3), (38, .mxfp4, "MXFP4", 4), (0, .f32, "F32", 32), (25, .q4_0, "IQ4_NL", 4),
        ] as [(UInt32?, TensorType, String, Int)])
    func quantisation(fileType: UInt32?, matrices: TensorType, name: String, bits: Int) throws {
        let facts = try scratch.facts(
            .model(
                "llama", fileType.map { [("general.file_type", .uint32($0))] } ?? [],
                tensors: [
                    .init("token_embd.weight", .f64, [256, 4096]), .init("blk.0.norm.weight", .f32, [1 << 20]),
                    .init("blk.0.ffn_up.weight", matrices, [256, 256]), .init("blk.0.ffn_down.weight", .i64, [256, 2]),
                ]))
        #expect(facts.quantisation?.name == name)
        #expect(facts.quantisation?.bits == bits)
    }

    @Test("Bits per weight are those of the file: here 3 × 18 + 128 bytes for 128 numbers")
    func bitsPerWeight() throws {
        let facts = try scratch.facts(
            .model(
                "llama",
                tensors: [.init("a.weight", .q4_0, [32, 3]), .init("b.weight", .f32, [32])]))
        #expect(facts.quantisation?.bitsPerWeight == 11.375)
    }

    @Test("A projector says what it lets in, and adds its bytes")
    func projector() throws {
        let vision = GGUFWriter.model(
            "clip", [("clip.has_vision_encoder", .flag(true))], tensors: [.init("v", .f16, [64, 8])])
        var facts = try scratch.facts(.model("qwen2vl"), projector: vision)
        #expect(facts.senses == ModelFacts.Senses(vision: true, audio: false))
        #expect(facts.projectorBytes == 1024)
        facts = try scratch.facts(
            .model("qwen2vl"), projector: .model("clip", [("clip.has_audio_encoder", .flag(true))]))
        #expect(facts.senses == ModelFacts.Senses(vision: false, audio: true))
        #expect(try scratch.facts(.model("clip")).senses.vision)
        #expect(try !scratch.facts(.model("qwen2vl")).senses.vision)
    }
}
