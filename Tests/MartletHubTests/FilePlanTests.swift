import MartletHub
import Testing

@Suite("Which files of a repository are got")
struct FilePlanTests {
    private func file(_ path: String, _ bytes: Int64 = 10) throws -> HubFile {
        HubFile(path: path, bytes: bytes, digest: try #require(FileDigest(sha256: String(repeating: "a", count: 64))))
    }

    private func model(_ paths: [String]) throws -> HubModel {
        HubModel(
            owner: "acme", name: "writer", commit: String(repeating: "c", count: 40),
            files: try paths.map { try file($0) })
    }

    private func plan(_ paths: [String], _ choice: RepositoryReference.Choice = .automatic) throws -> FilePlan {
        try FilePlan(try model(paths), choice: choice)
    }

    private func sentence(_ paths: [String], _ choice: RepositoryReference.Choice = .automatic) throws -> String {
        do {
            _ = try plan(paths, choice)
            return "nothing was thrown"
        } catch let error as HubError {
            return "\(error.code): \(error.message)"
        }
    }

    @Test(
        "a file's name says its quantisation",
        arguments: [
            ("Qwen3-8B-Q4_K_M", "Q4_K_M"), ("qwen2.5-7b-instruct-q4_k_m", "Q4_K_M"), ("m.Q8_0", "Q8_0"),
            ("m.i1-IQ3_XXS", "IQ3_XXS"), ("Qwen3-8B-UD-Q4_K_XL", "UD-Q4_K_XL"), ("m_q5_1", "Q5_1"), ("m-fp16", "F16"),
            ("m-BF16", "BF16"), ("gpt-oss-20b-MXFP4", "MXFP4"), ("m-Q4_0_4_4", "Q4_0_4_4"), ("Q4_K_M.v2", "Q4_K_M"),
            ("m-TQ1_0", "TQ1_0"), ("m-mxfp4_moe", "MXFP4_MOE"),
        ])
    func names(_ stem: String, _ name: String) { #expect(Quantisation(inFileName: stem)?.description == name) }

    @Test("a name without one says none", arguments: ["Qwen2.5-7B", "model", "q", "Q9_K", "IQ", "iq-test", "Quill4"])
    func noName(_ stem: String) { #expect(Quantisation(inFileName: stem) == nil) }

    @Test("Q4_K_M unless something else is asked for")
    func usual() throws {
        let plan = try plan([
            "w-F16.gguf", "w-Q2_K.gguf", "w-Q4_K_M.gguf", "w-Q8_0.gguf", "README.md", "w.imatrix.gguf",
        ])
        #expect(plan.weights.map(\.path) == ["w-Q4_K_M.gguf"])
        #expect(plan.quantisation == "Q4_K_M")
        #expect(plan.projector == nil)
    }

    @Test(
        "without Q4_K_M the nearest that exists",
        arguments: [
            (["w-Q8_0.gguf", "w-Q5_K_M.gguf", "w-Q2_K.gguf"], "w-Q5_K_M.gguf"),
            (["w-Q8_0.gguf", "w-IQ4_XS.gguf", "w-Q5_K_M.gguf"], "w-IQ4_XS.gguf"),
            (["w-F16.gguf", "w-Q8_0.gguf"], "w-Q8_0.gguf"), (["w-F16.gguf", "w-Q3_K_S.gguf"], "w-Q3_K_S.gguf"),
            (["w-NVFP4.gguf", "w-F32.gguf"], "w-F32.gguf"), (["w.gguf"], "w.gguf"),
            (["w.gguf", "w-Q6_K.gguf"], "w-Q6_K.gguf"),
        ])
    func nearest(_ paths: [String], _ chosen: String) throws {
        #expect(try plan(paths).weights.map(\.path) == [chosen])
    }

    @Test("the quantisation that is asked for, however it is spelled", arguments: ["q8_0", "Q8_0", "q8-0"])
    func asked(_ name: String) throws {
        #expect(try plan(["w-Q4_K_M.gguf", "w.q8_0.gguf"], .quantisation(name)).weights.map(\.path) == ["w.q8_0.gguf"])
    }

    @Test("a plain name means the dynamic one only where there is no plain one")
    func dynamic() throws {
        let paths = ["w-UD-Q4_K_XL.gguf", "w-UD-Q2_K.gguf", "w-Q2_K.gguf"]
        #expect(try plan(paths, .quantisation("q4_k_xl")).weights[0].path == "w-UD-Q4_K_XL.gguf")
        #expect(try plan(paths, .quantisation("q2_k")).weights[0].path == "w-Q2_K.gguf")
        #expect(try plan(paths, .quantisation("ud-q2_k")).weights[0].path == "w-UD-Q2_K.gguf")
    }

    @Test("a quantisation that is not there: the sentence names those that are")
    func missing() throws {
        #expect(
            try sentence(["w-Q8_0.gguf", "w-Q4_K_M.gguf"], .quantisation("q5_k_m"))
                == "hub_no_such_file: acme/writer has no q5_k_m; it has Q4_K_M, Q8_0")
    }

    @Test("all parts of what was cut, in order, and by the name of any of them")
    func parts() throws {
        let paths = [
            "Q8_0/w-Q8_0-00003-of-00003.gguf", "Q8_0/w-Q8_0-00001-of-00003.gguf", "Q8_0/w-Q8_0-00002-of-00003.gguf",
            "w-Q2_K.gguf",
        ]
        let expected = (1...3).map { "Q8_0/w-Q8_0-0000\($0)-of-00003.gguf" }
        #expect(try plan(paths, .quantisation("q8_0")).weights.map(\.path) == expected)
        #expect(try plan(paths, .file("w-Q8_0-00002-of-00003.gguf")).weights.map(\.path) == expected)
        #expect(try plan(paths).weights.map(\.path) == expected)
        #expect(
            try sentence(Array(paths.dropFirst()), .quantisation("q8_0"))
                == "hub_no_such_file: acme/writer has 2 of the 3 parts of w-Q8_0: choose another of Q2_K")
        #expect(
            try sentence(Array(paths[1...2]))
                == "hub_no_such_file: acme/writer has 2 of the 3 parts of w-Q8_0, and nothing else: look for another "
                + "repository with: martlet search writer")
        #expect(try plan(Array(paths.dropFirst())).weights.map(\.path) == ["w-Q2_K.gguf"])
    }

    @Test(
        "a file that lies there in pieces is one, by its own name and that of a piece",
        arguments: [nil, "w-Q8_0.gguf", "w-Q8_0.gguf.part2of10"])
    func pieces(name: String?) throws {
        let pieces = (1...10).map { "w-Q8_0.gguf.part\($0)of10" }
        let made = try plan(pieces + ["README.md"], name.map { .file($0) } ?? .automatic)
        #expect(made.weights.map(\.name) == ["w-Q8_0.gguf"] && made.quantisation == "Q8_0" && made.bytes == 100)
        #expect(made.weights[0].pieces.map(\.path) == pieces)
        #expect(try plan(pieces + ["w-Q8_0.gguf"]).weights[0].pieces.isEmpty, "the whole file goes before its pieces")
        #expect(try sentence(Array(pieces.dropLast())).hasPrefix("hub_no_such_file"))
    }

    @Test("a quantisation may stand in the folder's name only")
    func folder() throws {
        #expect(try plan(["Q4_K_M/w.gguf", "Q8_0/w.gguf"], .quantisation("q8_0")).weights[0].path == "Q8_0/w.gguf")
    }

    @Test("a vision model's projector: F16 first, and that of the weights' folder")
    func projector() throws {
        let paths = ["w-Q4_K_M.gguf", "mmproj-BF16.gguf", "mmproj-model-f16.gguf", "mmproj-F32.gguf"]
        let plan = try plan(paths)
        #expect(plan.projector?.path == "mmproj-model-f16.gguf")
        #expect(plan.files.map(\.path) == ["w-Q4_K_M.gguf", "mmproj-model-f16.gguf"])
        #expect(plan.bytes == 20)
        #expect(
            try self.plan(["w-Q4_K_M.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf"]).projector?.path
                == "mmproj-BF16.gguf")
        let two = ["a/w-Q4_K_M.gguf", "a/mmproj-Q8_0.gguf", "b/v-Q8_0.gguf", "b/mmproj-F16.gguf"]
        #expect(try self.plan(two).projector?.path == "a/mmproj-Q8_0.gguf")
    }

    @Test("a file by its name, letter case aside")
    func named() throws {
        #expect(try plan(["x/W-q4.gguf", "w-Q8_0.gguf"], .file("w-Q4.gguf")).weights[0].path == "x/W-q4.gguf")
        #expect(
            try sentence(["w-Q8_0.gguf"], .file("v.gguf"))
                == "hub_no_such_file: acme/writer has no file v.gguf; it has w-Q8_0.gguf")
    }

    @Test("several models in one repository are not guessed from")
    func several() throws {
        #expect(
            try sentence(["a-Q4_K_M.gguf", "b-Q4_K_M.gguf"]).hasPrefix(
                "hub_ambiguous: acme/writer holds several models"))
        #expect(try sentence(["a.gguf", "b.gguf"]).contains("a.gguf, b.gguf"))
        #expect(try sentence(["x/a.gguf", "y/a.gguf"], .file("a.gguf")).hasPrefix("hub_ambiguous"))
    }

    @Test("no GGUF files at all: the sentence says how to find some")
    func none() throws {
        #expect(
            try sentence(["model.safetensors", "mmproj-F16.gguf"])
                == "hub_no_such_file: acme/writer has no GGUF files: look for a repository that has, "
                + "with: martlet search writer"
        )
    }

    @Test("sizes that do not add up are refused")
    func sizes() throws {
        let files = try [file("w-Q4_K_M.gguf", .max), file("mmproj-F16.gguf", 1)]
        let model = HubModel(owner: "a", name: "b", commit: "c", files: files)
        #expect(throws: HubError.self) { try FilePlan(model, choice: .automatic) }
    }
}
