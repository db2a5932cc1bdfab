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
        let (models, areLaidOut) = try ModelImport.models(at: path)
        return try ModelImport(try #require(models.first), to: target, isLaidOut: areLaidOut)
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
        #expect(throws: EngineError.self) { try ModelImport.models(at: "\(scratch.path)/in/mmproj.gguf") }
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
