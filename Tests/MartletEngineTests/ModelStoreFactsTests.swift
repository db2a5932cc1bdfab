import Foundation
import MartletEngine
import MartletTestSupport
import Testing

@Suite("What the models on disk are")
struct ModelStoreFactsTests {
    private let scratch = Scratch()
    private let store: ModelStore

    init() throws {
        store = ModelStore(root: "\(scratch.path)/models")
        try FileManager.default.createDirectory(
            atPath: "\(scratch.path)/models/p/m", withIntermediateDirectories: true)
    }

    private func put(_ writer: GGUFWriter, _ name: String) throws {
        _ = try scratch.model(writer, "models/p/m/\(name)")
    }

    private func model() throws -> InstalledModel { try #require(store.models().first) }

    /// Why a model has no facts; nil: it has.
    private func reason(_ model: InstalledModel) -> EngineError? {
        fault { () throws(EngineError) in try store.facts(of: model) }
    }

    /// One part of three, as gguf-split writes them.
    private func part(_ number: UInt16, of count: UInt16 = 3, tensors: Int32 = 3) -> GGUFWriter {
        var writer = number == 0 ? GGUFWriter.model("llama") : GGUFWriter()
        writer.keys += [
            ("split.no", .uint16(number)), ("split.count", .uint16(count)), ("split.tensors.count", .int32(tensors)),
        ]
        writer.tensors = [.init("blk.\(number).attn_q.weight", .q8_0, [1024, 10])]
        return writer
    }

    private func putParts(_ numbers: [UInt16] = [0, 1, 2]) throws {
        for number in numbers { try put(part(number), "big-0000\(number + 1)-of-00003.gguf") }
    }

    @Test("A model has facts, and one that cannot be read has a reason")
    func facts() throws {
        try put(.model("llama", [("general.name", .text("One"))]), "m.gguf")
        try scratch.file("models/q/n/n.gguf", "no model")
        let models = store.models()
        #expect(models.map(\.id) == ["m", "n"])
        #expect(try store.facts(of: models[0]).displayName == "One")
        let error = try #require(reason(models[1]))
        #expect(error.message == "n.gguf is no usable GGUF file: it does not begin with \"GGUF\"")
    }

    @Test("Facts are read again when the file has changed")
    func changes() throws {
        try put(.model("llama", [("general.name", .text("One"))]), "m.gguf")
        #expect(try store.facts(of: model()).displayName == "One")
        try put(.model("llama", [("general.name", .text("Other"))]), "m.gguf")
        #expect(try store.facts(of: model()).displayName == "Other")
    }

    @Test("Facts of a file that has not changed are not read again")
    func kept() throws {
        try put(.model("llama", [("general.name", .text("One"))]), "m.gguf")
        let path = try model().path
        let before = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
        let date = try #require(before).addingTimeInterval(-100)
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        #expect(try store.facts(of: model()).displayName == "One")
        try put(.model("llama", [("general.name", .text("Two"))]), "m.gguf")
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        #expect(try store.facts(of: model()).displayName == "One")
        #expect(try ModelStore(root: store.root).facts(of: model()).displayName == "Two")
    }

    @Test("Facts of many models are kept, although lists ask for all of them in order")
    func many() throws {
        let date = Date(timeIntervalSince1970: 1_700_000_000)
        func write(_ name: String) throws {
            for number in 100..<400 {
                try put(.model("llama", [("general.name", .text(name))]), "m-\(number).gguf")
                try FileManager.default.setAttributes(
                    [.modificationDate: date], ofItemAtPath: "\(store.root)/p/m/m-\(number).gguf")
            }
        }
        try write("One")
        let models = store.models()
        #expect(models.count == 300)
        for model in models { _ = try store.facts(of: model) }
        // Only who reads the files again sees the other name.
        try write("Two")
        #expect(try models.map { try store.facts(of: $0).displayName }.filter { $0 == "Two" } == [])
    }

    @Test("A model in parts is the sum of them")
    func parts() throws {
        try putParts()
        let facts = try store.facts(of: model())
        #expect(facts.parameters.total == 3 * 10_240)
        #expect(facts.weightBytes == 3 * 10_240 / 32 * 34)
        #expect(facts.kind == .llm)
        #expect(try model().parts.count == 3)
    }

    @Test("Parts that are missing are said to be")
    func missing() throws {
        try putParts([0, 2])
        try put(part(1), "big-00002-of-00004.gguf")
        let model = try #require(store.models().first { $0.file.hasPrefix("big-00001") })
        #expect(model.parts.count == 2 && model.expectedParts == 3)
        let error = try #require(reason(model))
        #expect(error.code == .incompleteModel)
        #expect(error.message == "m has 2 of its 3 parts: download it again")
    }

    @Test("A model whose first part is missing is there, and cannot be used")
    func firstMissing() throws {
        try putParts([1, 2])
        #expect(store.models().map(\.file) == ["big-00002-of-00003.gguf"])
        #expect(try reason(model())?.message == "m has 2 of its 3 parts: download it again")
        try scratch.file("models/p/m/big-00000-of-00000.gguf", "no part of anything")
        #expect(store.models().count == 1)
    }

    @Test("A part that is cut short is named")
    func cutPart() throws {
        try putParts()
        let path = "\(scratch.path)/models/p/m/big-00002-of-00003.gguf"
        let file = try #require(FileManager.default.contents(atPath: path))
        try file.dropLast().write(to: URL(filePath: path))
        let error = try #require(reason(model()))
        #expect(error.code == .incompleteModel)
        #expect(error.message.hasPrefix("big-00002-of-00003.gguf is cut short: the file ends at"), "\(error)")
    }

    @Test(
        "Parts that do not belong together are refused",
        arguments: [
            (2, 3, 3, "part 2 of 3 says that it is another"), (1, 3, 3, nil), (1, 4, 3, nil),
        ] as [(UInt16, UInt16, Int32, String?)])
    func strangers(number: UInt16, count: UInt16, tensors: Int32, says: String?) throws {
        try putParts()
        try put(part(number, of: count, tensors: tensors), "big-00002-of-00003.gguf")
        let error = try reason(model())
        if let says { #expect(error?.message.contains(says) == true) } else { #expect(error == nil) }
    }

    @Test(
        "What parts say of their number must be true",
        arguments: [
            (part: UInt16(4), tensors: Int32(3), says: "it has 4 parts, and 3 are here"),
            (3, 7, "it has 7 tensors, and its parts have 3"),
        ])
    func numbers(count: UInt16, tensors: Int32, says: String) throws {
        try putParts()
        try put(part(0, of: count, tensors: tensors), "big-00001-of-00003.gguf")
        let error = try #require(reason(model()))
        #expect(error.message.contains(says), "\(error)")
        #expect(error.message.hasPrefix("big-00001-of-00003.gguf: "), "\(error)")
    }

    @Test("The projector beside the weights goes with them, of several the one in 16 bits")
    func projector() throws {
        try put(.model("qwen2vl"), "M-Q4_K_M.gguf")
        #expect(try model().projector == nil)
        try put(.model("clip", [("clip.has_vision_encoder", .flag(true))]), "mmproj-Q8_0.gguf")
        #expect(try model().projector?.hasSuffix("/p/m/mmproj-Q8_0.gguf") == true)
        #expect(try store.facts(of: model()).senses.vision)
        try put(.model("clip", [("clip.has_audio_encoder", .flag(true))]), "M-mmproj-F16.gguf")
        #expect(store.models().count == 1)
        #expect(try model().projector?.hasSuffix("/p/m/M-mmproj-F16.gguf") == true)
        #expect(try store.facts(of: model()).senses == ModelFacts.Senses(vision: false, audio: true))
    }

    @Test("A projector that cannot be read, or is another thing by that name, is as good as none")
    func brokenProjector() throws {
        try put(.model("qwen2vl"), "M-Q4_K_M.gguf")
        try scratch.file("models/p/m/mmproj-F16.gguf", "nothing")
        #expect(try store.facts(of: model()).senses == ModelFacts.Senses())
        try put(.model("llama"), "mmproj-F16.gguf")
        let facts = try store.facts(of: model())
        #expect(facts.senses == ModelFacts.Senses() && facts.projectorBytes == 0)
    }
}
