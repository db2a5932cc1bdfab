/// The variables by which LM Studio's own clients and LiteLLM's provider find LM Studio.
enum ForeignVariables {
    /// Each address with the keys that go with it, in the order in which they are looked at.
    private static let families: [(address: String, keys: [String])] = [
        ("LMSTUDIO_BASE_URL", ["LMSTUDIO_API_KEY", "LM_API_TOKEN", "LMSTUDIO_API_TOKEN"]),
        ("LM_STUDIO_API_BASE", ["LM_STUDIO_API_KEY"]),
    ]

    /// The upstream `studio`, where a variable names its address. A key alone names none.
    static func upstream(_ environment: [String: String]) -> WrittenUpstream? {
        for (address, keys) in families {
            guard let url = environment[address], !url.isEmpty else { continue }
            var upstream = WrittenUpstream(name: "studio", place: Place(address))
            upstream.set("kind", "lmstudio", at: Place(address))
            upstream.set("url", url, at: Place(address))
            if let name = keys.first(where: { environment[$0]?.isEmpty == false }), let key = environment[name] {
                upstream.set("api_key", key, at: Place(name))
            }
            return upstream
        }
        return nil
    }
}
