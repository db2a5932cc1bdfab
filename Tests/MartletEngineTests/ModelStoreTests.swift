#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import MartletEngine
import Testing

@Suite("Models on disk")
struct ModelStoreTests {
    private let scratch = Scratch()
    private var store: ModelStore { ModelStore(root: "\(scratch.path)/models") }

    private func ids() -> [String] { store.models().map(\.id) }

    @Test("A model is named by its repository, in lower case and without -GGUF")
    func key() throws {
        try scratch.file("models/Qwen/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf", "12345")
        let model = try #require(store.models().first)
        #expect(model.id == "qwen3-8b")
        #expect(model.file == "Qwen3-8B-Q4_K_M.gguf")
        #expect(model.bytes == 5)
        #expect(FileManager.default.contents(atPath: model.path) == Data("12345".utf8))
        let gotBy = [
            "Qwen/Qwen3-8B-GGUF", "Qwen/Qwen3-8B-GGUF:Q4_K_M", "qwen/qwen3-8b-gguf@q4_k_m", "Qwen3-8B-GGUF",
            "Qwen3-8B-GGUF:Q4_K_M",
        ]
        for name in ["qwen3-8b", "Qwen3-8B", "qwen/qwen3-8b", "qwen3-8b@q4_k_m", "qwen/qwen3-8b@q4_k_m"] + gotBy {
            #expect(store.find(name) == model, "\(name)")
        }
        for name in ["qwen3", "qwen3-8b-gguf@q8_0", "qwen3-8b@q8_0", "other/qwen3-8b", "", "../qwen3-8b"] {
            #expect(store.find(name) == nil, "\(name)")
        }
    }

    @Test("Of several files the first by name has the plain key, and each has its own")
    func variants() throws {
        for file in ["m-Q8_0.gguf", "m-IQ2_XS.gguf", "m-Q4_K_M.gguf", "m-special.gguf", "M-UD-Q8_0.gguf"] {
            try scratch.file("models/pub/m/\(file)")
        }
        #expect(ids() == ["m", "m@iq2_xs", "m@q4_k_m", "m@m-q8_0", "m@m-special"])
        #expect(store.spellings()["m@q8_0"] == "m" && store.spellings()["pub/m@iq2_xs"] == "m@iq2_xs")
        #expect(store.find("m")?.file == "M-UD-Q8_0.gguf")
        #expect(store.find("m@q8_0")?.file == "M-UD-Q8_0.gguf")
        #expect(store.find("pub/m:iq2_xs")?.id == "m@iq2_xs")
    }

    @Test("The second publisher of a key has the publisher in front")
    func publishers() throws {
        try scratch.file("models/aaa/m/m.gguf", "a")
        try scratch.file("models/bbb/m/m.gguf", "bb")
        #expect(ids() == ["m", "bbb/m"])
        #expect(store.find("aaa/m")?.bytes == 1)
        #expect(store.find("bbb/m")?.bytes == 2)
    }

    @Test("A model in parts is one model, started by its first part and as large as all")
    func parts() throws {
        for part in 1...3 { try scratch.file("models/p/big/big-Q4_0-0000\(part)-of-00003.gguf", "xx") }
        try scratch.file("models/p/big/mmproj-F16.gguf", "projector")
        let models = store.models()
        #expect(models.map(\.id) == ["big"])
        #expect(models.first?.bytes == 6)
        #expect(models.first?.file == "big-Q4_0-00001-of-00003.gguf")
        #expect(store.find("big@q4_0") == models.first)
    }

    @Test("Hidden names, control characters, other depths and other files are passed over")
    func passedOver() throws {
        for name in [
            "models/p/r/.m.gguf", "models/p/.r/m.gguf", "models/.p/r/m.gguf", "models/p/r/m.gguf.part",
            "models/p/m.gguf",
            "models/m.gguf", "models/p/r/deeper/m.gguf", "models/p/r/a\u{7}b.gguf", "models/p/r\n/m.gguf",
        ] { try scratch.file(name) }
        try FileManager.default.createDirectory(
            atPath: "\(scratch.path)/models/p/r/folder.gguf", withIntermediateDirectories: true)
        #expect(ids() == [])
        #expect(store.misplaced() == ["m.gguf", "p/m.gguf"])
        #expect(ModelStore(root: "\(scratch.path)/nowhere").models() == [])
    }

    @Test("A link in place of a file is followed anywhere, in place of a folder only inside the root")
    func links() throws {
        let outside = try scratch.file("elsewhere/weights.gguf", "outside")
        try scratch.file("models/p/inside/i.gguf", "i")
        let manager = FileManager.default
        let models = "\(scratch.path)/models"
        try manager.createDirectory(atPath: "\(models)/p/linked", withIntermediateDirectories: true)
        try manager.createSymbolicLink(atPath: "\(models)/p/linked/l.gguf", withDestinationPath: outside)
        try manager.createSymbolicLink(
            atPath: "\(models)/p/linked/z-broken.gguf", withDestinationPath: "/nowhere/x.gguf")
        try manager.createSymbolicLink(atPath: "\(models)/p/away", withDestinationPath: "\(scratch.path)/elsewhere")
        try manager.createSymbolicLink(atPath: "\(models)/p/twin", withDestinationPath: "\(models)/p/inside")
        #expect(ids() == ["inside", "linked", "twin"])
        #expect(store.find("linked")?.bytes == 7)
        #expect(store.find("linked")?.path.hasSuffix("/p/linked/l.gguf") == true)
    }
}
