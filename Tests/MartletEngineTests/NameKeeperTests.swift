#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import MartletEngine
import Testing

@Suite("Names of models are kept beside them")
struct NameKeeperTests {
    private let scratch = Scratch()
    private let warnings = Box<[String]>([])
    private var root: String { "\(scratch.path)/models" }
    private var kept: String { "\(root)/.martlet/names.json" }

    /// As another program would look.
    private func store() -> ModelStore {
        let warnings = self.warnings
        return ModelStore(root: root) { warning in warnings.change { $0.append(warning) } }
    }

    private func ids() -> [String] { store().models().map(\.id) }

    @Test("programs that look one after the other find the same names, whatever was added between")
    func shared() throws {
        try scratch.file("models/b/foo-GGUF/foo-Q8_0.gguf", "b")
        #expect(ids() == ["foo"])
        try scratch.file("models/a/foo-GGUF/foo-Q4_K_M.gguf", "aa")
        try scratch.file("models/b/foo-GGUF/foo-IQ2_XS.gguf", "bbb")
        #expect(ids() == ["a/foo", "foo@iq2_xs", "foo"])
        for name in ["foo", "FOO", "b/foo", "foo@q8_0", "B/foo-GGUF:Q8_0"] { #expect(store().find(name)?.bytes == 1) }
        #expect(store().find("foo")?.variant == "foo@q8_0" && store().find("a/foo")?.variant == "a/foo@q4_k_m")
        try FileManager.default.removeItem(atPath: "\(root)/b/foo-GGUF/foo-Q8_0.gguf")
        for name in ["foo", "b/foo", "foo@q8_0"] { #expect(store().find(name) == nil) }
        #expect(ids() == ["a/foo", "foo@iq2_xs"] && warnings.value == [])
    }

    @Test("a model in parts keeps its name when one of them is missing")
    func parts() throws {
        for part in 1...2 { try scratch.file("models/p/m/m-Q4_0-0000\(part)-of-00002.gguf", "xx") }
        #expect(ids() == ["m"])
        try scratch.file("models/p/m/m-Q2_K.gguf")
        try FileManager.default.removeItem(atPath: "\(root)/p/m/m-Q4_0-00001-of-00002.gguf")
        #expect(ids() == ["m@q2_k", "m"])
    }

    @Test("nothing is written where nothing is new, nor in a folder of another program")
    func unwritten() throws {
        #expect(ids() == [] && !FileManager.default.fileExists(atPath: root))
        try scratch.file("models/p/m/m.gguf")
        #expect(ModelStore(foreign: root).models().map(\.id) == ["m"])
        #expect(!FileManager.default.fileExists(atPath: "\(root)/.martlet"))
        #expect(ids() == ["m"])
        let written = FileManager.default.contents(atPath: kept)
        try FileManager.default.removeItem(atPath: "\(root)/p/m/m.gguf")
        #expect(ids() == [] && FileManager.default.contents(atPath: kept) == written)
    }

    @Test(
        "what cannot be read is set aside, said once, and begun anew",
        arguments: [
            "", "{", "[]", #"{"version":2,"files":{}}"#, #"{"version":1,"files":{"p/m/m.gguf":[]}}"#,
            #"{"version":1,"files":{"p/m/m.gguf":["a\nb"]}}"#,
        ])
    func damaged(_ text: String) throws {
        try scratch.file("models/p/m/m.gguf")
        try scratch.file("models/.martlet/names.json", text)
        let store = store()
        #expect(store.models().map(\.id) == ["m"] && store.models().map(\.id) == ["m"])
        #expect(warnings.value.count == 1 && warnings.value.first?.contains("names.json.damaged") == true)
        #expect(FileManager.default.contents(atPath: kept + ".damaged") == Data(text.utf8))
        try scratch.file("models/a/m/m.gguf")
        #expect(ids() == ["a/m", "m"] && warnings.value.count == 1)
    }

    @Test("two entries with one name are no reason for two models with one name")
    func doubled() throws {
        try scratch.file("models/p/m/m.gguf")
        try scratch.file("models/q/m/m.gguf")
        try scratch.file(
            "models/.martlet/names.json", #"{"version":1,"files":{"q/m/m.gguf":["x"],"p/m/m.gguf":["x"]}}"#)
        #expect(ids() == ["m", "x"] && warnings.value == [])
    }

    @Test("where nothing can be written models have the names they would get, and that is said once")
    func unwritable() throws {
        try scratch.file("models/b/m/m.gguf", "b")
        // A file in the folder's place; permissions do not keep a test out that runs as root.
        try scratch.file("models/.martlet")
        let store = store()
        #expect(store.models().map(\.id) == ["m"])
        try scratch.file("models/a/m/m.gguf", "aa")
        #expect(store.models().map(\.id) == ["m", "b/m"] && store.find("m")?.bytes == 2)
        #expect(warnings.value.count == 1 && warnings.value.first?.contains("cannot be kept") == true)
    }

    @Test("programs that look at the same time agree")
    func together() async throws {
        for number in 0..<40 { try scratch.file("models/p\(number % 4)/m\(number / 8)/m-Q\(number % 8)_0.gguf") }
        let store = self.store
        let seen = await withTaskGroup(of: [String].self) { group in
            for _ in 0..<8 { group.addTask { store().models().map { "\($0.place) \($0.id)" } } }
            return await group.reduce(into: Set<[String]>()) { $0.insert($1) }
        }
        #expect(seen.count == 1 && seen.first?.count == 40 && warnings.value == [])
    }
}
