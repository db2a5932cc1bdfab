import Foundation
import MartletEngine
import MartletTestSupport
import Testing

@Suite("Models from elsewhere on the machine")
struct ModelImportTests {
    private let scratch = Scratch()
    private let store: ModelStore

    init() { store = ModelStore(root: "\(scratch.path)/store") }

    @discardableResult
    private func put(_ name: String, _ writer: GGUFWriter = .model("llama")) throws -> String {
        let path = "\(scratch.path)/\(name)"
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        try FileManager.default.createDirectory(atPath: "/" + folder, withIntermediateDirectories: true)
        return try scratch.model(writer, name)
    }

    private func source(_ path: String, to target: String? = nil) throws -> ModelImport {
        let source = try ImportSource(at: path)
        return try ModelImport(try #require(source.models.first), to: target, isLaidOut: source.areLaidOut)
    }

    /// Names of all files under a folder, hidden ones too.
    private func files(_ folder: String = "store") -> [String] {
        let all = FileManager.default.enumerator(atPath: "\(scratch.path)/\(folder)")?.compactMap { $0 as? String }
        return (all ?? []).filter { $0.hasSuffix(".gguf") || $0.contains(".importing") }.sorted()
    }

    @Test(
        "Where a model goes is told by where it lies",
        arguments: [
            ("models/acme/Writer-GGUF/w.gguf", "acme/Writer-GGUF"),
            ("hub/models--acme--Writer-8B/snapshots/0a1b/w.gguf", "acme/Writer-8B"),
            ("Downloads/Writer-8B-Q4_K_M.gguf", "imported/Writer-8B"),
            ("Downloads/My Writer.Q8_0.gguf", "imported/My-Writer"), ("Downloads/q4_0.gguf", "imported/q4_0"),
            ("Downloads/ü.gguf", "imported/model"), ("models/..x/Writer/w.gguf", "imported/w"),
        ])
    func places(path: String, place: String) throws {
        try put(path)
        #expect(try source("\(scratch.path)/\(path)").place == place)
    }

    @Test(
        "Names that lead elsewhere are no place",
        arguments: ["a", "a/b/c", "../b", "a/..", "a/", "a b/c", "/a/b", ""])
    func targets(target: String) throws {
        let path = try put("m.gguf")
        #expect(throws: EngineError.self) { try source(path, to: target) }
    }

    @Test("All parts and the projector are moved, and nothing else")
    func moved() throws {
        for number in 1...2 {
            var writer = GGUFWriter.model("llama")
            writer.keys += [("split.no", .uint16(UInt16(number - 1))), ("split.count", .uint16(2))]
            try put("in/big-0000\(number)-of-00002.gguf", writer)
        }
        try put("in/mmproj.gguf", .model("clip"))
        try Data("mine".utf8).write(to: URL(filePath: "\(scratch.path)/in/notes.txt"))
        let run = ImportRun(
            try source("\(scratch.path)/in/big-00002-of-00002.gguf", to: "p/m"), by: .move, into: store.root)
        #expect(try run.run())
        #expect(files() == ["p/m/big-00001-of-00002.gguf", "p/m/big-00002-of-00002.gguf", "p/m/mmproj.gguf"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/in") == ["notes.txt"])
        #expect(try store.facts(of: try #require(store.models().first)).senses.vision)
    }

    @Test("A projector beside several models is not taken for that of one")
    func shared() throws {
        for name in ["a-Q8_0.gguf", "b-Q8_0.gguf"] { try put("in/\(name)") }
        try put("in/mmproj.gguf", .model("clip"))
        #expect(try source("\(scratch.path)/in/a-Q8_0.gguf").files.count == 1)
        #expect(try ImportSource(at: "\(scratch.path)/in").strays.map(\.models.count) == [2])
        #expect(throws: EngineError.self) { try ImportSource(at: "\(scratch.path)/in/mmproj.gguf") }
    }

    @Test(
        "A projector is of the model that its name begins as, and of all quantisations of it",
        arguments: [
            (["a-Q4_0", "b-Q8_0"], ["mmproj-b-f16"], [nil, "mmproj-b-f16"]),
            (["b-Q4_0", "b-large-Q4_0"], ["mmproj-b-f16"], ["mmproj-b-f16", nil]),
            (["b-Q4_0", "b-large-Q4_0"], ["b-large.mmproj-f16"], [nil, "b-large.mmproj-f16"]),
            (
                ["b-c-IQ4_XS", "b-c-UD-Q8_K_XL", "d-F16"], ["mmproj-b-c-bf16"],
                ["mmproj-b-c-bf16", "mmproj-b-c-bf16", nil]
            ),
            (["a-Q4_0", "a-Q8_0"], ["mmproj-f32", "mmproj-f16"], ["mmproj-f16", "mmproj-f16"]),
            (["a-Q4_0"], ["mmproj-other-f16"], ["mmproj-other-f16"]),
            (["a-1-Q4_0", "a-2-Q4_0"], ["mmproj-a-f16"], [nil, nil]),
            (["a-Q4_0", "b-Q4_0"], ["mmproj-model-f16", "mmproj-a-f32"], ["mmproj-a-f32", nil]),
        ])
    func owners(weights: [String], projectors: [String], owned: [String?]) throws {
        for name in weights { try put("in/\(name).gguf") }
        for name in projectors { try put("in/\(name).gguf", .model("clip")) }
        let models = try ImportSource(at: "\(scratch.path)/in").models
        let found = Dictionary(uniqueKeysWithValues: models.map { ($0.file, $0.projector) })
        for (name, projector) in zip(weights, owned) {
            #expect((found["\(name).gguf"] ?? nil) == projector.map { "\(scratch.path)/in/\($0).gguf" }, "\(name)")
        }
    }

    @Test("A projector that was linked before is not moved away from its link")
    func linked() throws {
        for name in ["m-Q4_0", "m-Q8_0"] { try put("in/\(name).gguf") }
        try put("in/mmproj-m.gguf", .model("clip"))
        let models = try ImportSource(at: "\(scratch.path)/in").models
        #expect(try ImportRun(ModelImport(models[0], to: "p/m"), by: .link, into: store.root).run())
        #expect(try ImportRun(ModelImport(models[1], to: "p/m"), by: .move, into: store.root).run())
        #expect(files("in") == ["m-Q4_0.gguf", "mmproj-m.gguf"])
    }

    @Test("What is moved leaves a projector to those that stay, and takes it with the last")
    func kept() throws {
        for name in ["m-Q4_0", "m-Q8_0"] { try put("in/\(name).gguf") }
        try put("in/mmproj-m.gguf", .model("clip"))
        let source = try ImportSource(at: "\(scratch.path)/in")
        var moved: Set<String> = []
        func move(_ model: InstalledModel, to place: String) throws {
            let isShared = source.isShared(model, beside: moved)
            let one = try ModelImport(model, to: place)
            #expect(try ImportRun(one, by: .move, into: store.root, keepsProjector: isShared).run())
            moved.insert(model.path)
        }
        try move(source.models[0], to: "p/one")
        #expect(files("in") == ["m-Q8_0.gguf", "mmproj-m.gguf"])
        try move(source.models[1], to: "p/two")
        #expect(files("in").isEmpty)
        #expect(files() == ["p/one/m-Q4_0.gguf", "p/one/mmproj-m.gguf", "p/two/m-Q8_0.gguf", "p/two/mmproj-m.gguf"])
    }

    @Test("What is cancelled leaves nothing, and the source as it was")
    func cancelled() async throws {
        let path = try put("in/m.gguf")
        let run = ImportRun(try source(path, to: "p/m"), by: .copy, into: store.root)
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try run.run()
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(files().isEmpty && !FileManager.default.fileExists(atPath: "\(store.root)/p"))
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test("A folder in the place of a file stays, and nothing is moved")
    func folderInPlace() throws {
        try put("in/m.gguf")
        try put("in/mmproj.gguf", .model("clip"))
        let source = try source("\(scratch.path)/in", to: "p/m")
        let taken = "\(store.root)/p/m/m.gguf"
        try FileManager.default.createDirectory(atPath: taken, withIntermediateDirectories: true)
        #expect(throws: EngineError.self) { try ImportRun(source, by: .move, into: store.root).run() }
        #expect(files("in") == ["m.gguf", "mmproj.gguf"] && FileManager.default.fileExists(atPath: taken))
    }

    @Test("The same content is here already, another one keeps its name")
    func again() throws {
        let path = try put("in/m.gguf")
        let run = ImportRun(try source(path, to: "p/m"), by: .copy, into: store.root)
        #expect(try run.run())
        #expect(try !run.run(), "it is here")
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: URL(filePath: path))
        let error = #expect(throws: EngineError.self) { try run.run() }
        #expect(error?.code == .nameTaken)
        #expect(try Data(contentsOf: URL(filePath: "\(store.root)/p/m/m.gguf")) != bytes)
    }

    @Test("A link is not moved, as the model would stay behind")
    func link() throws {
        let path = try put("real.gguf")
        let link = "\(scratch.path)/in.gguf"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        let source = try source(link, to: "p/m")
        let error = #expect(throws: EngineError.self) { try ImportRun(source, by: .move, into: store.root).run() }
        #expect(error?.message.contains("use --copy or --link") == true)
        #expect(try ImportRun(source, by: .link, into: store.root).run())
        let target = try FileManager.default.destinationOfSymbolicLink(atPath: "\(store.root)/p/m/in.gguf")
        #expect(target.hasSuffix("/real.gguf"))
    }

    @Test("What is no model to be loaded says why")
    func others() throws {
        let adapter = try put("lora.gguf", .model("llama", [("general.type", .text("adapter"))]))
        let error = #expect(throws: EngineError.self) { try source(adapter) }
        #expect(error?.message.contains("it is an adapter (LoRA)") == true)
        let clip = try put("vision.gguf", .model("clip"))
        #expect(throws: EngineError.self) { try source(clip) }
    }
}
