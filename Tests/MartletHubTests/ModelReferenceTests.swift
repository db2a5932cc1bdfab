import MartletHub
import Testing

@Suite("What a user may ask to get")
struct ModelReferenceTests {
    @Test(
        "a repository, in all forms",
        arguments: [
            "acme/Writer-8B-GGUF", " acme/Writer-8B-GGUF\n", "hf.co/acme/Writer-8B-GGUF",
            "HuggingFace.co/acme/Writer-8B-GGUF/", "https://huggingface.co/acme/Writer-8B-GGUF",
            "https://hf.co/acme/Writer-8B-GGUF?show=files#top",
            "http://www.huggingface.co/acme/Writer-8B-GGUF/tree/main",
        ])
    func repository(_ text: String) throws {
        #expect(
            try ModelReference(text) == .repository(RepositoryReference(owner: "acme", name: "Writer-8B-GGUF")))
    }

    @Test(
        "a quantisation of a repository",
        arguments: ["acme/writer:q4_k_m", "acme/writer@q4_k_m", "hf.co/acme/writer:q4_k_m"])
    func quantisation(_ text: String) throws {
        #expect(
            try ModelReference(text)
                == .repository(RepositoryReference(owner: "acme", name: "writer", choice: .quantisation("q4_k_m"))))
    }

    @Test(
        "a file of a repository",
        arguments: [
            ("acme/writer/w.Q4_K_M.gguf", "main", "w.Q4_K_M.gguf"),
            ("acme/writer/Q8_0/w-00001-of-00002.gguf", "main", "Q8_0/w-00001-of-00002.gguf"),
            ("https://huggingface.co/acme/writer/blob/main/w.gguf", "main", "w.gguf"),
            ("https://huggingface.co/acme/writer/resolve/v1.0/a%20b/w.gguf?download=true", "v1.0", "a b/w.gguf"),
            ("hf.co/acme/writer/resolve/refs%2Fpr%2F1/w.gguf", "refs/pr/1", "w.gguf"),
            ("https://huggingface.co/acme/writer?show_file_info=w.Q8_0.gguf", "main", "w.Q8_0.gguf"),
            ("hf.co/acme/writer/tree/v1.0?a=b&show_file_info=Q8%2Fw.gguf#top", "v1.0", "Q8/w.gguf"),
        ])
    func file(_ text: String, revision: String, path: String) throws {
        #expect(
            try ModelReference(text)
                == .repository(
                    RepositoryReference(owner: "acme", name: "writer", revision: revision, choice: .file(path))))
    }

    @Test("words, with a quantisation when there is one")
    func keywords() throws {
        #expect(try ModelReference("qwen3 8b") == .keywords("qwen3 8b", quantisation: nil))
        #expect(try ModelReference("qwen3-8b@q4_k_m") == .keywords("qwen3-8b", quantisation: "q4_k_m"))
    }

    @Test("a mirror's addresses when HF_ENDPOINT names it")
    func mirror() throws {
        let text = "http://mirror.local:8080/acme/writer"
        #expect(throws: HubError.self) { try ModelReference(text) }
        #expect(
            try ModelReference(text, mirror: "mirror.local:8080")
                == .repository(RepositoryReference(owner: "acme", name: "writer")))
    }

    @Test(
        "what means harm or nothing is refused",
        arguments: [
            "", "  ", "..", "../x", "a/..", "./a", "a/.b", "/etc/passwd", "a//b", "a/b/", "acme/writer/../../x.gguf",
            "acme/writer/.hidden.gguf", "acme/writer/x.txt", "acme/writer/x/y", "acme\\writer", "acme/wri\u{1b}[2Jter",
            "acme/writer/a\u{0}.gguf", "acme/writer/a\u{202e}.gguf", "acme/w r", "acme/w?r", "-:/x", "acme/writer:../x",
            "https://example.com/acme/writer", "https://huggingface.co.evil.com/acme/writer",
            "ftp://huggingface.co/a/b",
            "https://user@huggingface.co/a/b", "https://huggingface.co", "https://huggingface.co/acme",
            "https://huggingface.co/datasets/acme/writer", "https://huggingface.co/acme/writer/blob/../x.gguf",
            "https://huggingface.co/acme/writer/blob/main/%2e%2e/%2e%2e/x.gguf", "file:///etc/passwd",
            "https://huggingface.co/acme/writer/resolve/main/%00.gguf", "https://huggingface.co/acme/%zz",
            "https://huggingface.co/acme/writer/blob/main/..%2f..%2fx.gguf",
            "https://huggingface.co/acme/writer?show_file_info=..%2f..%2fx.gguf",
            "https://huggingface.co/acme/writer?show_file_info=",
            "https://huggingface.co/acme/writer/tree/main/Q4",
            "acme/" + String(repeating: "x", count: 97), String(repeating: "x", count: 3000),
            "acme/writer/" + String(repeating: "x", count: 230) + ".gguf",
        ])
    func hostile(_ text: String) {
        #expect { try ModelReference(text) } throws: { error in
            guard let error = error as? HubError else { return false }
            return error.code == .invalidReference && !error.message.unicodeScalars.contains { $0.value < 0x20 }
        }
    }
}
