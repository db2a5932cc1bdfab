import MartletDialects
import MartletGateway
import MartletTestSupport
import NIOCore
import Testing

@Suite("Model names")
struct RouteTableTests {
    static let studio = Make.upstream("studio", .lmStudio)
    static let box = Make.upstream("box", .vllm)
    static let served = [
        "studio": ServedModels(ids: ["qwen3-8b", "qwen/qwen3-4b", "shared", "gemma-2@q4"], loaded: ["qwen3-8b"]),
        "box": ServedModels(ids: ["shared", "llama-3.1-70b", "box/odd"], loaded: []),
    ]

    static func table(
        _ aliases: [(pattern: String, targets: [String])] = [], served: [String: ServedModels] = served,
        default defaultModel: String? = nil, allowed: [String] = [], upstreams: [Upstream] = [studio, box]
    ) -> RouteTable {
        RouteTable(
            upstreams: upstreams, served: served, aliases: aliases, defaultModel: defaultModel, allowed: allowed)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var name: String?
        var expected: [String]
        var table: RouteTable

        init(_ name: String, _ asked: String?, _ expected: [String], _ table: RouteTable = RouteTableTests.table()) {
            testDescription = name
            self.name = asked
            self.expected = expected
            self.table = table
        }
    }

    static let unlisted = ["studio": ServedModels(ids: ["qwen3-8b"])]

    static let cases: [Case] = [
        // The order of product.md 3.
        Case(
            "exact alias before an id of the same name", "qwen3-8b", ["box/llama-3.1-70b"],
            table([("qwen3-8b", ["box/llama-3.1-70b"])])),
        Case("upstream/model", "box/shared", ["box/shared"]),
        Case("upstream/model before an id that is spelled so", "box/odd", ["box/box/odd"]),
        Case("exact id at the first upstream that lists it", "shared", ["studio/shared"]),
        Case("exact id with a publisher", "qwen/qwen3-4b", ["studio/qwen/qwen3-4b"]),
        Case("a variant", "gemma-2@q4", ["studio/gemma-2@q4"]),
        Case("exact id before a glob", "shared", ["studio/shared"], table([("sh*", ["box/llama-3.1-70b"])])),
        Case("glob", "claude-x", ["box/shared"], table([("claude-*", ["box/shared"])])),
        Case(
            "most specific glob first", "claude-haiku-4", ["studio/qwen3-8b"],
            table([("claude-*", ["box/shared"]), ("claude-*haiku*", ["studio/qwen3-8b"])])),
        Case(
            "equally specific globs in the order of the file", "abc", ["box/shared"],
            table([("a*", ["box/shared"]), ("*c", ["studio/qwen3-8b"])])),
        Case(
            "a list is a fail-over order", "f", ["box/llama-3.1-70b", "studio/qwen3-8b"],
            table([("f", ["box/llama-3.1-70b", "qwen3-8b"])])),
        Case("names are compared as they are written", "Qwen3-8B", ["error model_not_found"]),
        Case("no silent substitute for a part of a name", "qwen3", ["error model_not_found"]),
        Case(
            "an alias does not lead to an alias", "a", ["error model_not_found"],
            table([("a", ["b"]), ("b", ["shared"])])),
        Case("an upstream that does not list it", "box/qwen3-8b", ["error model_not_found"]),
        Case("an upstream without a model", "box/", ["error model_not_found"]),
        Case("control characters", "a\nb", ["error invalid_request"]),
        Case("too long a name", String(repeating: "x", count: 513), ["error invalid_request"]),
        // Context suffixes.
        Case("B26: a suffix is no part of an id", "qwen3-8b[1m]", ["studio/qwen3-8b"]),
        Case("an alias may name the suffix", "m[1m]", ["box/shared"], table([("m[1m]", ["box/shared"])])),
        Case(
            "a suffix before a glob that would take all", "qwen3-8b[1m]", ["studio/qwen3-8b"],
            table([("*", ["box/shared"])])),
        Case("only a suffix", "[1m]", ["error model_not_found"]),
        Case("a suffix and models.allowed", "shared[1m]", ["studio/shared"], table(allowed: ["shared"])),
        Case("a suffix is not sent to an upstream on trust", "new[1m]", ["box/new"], table(served: unlisted)),
        // Lists that were never read.
        Case("an upstream whose list is unknown takes any id", "new", ["box/new"], table(served: unlisted)),
        Case("a listed id before such an upstream", "qwen3-8b", ["studio/qwen3-8b"], table(served: unlisted)),
        Case("upstream/model without a list", "box/new", ["box/new"], table(served: unlisted)),
        Case("all that take it on trust, in order", "new", ["studio/new", "box/new"], table(served: [:])),
        Case(
            "a model of this machine is never taken on trust", "new", ["error model_not_found"],
            table(served: [:], upstreams: [Make.upstream("local", .engine, location: .hosted)])),
        // Configuration may abbreviate.
        Case("a unique part of a name is enough in an alias", "a", ["box/llama-3.1-70b"], table([("a", ["llama"])])),
        Case("a unique part behind an upstream's name", "a", ["box/llama-3.1-70b"], table([("a", ["box/llama"])])),
        Case("an ambiguous part is an error", "a", ["error model_not_found"], table([("a", ["qwen3"])])),
        Case(
            "an ambiguous part behind an upstream's name is an error", "a", ["error model_not_found"],
            table([("a", ["studio/qwen3"])])),
        Case("one id at two upstreams is not ambiguous", "a", ["studio/shared"], table([("a", ["share"])])),
        Case(
            "an alias's target at an upstream without a list", "a", ["box/whatever"],
            table([("a", ["box/whatever"])], served: unlisted)),
        // No model named.
        Case("D17: no model: the default", nil, ["box/llama-3.1-70b"], table(default: "llama-3.1-70b")),
        Case("no model: the default may be an alias's target", nil, ["box/llama-3.1-70b"], table(default: "llama")),
        Case("no model: the only loaded one", nil, ["studio/qwen3-8b"]),
        Case(
            "no model: the only served one", nil, ["studio/x"],
            table(served: ["studio": ServedModels(ids: ["x"]), "box": ServedModels(ids: [])])),
        Case(
            "no model: one id at two upstreams is one model", nil, ["studio/x"],
            table(served: ["studio": ServedModels(ids: ["x"]), "box": ServedModels(ids: ["x"])])),
        Case(
            "no model: several", nil, ["error invalid_request"],
            table(served: ["studio": ServedModels(ids: ["x", "y"]), "box": ServedModels(ids: [])])),
        Case(
            "no model: none", nil, ["error model_not_found"],
            table(served: ["studio": ServedModels(ids: []), "box": ServedModels(ids: [])])),
        Case(
            "no model: instances of the only loaded model are one model", nil, ["studio/mine"],
            table(
                served: [
                    "studio": ServedModels(
                        ids: ["x", "y"], loaded: ["mine", "x"], instances: ["mine": "x"])
                ])),
        Case(
            "no model: what makes embeddings is not chosen", nil, ["studio/x"],
            table(
                served: ["studio": ServedModels(ids: ["x", "y", "e"], loaded: ["e", "x"], work: ["e": .embeddings])])),
        Case("an empty name is no name", "", ["studio/qwen3-8b"]),
        Case("local-model is no name", "local-model", ["studio/qwen3-8b"]),
        Case(
            "local-model that exists is one", "local-model", ["box/local-model"],
            table(served: ["studio": ServedModels(ids: ["x"]), "box": ServedModels(ids: ["local-model", "y"])])),
        Case("local-model as an alias", "local-model", ["box/shared"], table([("local-model", ["box/shared"])])),
        Case(
            "no model and no list: the upstream's own choice", "local-model", ["box/local-model"],
            table(served: ["studio": ServedModels(ids: [])])),
        // models.allowed.
        Case("not allowed", "llama-3.1-70b", ["error model_not_allowed"], table(allowed: ["shared"])),
        Case("allowed", "shared", ["studio/shared"], table(allowed: ["shared"])),
        Case(
            "no model: only allowed ones are chosen from", nil, ["studio/x"],
            table(
                served: ["studio": ServedModels(ids: ["x", "y"], loaded: []), "box": ServedModels(ids: [])],
                allowed: ["x"])),
        Case(
            "no model: a loaded one that is not allowed is not chosen", nil, ["box/llama-3.1-70b"],
            table(allowed: ["llama-3.1-70b"])),
        Case(
            "no model: a default that is not allowed is no way round", nil, ["error model_not_allowed"],
            table(default: "shared", allowed: ["qwen3-8b"])),
        Case("no model: an alias as default", nil, ["box/shared"], table([("d", ["box/shared"])], default: "d")),
        Case(
            "an alias of what is allowed is allowed", "z", ["studio/shared"],
            table([("z", ["shared", "llama-3.1-70b"])], allowed: ["shared"])),
        Case(
            "a pattern of what is allowed is allowed", "claude-x", ["box/shared"],
            table([("claude-*", ["box/shared"])], allowed: ["shared"])),
        Case(
            "an alias of what is not allowed is not", "z", ["error model_not_allowed"],
            table([("z", ["llama-3.1-70b"])], allowed: ["shared"])),
        Case(
            "a pattern stands for no model that is there and not allowed", "llama-3.1-70b",
            ["error model_not_allowed"], table([("llama*", ["shared"])], allowed: ["shared"])),
        Case(
            "an alias that is allowed by its own name", "z", ["box/llama-3.1-70b"],
            table([("z", ["llama-3.1-70b"])], allowed: ["z"])),
    ]

    @Test(
        "Who names no model gets the only one that does what is asked",
        arguments: [
            (nil, ["studio/writer"]), (VectorTask.embeddings, ["studio/embedder"]),
            (.rerank, ["error model_not_found"]),
        ] as [(VectorTask?, [String])])
    func work(task: VectorTask?, expected: [String]) {
        let work: [String: ModelWork] = ["writer": .text(seesImages: false), "embedder": .embeddings]
        let served = [
            "studio": ServedModels(ids: ["writer", "embedder"], work: work), "box": ServedModels(ids: []),
        ]
        #expect(Self.table(served: served).outcome(nil, for: task) == expected)
    }

    @Test("A name leads where the rules say", arguments: cases)
    func resolve(_ one: Case) {
        #expect(one.table.outcome(one.name) == one.expected)
        #expect(
            one.table.with(served: one.table.served).outcome(one.name) == one.expected, "after the lists were read anew"
        )
    }

    @Test("A name that would be asked for on trust is not listed; one that the configuration names is")
    func onTrust() throws {
        let table = Self.table([("named", ["box/any"])], served: Self.unlisted)
        for name in ["qwen3-8b", "named", "box/any"] { try table.checkListed(name) }
        let error = #expect(throws: GatewayError.self) { try table.checkListed("qwen3-8") }
        #expect(error?.code == .modelNotFound)
        #expect(error?.message.contains("closest: qwen3-8b") == true)
        #expect(error?.message.hasSuffix("The list of box could not be read") == true)
    }

    @Test("An unknown name is answered with what is near, an ambiguous one with its candidates")
    func messages() {
        #expect(
            Self.table().message("qwen3-8")?.hasPrefix(
                "model \"qwen3-8\" is not installed or served; closest: qwen3-8b") == true)
        #expect(Self.table([("a", ["qwen3"])]).message("a")?.contains("studio/qwen3-8b, studio/qwen/qwen3-4b") == true)
        #expect(Self.table(allowed: ["shared"]).message("x")?.hasSuffix("allowed: shared") == true)
        #expect(Self.table(allowed: ["shared"]).message("shared-") != nil)
        let none = Self.table(served: ["studio": ServedModels(ids: ["x", "y"]), "box": ServedModels(ids: [])])
        #expect(none.message(nil)?.contains("name one of: x, y") == true)
    }

    @Test(
        "Another spelling of an id leads to it, in any case, but no other name does",
        arguments: [
            ("two@Q4_K_M", ["box/two"]), ("TWO", ["box/two"]), ("box/Two@q4_k_m", ["box/two"]), ("two", ["box/two"]),
            ("one", ["studio/one"]), ("two@q8_0", ["error model_not_found"]),
            ("gone", ["error model_not_found"]), ("box/gone", ["error model_not_found"]),
        ])
    func spellings(name: String, expected: [String]) {
        let served = [
            "studio": ServedModels(ids: ["one"]),
            "box": ServedModels(
                ids: ["two"], spellings: ["two": "two", "two@q4_k_m": "two", "one": "two", "gone": "gone"]),
        ]
        #expect(Self.table(served: served).outcome(name) == expected)
        if expected == ["box/two"] { #expect(Self.table(served: served, allowed: ["two"]).outcome("Two") == expected) }
    }

    @Test("The list holds each name once, in order, aliases last, and only what is allowed")
    func listed() {
        let table = Self.table([("z", ["shared"]), ("b", ["shared"]), ("g*", ["shared"]), ("shared", ["qwen3-8b"])])
        #expect(
            table.listed == ["qwen3-8b", "qwen/qwen3-4b", "shared", "gemma-2@q4", "llama-3.1-70b", "box/odd", "b", "z"])
        #expect(Self.table([("z", ["shared"])], allowed: ["shared"]).listed == ["shared", "z"])
        #expect(Self.table([("z", ["llama-3.1-70b"])], allowed: ["shared"]).listed == ["shared"])
    }

    @Test(
        "What is near a name",
        arguments: [
            ("qwen", ["qwen3-8b", "zqwen"]), ("QWEN3-8B", ["qwen3-8b", "zqwen"]), ("quen3-8b", ["qwen3-8b"]),
            ("something-else-entirely", []),
        ])
    func closest(name: String, expected: [String]) {
        #expect(ModelName.closest(to: name, among: ["zqwen", "qwen3-8b", "llama"]) == expected)
    }

    @Test("No more names are offered than asked for")
    func closestCount() {
        #expect(ModelName.closest(to: "m", among: (0..<9).map { "m\($0)" }).count == 5)
    }

    @Test(
        "Globs",
        arguments: [
            ("*", "", true), ("*", "a/b", true), ("a*", "a", true), ("a*", "ba", false), ("*a", "bca", true),
            ("*a", "ab", false),
            ("a*b*c", "aXbYc", true), ("a*b*c", "acb", false), ("a*b", "ab", true), ("a**b", "axb", true),
            ("abc", "abc", true),
            ("abc", "abcd", false), ("", "", true), ("", "a", false), ("*aab", "aaaab", true),
            ("claude-*haiku*", "claude-3-5-haiku-1", true),
            ("a.c", "abc", false), ("a?c", "abc", false), ("[a]", "a", false),
        ])
    func glob(pattern: String, name: String, expected: Bool) {
        #expect(Glob(pattern).matches(name) == expected)
    }

    @Test("A pattern made to be slow is not")
    func slowGlob() {
        let pattern = Glob(String(repeating: "*a", count: 40) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 500)))
    }

    @Test("Globs agree with the obvious way to match them", arguments: 0..<4)
    func globOracle(batch: Int) {
        func matches(_ pattern: Substring, _ name: Substring) -> Bool {
            guard let first = pattern.first else { return name.isEmpty }
            if first == "*" {
                return matches(pattern.dropFirst(), name) || !name.isEmpty && matches(pattern, name.dropFirst())
            }
            return name.first == first && matches(pattern.dropFirst(), name.dropFirst())
        }
        var random = Seeded(UInt64(batch))
        for _ in 0..<3000 {
            let pattern = String((0..<random.below(7)).map { _ in random.pick(Array("ab*")) })
            let name = String((0..<random.below(7)).map { _ in random.pick(Array("ab")) })
            #expect(
                Glob(pattern).matches(name) == matches(pattern[...], name[...]), "\(pattern) on \(name), seed \(batch)")
        }
    }

    @Test(
        "Suffixes",
        arguments: [
            ("a[1m]", "a"), ("a", "a"), ("[1m]", "[1m]"), ("a[1m]x", "a[1m]x"), ("a]", "a]"), ("a[b][c]", "a[b]"),
            ("", ""),
        ])
    func suffix(name: String, bare: String) {
        #expect(ModelName.withoutContextSuffix(name) == bare)
    }

    @Test("A variant and an instance that an upstream tells of are asked for by those names")
    func furtherNames() throws {
        let models = ServedModels(
            ids: ["a/m"], windows: ["a/m:2": ContextWindow(loaded: 512)], instances: ["a/m:2": "a/m"],
            variants: ["a/m@q4_k_m": "a/m"])
        let table = Self.table(served: ["box": models], upstreams: [Self.box])
        let narrow = Self.table(served: ["box": models], allowed: ["a/m"], upstreams: [Self.box])
        for name in ["a/m:2", "a/m@q4_k_m", "box/a/m:2", "box/a/m@q4_k_m"] {
            let place = try #require(try table.resolve(name).first)
            #expect(place.model == name.replacing("box/", with: "") && place.listedElsewhere == nil, "\(name)")
        }
        for name in ["a/m:2", "a/m@q4_k_m"] { #expect(try narrow.resolve(name).map(\.model) == [name]) }
        #expect(try table.resolve("a/m:2").first?.window?.loaded == 512)
        #expect(throws: GatewayError.self) { try table.resolve("a/m:3") }
        #expect(table.listed == ["a/m"])
    }

    @Test("An instance is a name of its own, allowed with its model, and no entry of the lists")
    func instances() throws {
        let served = [
            "box": ServedModels(
                ids: ["m", "other"], loaded: ["m", "mine"], windows: ["mine": ContextWindow(loaded: 512)],
                instances: ["m": "m", "mine": "m"])
        ]
        let table = Self.table(served: served, allowed: ["m"], upstreams: [Self.box])
        #expect(try table.resolve("mine").map(\.shown) == ["box/mine"])
        #expect(try table.resolve("mine").first?.window?.loaded == 512)
        #expect(table.listed == ["m"])
        let open = Self.table(served: served, upstreams: [Self.box])
        #expect(try open.resolve("box/mine").map(\.model) == ["mine"])
        #expect(throws: GatewayError.self) {
            try Self.table(served: served, allowed: ["other"], upstreams: [Self.box]).resolve("mine")
        }
    }

    @Test("A model that is loaded more than once has the smallest window of its instances, each instance its own")
    func smallestWindow() {
        let windows = [1: "a", 3: "m", 2: "z"].map { ($1, ContextWindow(loaded: $0 * 1024, maximum: 8192)) }
        let served = ServedModels(
            ids: ["m"], loaded: ["a", "m", "z"], windows: Dictionary(uniqueKeysWithValues: windows),
            instances: ["a": "m", "m": "m", "z": "m"])
        let table = Self.table(served: ["box": served], upstreams: [Self.box])
        #expect(["m", "a", "z"].map { table.window(of: $0)?.loaded } == [1024, 1024, 2048])
        #expect(served.sureWindow(of: "m") == ContextWindow(loaded: 1024, maximum: 8192))
    }

    @Test("An alias that leads nowhere is in no list, and whoever asks for it is told so")
    func nowhere() {
        let here = Make.upstream("local", .engine, location: .hosted)
        let aliases: [(pattern: String, targets: [String])] = [
            ("typo", ["local/nope"]), ("part", ["local/wri"]), ("either", ["nope", "local/writer"]),
            ("far", ["box/new"]), ("none", ["nope"]),
        ]
        let served = ["local": ServedModels(ids: ["writer"]), "box": ServedModels(ids: ["shared"])]
        let table = Self.table(aliases, served: served, upstreams: [here, Self.box])
        #expect(table.listed == ["writer", "shared", "either", "far", "part"])
        #expect(table.outcome("typo") == ["error model_not_found"] && table.outcome("far") == ["box/new"])
        #expect(table.message("typo")?.contains("model \"local/nope\" is not installed or served") == true)
    }

    @Test("What cannot be loaded is in no list, never chosen, and whoever asks for it is told why")
    func unusable() throws {
        let served = ["box": ServedModels(ids: ["good"], unusable: ["bad": "it is noise", "goo": "it is cut short"])]
        let table = Self.table([("first", ["bad", "good"])], served: served, default: "goo", upstreams: [Self.box])
        #expect(table.listed == ["good", "first"])
        #expect(table.message("bad") == "model \"bad\" cannot be loaded: it is noise")
        #expect(table.message("box/bad") == "model \"box/bad\" cannot be loaded: it is noise")
        #expect(table.outcome("bad[1m]") == ["error model_load_failed"])
        let caught = Self.table([("*", ["good"])], served: served, upstreams: [Self.box])
        #expect(caught.outcome("bad") == ["error model_load_failed"] && caught.outcome("other") == ["box/good"])
        // It is a part of another's name, which does not make it that one.
        #expect(table.message(nil) == "model \"goo\" cannot be loaded: it is cut short")
        #expect(table.outcome("goo") == ["error model_load_failed"])
        #expect(table.outcome("first") == ["box/good"])
        #expect(Self.table(served: served, upstreams: [Self.box]).outcome(nil) == ["box/good"])
    }

    @Test("Models of this machine are listed under LM Studio's own publisher too, where that is a name for them")
    func published() {
        let local = Make.upstream("local", .engine, location: .hosted)
        let models = ServedModels(
            ids: ["a", "b", "c"],
            spellings: [
                "a": "a", "lmstudio-community/a": "a", "b": "b", "acme/b": "b", "c": "c", "lmstudio-community/c": "c",
            ])
        let all = Self.table(served: ["local": models], upstreams: [local])
        #expect(all.published == ["lmstudio-community/a", "lmstudio-community/c"])
        let one = Self.table(served: ["local": models], allowed: ["a"], upstreams: [local])
        #expect(one.published == ["lmstudio-community/a"])
        let taken = ["local": models, "studio": ServedModels(ids: ["lmstudio-community/a"])]
        #expect(Self.table(served: taken, upstreams: [Self.studio, local]).published == ["lmstudio-community/c"])
    }
}
