import Foundation
import MartletEngine
import Testing

@Suite("What goes when a model is removed")
struct ModelRemovalTests {
    private let scratch = Scratch()
    private let store: ModelStore

    init() { store = ModelStore(root: "\(scratch.path)/models") }

    private func remove(_ id: String) throws -> ModelRemoval {
        let removal = try store.removal(of: try #require(store.find(id)))
        try store.remove(removal)
        return removal
    }

    private func names(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/\(folder)")) ?? []).sorted()
    }

    @Test("Weights, what an unfinished download left of them, and folders that are empty then")
    func all() throws {
        try scratch.file("models/p/m/m.gguf", "12345")
        try scratch.file("models/p/m/m.gguf.0123456789ab.part", "123")
        for name in [".m.gguf.lock", ".m.gguf.importing"] { try scratch.file("models/p/m/\(name)") }
        try scratch.file("models/p/n/n.gguf", "1")
        #expect(try remove("m").bytes == 8)
        #expect(names("models/p") == ["n"])
        _ = try remove("n")
        #expect(names("models") == [".martlet"] && FileManager.default.fileExists(atPath: store.root))
    }

    @Test("Nothing becomes free where the file has another name, or only a link goes")
    func links() throws {
        try scratch.file("models/p/m/m.gguf", "12345")
        try scratch.file("real.gguf", "12345")
        let files = FileManager.default
        try files.linkItem(atPath: "\(store.root)/p/m/m.gguf", toPath: "\(scratch.path)/other.gguf")
        try files.createDirectory(atPath: "\(store.root)/p/n", withIntermediateDirectories: true)
        try files.createSymbolicLink(
            atPath: "\(store.root)/p/n/n.gguf", withDestinationPath: "\(scratch.path)/real.gguf")
        #expect(try remove("m").bytes == 0)
        #expect(try remove("n").bytes == 0)
        #expect(names("") == ["models", "other.gguf", "real.gguf"])
    }

    @Test("Of a linked folder the link goes, with all models behind it and none of their files")
    func linkedFolder() throws {
        try scratch.file("models/p/m/a-Q4_0.gguf", "1")
        try scratch.file("models/p/m/b-Q8_0.gguf", "1")
        try FileManager.default.createSymbolicLink(
            atPath: "\(store.root)/p/z", withDestinationPath: "\(store.root)/p/m")
        let removal = try remove("z")
        #expect(removal.others == ["z@q8_0"])
        #expect(names("models/p") == ["m"] && names("models/p/m").count == 2)
    }

    @Test("A model behind a linked publisher is left alone")
    func linkedPublisher() throws {
        try scratch.file("models/p/m/m.gguf", "1")
        try FileManager.default.createSymbolicLink(
            atPath: "\(store.root)/q", withDestinationPath: "\(store.root)/p")
        let error = #expect(throws: EngineError.self) { try remove("q/m") }
        #expect(error?.code == .outsideModels)
        #expect(names("models/p/m") == ["m.gguf"])
    }

    @Test("A model of another folder is left alone")
    func outside() throws {
        try scratch.file("elsewhere/p/m/m.gguf", "1")
        try scratch.file("models/p/m/m.gguf", "1")
        let other = try #require(ModelStore(root: "\(scratch.path)/elsewhere").models().first)
        #expect(throws: EngineError.self) { try store.removal(of: other) }
    }
}
