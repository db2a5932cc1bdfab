import MartletDialects
import MartletGateway
import MartletServer
import Testing

@Suite("Capabilities in the configuration")
struct ConfigurationCapabilityTests {
    static let file = """
        upstreams:
          studio:
            url: http://localhost:1234
            kind: lmstudio
            strict: true
            capabilities:
              { reasoning_out: reasoning_content, tool_choice: full, images: url, efforts: [none, low], stop_limit: 2 }
        models:
          capabilities:
            "qwen*": { reasoning_out: think_tags, prompt_opened_think: true }
            studio/qwen3: { image_types: [png] }
        """

    @Test("The form of the documentation is understood, and lies over the kind's profile")
    func flags() throws {
        let configuration = try Written.load(Self.file).configuration
        let settings = try #require(configuration.upstreams.first)
        let upstream = try UpstreamFactory.make(settings, kind: "lmstudio")
        let flags = upstream.profile.capabilities
        #expect(flags.toolChoice == .full && flags.images == .url && flags.stopLimit == 2)
        #expect(flags.efforts == [.low] && flags.effortNone)
        #expect(flags.topK, "what is not said is the kind's")
        #expect(upstream.isStrict && !upstream.showsThinkingBlocks)
        let routes = RouteTable(
            upstreams: [upstream], served: ["studio": ServedModels(ids: ["qwen3", "other"])],
            flags: configuration.models.capabilities)
        let qwen = try #require(try routes.resolve("qwen3").first).capabilities
        #expect(qwen.reasoningOut == .thinkTags && qwen.promptOpenedThink)
        #expect(qwen.imageTypes == ["image/png"] && qwen.toolChoice == .full)
        #expect(try routes.resolve("other").first?.capabilities == flags)
        let unlisted = RouteTable(upstreams: [upstream], flags: configuration.models.capabilities)
        #expect(try unlisted.resolve("qwen-unlisted").first?.capabilities.reasoningOut == .thinkTags)
    }

    @Test("Variables set flags too, and `config show` names those that are set")
    func variables() throws {
        let loaded = try Written.load(
            Self.file,
            variables: [
                "MARTLET_UPSTREAMS_STUDIO_CAPABILITIES_TOOL_CHOICE": "none",
                "MARTLET_UPSTREAMS_STUDIO_CAPABILITIES_IMAGE_TYPES": "png,image/webp",
            ])
        let settings = try #require(loaded.configuration.upstreams.first)
        let flags = try UpstreamFactory.make(settings, kind: "lmstudio").profile.capabilities
        #expect(flags.toolChoice == .none && flags.imageTypes == ["image/png", "image/webp"])
        #expect(loaded.shown("upstreams.studio.capabilities.tool_choice") == "none")
        #expect(
            loaded.origin("upstreams.studio.capabilities.tool_choice")
                == "MARTLET_UPSTREAMS_STUDIO_CAPABILITIES_TOOL_CHOICE")
        #expect(loaded.shown("upstreams.studio.capabilities.stop_limit") == "2")
        #expect(loaded.shown("upstreams.studio.capabilities.prefill") == nil)
        #expect(loaded.origin("models.capabilities.qwen*") == "file martlet.yaml:10")
    }

    @Test(
        "Every flag takes something, changes something, and refuses nonsense", arguments: CapabilityFlag.all.map(\.name)
    )
    func each(name: String) throws {
        let flag = try #require(CapabilityFlag.named(name))
        #expect(CapabilitySetting(name, ["no such word!"]) == nil)
        #expect(CapabilitySetting(name, ["true", "true"]) == nil || flag.isList)
        let words = [
            "true", "false", "none", "think_tags", "effort", "full", "off_by_default", "9", "20", "keep", "merge",
            "url", "high", "png", "grammar", "minimal", "max_completion_tokens", "unlimited", "always",
            "repeat_penalty",
        ]
        let changed = words.compactMap { CapabilitySetting(name, [$0]) }.filter {
            Capabilities().with([$0]) != Capabilities()
        }
        #expect(!changed.isEmpty)
        #expect(!CapabilityFlag.notBuilt.contains(name))
    }

    @Test(
        "Ids of tool calls are ruled by a length, or a form of letters and a length",
        arguments: [
            ("9", CallIDRule(length: 9...9, isAlphanumeric: true)),
            ("[a-zA-Z0-9]{9}", CallIDRule(length: 9...9, isAlphanumeric: true)),
            ("^[a-zA-Z0-9_-]{1,64}$", CallIDRule(length: 1...64)), ("[a-z]{9}", nil), ("0", nil), ("9,3", nil),
            ("1,2,3", nil), ("nine", nil), ("[a-zA-Z0-9]+", nil),
        ] as [(String, CallIDRule?)])
    func callIDs(written: String, rule: CallIDRule?) {
        let setting = CapabilitySetting("tool_call_id", [written])
        #expect(setting.map { Capabilities().with([$0]).callIDs } == rule)
    }
}
