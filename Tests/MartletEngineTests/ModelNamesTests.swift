import MartletEngine
import MartletTestSupport
import Testing

@Suite("Names of models stay")
struct ModelNamesTests {
    private static func place(_ path: String) -> ModelNames.Place {
        let parts = path.split(separator: "/").map(String.init)
        return ModelNames.Place(publisher: parts[0], repository: parts[1], stem: String(parts[2].dropLast(5)))
    }

    /// What each of these is called, after they have been seen in this order, each list at once.
    private static func ids(_ sights: [String]...) -> [String] {
        var names = ModelNames()
        for sight in sights { names.admit(sight.map(place)) }
        return sights[sights.count - 1].map { names.names[$0]?.first ?? "" }
    }

    @Test("another publisher's model does not take the name, in whichever order they are listed")
    func publishers() {
        #expect(Self.ids(["b/foo-GGUF/foo-Q8_0.gguf"]) == ["foo"])
        #expect(
            Self.ids(["b/foo-GGUF/foo-Q8_0.gguf"], ["a/foo/f-Q4_0.gguf", "b/foo-GGUF/foo-Q8_0.gguf"]) == [
                "a/foo", "foo",
            ])
        #expect(Self.ids(["a/foo/f-Q4_0.gguf", "b/foo-GGUF/foo-Q8_0.gguf"]) == ["foo", "b/foo"])
    }

    @Test("another quantisation does not take the name, nor a spelling of it")
    func variants() throws {
        var names = ModelNames()
        let old = Self.place("m/bar-GGUF/bar-Q8_0.gguf")
        names.admit([old])
        let spellings = try #require(names.names[old.path])
        #expect(spellings.contains("m/bar") && spellings.contains("bar@q8_0") && spellings.contains("m/bar-gguf:q8_0"))
        let others = ["IQ2_XS", "UD-Q8_0"].map { Self.place("m/bar-GGUF/bar-\($0).gguf") }
        names.admit(others + [old])
        #expect(names.names[old.path] == spellings)
        #expect(others.map { names.names[$0.path]?.first } == ["bar@iq2_xs", "bar@bar-ud-q8_0"])
    }

    @Test("the name of one that is gone is nobody's until a new one comes")
    func gone() {
        let (first, second, third) = ("m/bar/b-Q8_0.gguf", "m/bar/b-Q4_0.gguf", "m/bar/b-Q5_0.gguf")
        #expect(Self.ids([first], [first, second], [second]) == ["bar@q4_0"])
        #expect(Self.ids([first], [first, second], [second], [second, third]) == ["bar@q4_0", "bar"])
        #expect(Self.ids(["a/foo/f.gguf"], ["a/foo/f.gguf", "b/foo/f.gguf"], ["b/foo/f.gguf"]) == ["b/foo"])
    }

    @Test("one that comes back has its name again, unless another has it by now")
    func back() {
        let (first, second, third) = ("m/bar/b-Q8_0.gguf", "m/bar/b-Q4_0.gguf", "m/bar/b-Q5_0.gguf")
        #expect(Self.ids([second], [first, second], [second], [first, second]) == ["bar@q8_0", "bar"])
        #expect(Self.ids([first], [second], [first, second]) == ["bar@q8_0", "bar"])
        #expect(
            Self.ids([first], [third], [third, second], [first, second, third]) == ["bar@q8_0", "bar@q4_0", "bar"])
    }

    @Test("what a model was got by finds it without the publisher too, unless another has or had that name")
    func bare() {
        func found(_ name: String, _ sights: [String]...) -> [String] {
            var names = ModelNames()
            for sight in sights { names.admit(sight.map(Self.place)) }
            return names.spellings.filter { $0.value.contains(name) }.map(\.key)
        }
        let (first, variant) = ("a/Foo-GGUF/f-Q8_0.gguf", "a/Foo-GGUF/f-Q4_0.gguf")
        let (other, plain) = ("b/foo-GGUF/f-Q5_0.gguf", "b/foo-gguf-GGUF/f.gguf")
        #expect(found("foo-gguf", [first], [first, variant]) == [first], "as a/foo-gguf does")
        #expect(found("foo-gguf:q4_0", [first], [first, variant]) == [variant])
        #expect(found("foo-gguf@q4_0", [first], [first, variant]) == [variant])
        #expect(found("foo-gguf", [first], [first, other]).isEmpty, "it is either's")
        #expect(found("foo-gguf", [first], [first, other], [other]).isEmpty, "it was another's")
        #expect(found("foo-gguf", [first], [other]) == [other], "as foo, which it has by now")
        #expect(found("foo-gguf", [first], [first, plain]) == [plain], "its own name")
        #expect(found("f-gguf", ["a/f/f.gguf"]).isEmpty)
    }

    @Test("models that differ in letter case, -GGUF or nothing else have names of their own")
    func alike() {
        let paths = [
            "a/Foo/f-Q4_0.gguf", "a/foo/f-Q4_0.gguf", "a/foo-GGUF/f-Q4_0.gguf", "a/foo-GGUF/g-Q4_0.gguf",
            "A/foo/f-Q4_0.gguf", "a/foo@q4_0/f.gguf", "a/foo-GGUF/g-q4_0.gguf",
        ]
        let ids = Self.ids(paths)
        #expect(Set(ids).count == paths.count && !ids.contains(""), "\(ids)")
    }

    @Test("whatever comes and goes: no name moves from one model that is there to another")
    func random() {
        let seed = UInt64.random(in: .min ... .max)
        var random = Seeded(seed)
        let all = ["a", "b"].flatMap { publisher in
            ["m", "m-GGUF", "n"].flatMap { repository in
                ["m-Q4_0", "m-UD-Q4_0", "m-Q8_0", "m"].map { "\(publisher)/\(repository)/\($0).gguf" }
            }
        }
        var names = ModelNames()
        var there: Set<String> = []
        for step in 0..<2000 {
            let before = names.names
            let old = there
            for path in all where Int.random(in: 0..<6, using: &random) == 0 {
                if there.remove(path) == nil { there.insert(path) }
            }
            names.admit(all.filter(there.contains).map(Self.place))
            let now = names.names.filter { there.contains($0.key) }
            #expect(Set(now.keys) == there, "seed \(seed), step \(step)")
            #expect(
                Set(now.values.flatMap(\.self)).count == now.values.reduce(0) { $0 + $1.count },
                "seed \(seed), step \(step)")
            for path in old.intersection(there) { #expect(now[path] == before[path], "seed \(seed), step \(step)") }
        }
    }

    @Test("what is remembered of models that are gone is bounded, and those that are there keep their names")
    func bound() {
        var names = ModelNames()
        let kept = Self.place("z/kept/k.gguf")
        names.admit([kept])
        let most = ModelNames.most
        for batch in 0..<3 {
            names.admit([kept] + (0..<most / 2).map { Self.place("p/m\(batch)-\($0)/m.gguf") })
        }
        #expect(names.entries.count == most && names.names[kept.path]?.first == "kept")
        #expect(names.names["p/m2-0/m.gguf"] != nil && names.names["p/m0-0/m.gguf"] == nil)
    }
}
