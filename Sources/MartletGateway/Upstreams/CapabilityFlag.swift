package import MartletDialects

/// One flag of what an upstream or a model can do, as a configuration writes it (specs 1.8).
package struct CapabilityFlag: Sendable {
    package let name: String
    /// It takes a list of words; else a single one.
    package let isList: Bool
    /// What may be written, for errors: `one of full, strings, none`.
    package let takes: String
    /// Sets the flag; false when the words are none of those.
    package let set: @Sendable (inout Capabilities, [String]) -> Bool

    private init(
        _ name: String, _ takes: String, isList: Bool = false,
        set: @escaping @Sendable (inout Capabilities, [String]) -> Bool
    ) {
        self.name = name
        self.takes = takes
        self.isList = isList
        self.set = set
    }

    package static func named(_ name: String) -> CapabilityFlag? { all.first { $0.name == name } }

    /// Flags of the specification that nothing acts on so far; refused, never taken without effect.
    package static let notBuilt = ["developer_role", "n", "logprobs", "seed"]

    package static let all: [CapabilityFlag] = reasoning + tools + messages + output + settings + routes

    // MARK: The flags

    private static let reasoning: [CapabilityFlag] = [
        reasoning("reasoning_out", known: ["reasoning_content", "reasoning"]) { $0.reasoningOut = $1 },
        reasoning("reasoning_in", known: nil) { $0.reasoningIn = $1 },
        bool("think_tags") { $0.thinkTags = $1 },
        bool("prompt_opened_think") { $0.promptOpenedThink = $1 },
        word(
            "thinking_control",
            ["effort": .effort, "enable_thinking": .enableThinking, "budget": .budget, "none": .none]
        ) { (flags: inout Capabilities, control: Capabilities.ThinkingControl) in flags.thinkingControl = control },
        CapabilityFlag(
            "efforts", "a list of none, " + Effort.allCases.map(\.rawValue).joined(separator: ", "), isList: true,
            set: { flags, words in
                let efforts = words.filter { $0 != "none" }.map { Effort(rawValue: $0) }
                guard !efforts.contains(nil) else { return false }
                flags.efforts = Set(efforts.compactMap { $0 })
                flags.effortNone = words.contains("none")
                return true
            }),
    ]

    private static let tools: [CapabilityFlag] = [
        word("tool_choice", ["full": .full, "strings": .strings, "none": .none]) {
            (flags: inout Capabilities, form: Capabilities.ToolChoiceForm) in flags.toolChoice = form
        },
        CapabilityFlag(
            "parallel_tool_calls", "one of true, false, off_by_default",
            set: { flags, words in
                guard let word = words.only, ["true", "false", "off_by_default"].contains(word) else { return false }
                flags.parallelToolCalls = word != "false"
                flags.parallelIsOffByDefault = word == "off_by_default"
                return true
            }),
        bool("forced_call_with_thinking") { $0.forcedCallWithThinking = $1 },
        bool("strict_tools") { $0.strictTools = $1 },
        bool("text_calls") { $0.textCalls = $1 },
        bool("garbled_arguments") { $0.garblesArguments = $1 },
        CapabilityFlag(
            "tool_call_id",
            "a number of letters and digits such as 9, or one of the forms [a-zA-Z0-9]{9} and [a-zA-Z0-9_-]{1,64}",
            set: { flags, words in
                guard let rule = words.only.flatMap(CallIDRule.init(written:)) else { return false }
                flags.callIDs = rule
                return true
            }),
        number("tool_name_length", 16...1024) { $0.toolNameLength = $1 },
    ]

    private static let messages: [CapabilityFlag] = [
        word("system_late", ["keep": .keep, "merge": .merge, "user": .user]) {
            (flags: inout Capabilities, form: Capabilities.SystemForm) in flags.systemLate = form
        },
        word("system_many", ["keep": .keep, "merge": .merge]) {
            (flags: inout Capabilities, form: Capabilities.SystemForm) in flags.systemMany = form
        },
        word("images", ["url": .url, "data": .data, "none": .none]) {
            (flags: inout Capabilities, form: Capabilities.ImageForm) in flags.images = form
        },
        bool("image_in_tool") { $0.imageInTool = $1 },
        CapabilityFlag(
            "image_types", "a list of png, jpeg, gif, webp", isList: true,
            set: { flags, words in
                let types = words.map { $0.hasPrefix("image/") ? $0 : "image/" + $0 }
                guard types.allSatisfy(["image/png", "image/jpeg", "image/gif", "image/webp"].contains) else {
                    return false
                }
                flags.imageTypes = Set(types)
                return true
            }),
        bool("files") { $0.files = $1 },
        bool("content_string") { $0.contentMustBeString = $1 },
        bool("prefill") { $0.prefill = $1 },
    ]

    private static let output: [CapabilityFlag] = [
        word("json_schema", ["native": .native, "grammar": .grammar, "none": .none]) {
            (flags: inout Capabilities, form: Capabilities.JSONForm) in flags.jsonSchema = form
        },
        word("json_object", ["native": .native, "none": .none]) {
            (flags: inout Capabilities, form: Capabilities.JSONForm) in flags.jsonObject = form
        },
        word(
            "schema_profile",
            Dictionary(
                uniqueKeysWithValues: SchemaProfile.allCases.filter { $0 != .bare }.map { ($0.rawValue, $0) })
        ) { (flags: inout Capabilities, profile: SchemaProfile) in flags.schemaProfile = profile },
    ]

    private static let settings: [CapabilityFlag] = [
        word(
            "max_tokens_field", ["max_tokens": .maxTokens, "max_completion_tokens": .maxCompletionTokens]
        ) { (flags: inout Capabilities, field: Capabilities.MaxTokensField) in flags.maxTokensField = field },
        CapabilityFlag(
            "stop_limit", "a whole number from 0 to 256, or unlimited",
            set: { flags, words in
                guard let word = words.only else { return false }
                let limit = Int(word).flatMap { (0...256).contains($0) ? $0 : nil }
                guard limit != nil || word == "unlimited" else { return false }
                flags.stopLimit = limit
                return true
            }),
        bool("prompt_progress") { $0.promptProgress = $1 },
        bool("top_k") { $0.topK = $1 },
        word(
            "local_sampling",
            ["none": .none, "repeat_penalty": .repeatPenalty, "repetition_penalty": .repetitionPenalty]
        ) { (flags: inout Capabilities, form: Capabilities.LocalSampling) in flags.localSampling = form },
        bool("sampling") { $0.sampling = $1 },
        word("usage", ["stream_options": .streamOptions, "always": .always, "never": .never]) {
            (flags: inout Capabilities, form: Capabilities.UsageForm) in flags.usage = form
        },
    ]

    private static let routes: [CapabilityFlag] = [
        CapabilityFlag(
            "completions",
            "a list of text, prompts, tokens, echo, suffix, n, best_of, logprobs, or none", isList: true,
            set: { flags, words in
                let features = words.filter { $0 != "text" }.map(CompletionFeature.init(rawValue:))
                guard words != ["none"] else {
                    flags.completions = nil
                    return true
                }
                guard !words.isEmpty, !features.contains(nil) else { return false }
                flags.completions = Set(features.compactMap { $0 })
                return true
            }),
        word("embeddings", ["none": .none, "text": .text, "tokens": .tokens]) {
            (flags: inout Capabilities, form: Capabilities.EmbeddingForm) in flags.embeddings = form
        },
        bool("rerank") { $0.rerank = $1 },
    ]

    // MARK: How they are written

    private static func bool(
        _ name: String, _ set: @escaping @Sendable (inout Capabilities, Bool) -> Void
    ) -> CapabilityFlag {
        word(name, ["true": true, "false": false], set)
    }

    private static func word<Value: Sendable>(
        _ name: String, _ words: [String: Value], _ set: @escaping @Sendable (inout Capabilities, Value) -> Void
    ) -> CapabilityFlag {
        CapabilityFlag(
            name, "one of " + words.keys.sorted().joined(separator: ", "),
            set: { flags, written in
                guard let value = written.only.flatMap({ words[$0] }) else { return false }
                set(&flags, value)
                return true
            })
    }

    private static func number(
        _ name: String, _ range: ClosedRange<Int>, _ set: @escaping @Sendable (inout Capabilities, Int) -> Void
    ) -> CapabilityFlag {
        CapabilityFlag(
            name, "a whole number from \(range.lowerBound) to \(range.upperBound)",
            set: { flags, words in
                guard let value = words.only.flatMap({ Int($0) }), range.contains(value) else { return false }
                set(&flags, value)
                return true
            })
    }

    /// - Parameter known: members that can be read; nil: any may be written.
    private static func reasoning(
        _ name: String, known: [String]?,
        _ set: @escaping @Sendable (inout Capabilities, Capabilities.ReasoningField) -> Void
    ) -> CapabilityFlag {
        let members = known?.joined(separator: ", ") ?? "the name of a member"
        return CapabilityFlag(
            name, "one of none, think_tags, \(members)",
            set: { flags, words in
                guard let word = words.only else { return false }
                switch word {
                case "none": set(&flags, .none)
                case "think_tags": set(&flags, .thinkTags)
                default:
                    let isName = word.utf8.allSatisfy {
                        $0 == UInt8(ascii: "_") || $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A
                    }
                    guard isName, (1...64).contains(word.utf8.count), known?.contains(word) != false else {
                        return false
                    }
                    set(&flags, .field(word))
                }
                return true
            })
    }
}

extension [String] {
    fileprivate var only: String? { count == 1 ? self[0] : nil }
}

extension CallIDRule {
    /// `9`, `[a-zA-Z0-9]{9}`, `^[a-zA-Z0-9_-]{1,64}$`.
    fileprivate init?(written text: String) {
        var rest = Substring(text)
        if rest.hasPrefix("^") { rest = rest.dropFirst() }
        if rest.hasSuffix("$") { rest = rest.dropLast() }
        var isAlphanumeric = true
        if rest.hasPrefix("["), rest.hasSuffix("}"), let brace = rest.lastIndex(of: "{") {
            switch rest[..<brace] {
            case "[a-zA-Z0-9]", "[A-Za-z0-9]": break
            case "[a-zA-Z0-9_-]", "[A-Za-z0-9_-]": isAlphanumeric = false
            default: return nil
            }
            rest = rest[rest.index(after: brace)...].dropLast()
        }
        let bounds = rest.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(bounds.count), let low = bounds[0], let high = bounds[bounds.count - 1], low >= 1,
            low <= high, high <= 256
        else { return nil }
        self.init(length: low...high, isAlphanumeric: isAlphanumeric)
    }
}

/// A flag that a configuration sets.
package struct CapabilitySetting: Sendable, Hashable {
    package let flag: String
    package let words: [String]

    /// Nil when there is no such flag or it takes no such words.
    package init?(_ flag: String, _ words: [String]) {
        var trial = Capabilities()
        guard CapabilityFlag.named(flag)?.set(&trial, words) == true else { return nil }
        self.flag = flag
        self.words = words
    }

    package var shown: String { words.joined(separator: ", ") }
}

extension Capabilities {
    /// These, with what a configuration says otherwise.
    package func with(_ settings: [CapabilitySetting]) -> Capabilities {
        var flags = self
        for setting in settings { _ = CapabilityFlag.named(setting.flag)?.set(&flags, setting.words) }
        return flags
    }
}

/// What the models whose name fits can do otherwise than their upstream's others.
package struct ModelFlags: Sendable, Hashable {
    /// A model's id or `upstream/id`, with `*` for any run of characters.
    package let pattern: Glob
    package let settings: [CapabilitySetting]

    package init(pattern: String, settings: [CapabilitySetting]) {
        self.pattern = Glob(pattern)
        self.settings = settings
    }

    func matches(_ model: String, at upstream: String) -> Bool {
        pattern.matches(model) || pattern.matches("\(upstream)/\(model)")
    }
}
