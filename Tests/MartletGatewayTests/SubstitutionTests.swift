import MartletDialects
import MartletGateway
import Testing

@Suite("Another model than the one that was asked")
struct SubstitutionTests {
    static func check(_ asked: String, _ reported: String, at profile: UpstreamProfile = .lmStudio) -> GatewayError? {
        let place = BaseURL(origin: Origin(address: .tcp(host: "127.0.0.1", port: 1)))
        let upstream = Upstream(name: "studio", profile: profile, location: .url(place))
        return Substitution.check(
            Candidate(upstream: upstream, model: asked), reported: reported,
            served: ServedModels(ids: ["acme/writer-8b", "acme/writer-8b-long", "qwen3-8b"]))
    }

    @Test(
        "Another name is an error that tells both",
        arguments: [("qwen3-8b", "acme/writer-8b"), ("acme/writer-8b", "acme/writer-8b-long"), ("qwen3-8b", "gemma")])
    func another(asked: String, reported: String) {
        let error = Self.check(asked, reported)
        #expect(error?.code == .modelMismatch)
        #expect(error?.message == "LM Studio has \"\(reported)\" loaded, not \"\(asked)\"")
        #expect(Self.check(asked, reported, at: .vllm) == nil, "only where replies tell")
    }

    @Test(
        "Other spellings of the same model are no other model",
        arguments: [
            ("qwen3-8b", "qwen3-8b"), ("qwen3-8b", ""), ("qwen3-8b", "qwen3-8b:2"), ("qwen3-8b@q4_k_m", "qwen3-8b"),
            ("qwen3-8b", "Qwen3-8B@q8_0"), ("writer-8b", "other/writer-8b"), ("qwen3-8b", "qwen/qwen3-8b"),
        ])
    func same(asked: String, reported: String) {
        #expect(Self.check(asked, reported) == nil)
    }
}
