package import MartletWire
import NIOCore

/// What a request may hand to our own engine, as data: llama.cpp takes the members it knows of any request as they come,
/// also those that choose a slot, move its cache or set memory aside without a bound. Those that steer what is written
/// stand here with their ranges; all others are left out (threat list 11). Source: `tools/server/server-schema.cpp` of llama.cpp.
package enum EngineMembers {
    /// What the value has to be; null is always taken.
    enum Value: Sendable {
        /// Checked elsewhere, or nothing to the engine.
        case any
        case flag, text
        case number(ClosedRange<Double>)
        /// Above 0, and so much at most.
        case factor(Double)
        case whole(ClosedRange<Int>)
        /// Or a flag.
        case flagOrWhole(ClosedRange<Int>)
        /// So many at most, each of so many bytes.
        case texts(Int, bytes: Int)
    }

    /// The members that stay behind.
    package struct Sifted: Sendable, Hashable {
        /// Their places.
        package var removed: [Int] = []
        /// Names of those that ask for something, for `x-translation-dropped`.
        package var dropped: [String] = []
        /// Where another name of a member stands, and the one that the engine has for it.
        package var renamed: [Int: String] = [:]
    }

    /// Looks at each member once.
    /// - Parameter client: `chat` or `completions`.
    /// - Throws: `invalidRequest` for a value beyond its range.
    package static func sift(_ document: JSONDocument, of client: DialectID) throws(GatewayError) -> Sifted {
        var sifted = Sifted()
        var notes = DropNotes(isStrict: false)
        for (place, member) in document.members.enumerated() {
            let name = document.name(member)
            if let value = common[name] ?? (client == .completions ? completions : chat)[name] {
                try check(member, name, value, document)
                if let own = spellings[name] { sifted.renamed[place] = own }
            } else {
                sifted.removed.append(place)
                if RawMembers.asks(name, document.slice(member.value)) { notes.note(name) }
            }
        }
        sifted.dropped = notes.names
        return sifted
    }

    private static func check(
        _ member: JSONMember, _ name: String, _ value: Value, _ document: JSONDocument
    ) throws(GatewayError) {
        if case .any = value { return }
        if member.kind == .null { return }
        let (isFine, wanted): (Bool, String)
        switch value {
        case .any: return
        case .flag: (isFine, wanted) = (member.kind == .bool, "true or false")
        case .text: (isFine, wanted) = (member.kind == .string, "a string")
        case .number(let range):
            isFine = number(member, document).map(range.contains) == true
            wanted = "a number between \(shown(range.lowerBound)) and \(shown(range.upperBound))"
        case .factor(let most):
            isFine = number(member, document).map { $0 > 0 && $0 <= most } == true
            wanted = "a number above 0, at most \(shown(most))"
        case .whole(let range):
            isFine = document.int(member).map(range.contains) == true
            wanted = "a whole number between \(range.lowerBound) and \(range.upperBound)"
        case .flagOrWhole(let range):
            isFine = member.kind == .bool || document.int(member).map(range.contains) == true
            wanted = "true, false or a whole number between \(range.lowerBound) and \(range.upperBound)"
        case .texts(let count, let bytes):
            let texts = member.kind == .array ? (try? JSON(parsing: document.slice(member.value)))?.array : nil
            isFine =
                texts.map { $0.count <= count && $0.allSatisfy { ($0.string?.utf8.count ?? .max) <= bytes } } == true
            wanted = "a list of at most \(count) strings of at most \(bytes) bytes"
        }
        guard !isFine else { return }
        let got = String(buffer: document.slice(member.value))
        throw GatewayError(
            code: .invalidRequest,
            message: "\(name) must be \(wanted) (got \(got.utf8.count > 40 ? String(got.prefix(40)) + "…" : got))",
            param: name)
    }

    private static func number(_ member: JSONMember, _ document: JSONDocument) -> Double? {
        member.kind == .number ? Double(String(buffer: document.slice(member.value))) : nil
    }

    private static func shown(_ bound: Double) -> String { bound == bound.rounded() ? "\(Int(bound))" : "\(bound)" }

    private static let tokens = -1...Int(Int32.max)
    /// Memory is set aside for each token that is looked back on.
    private static let back = -1...65_536

    /// Other names for members of the engine.
    private static let spellings = ["mirostat_mode": "mirostat", "microstat_mode": "mirostat"]

    private static let common: [String: Value] = [
        // Of OpenAI's dialects.
        "model": .any, "stream": .any, "stream_options": .any, "max_tokens": .any, "temperature": .any, "top_p": .any,
        "n": .any, "stop": .any, "seed": .any, "presence_penalty": .any, "frequency_penalty": .any,
        "logit_bias": .any, "logprobs": .flagOrWhole(0...100), "user": .any, "metadata": .any,
        // Ours, and read here.
        "ttl": .any, "context_length": .any,
        // llama.cpp's.
        "n_predict": .whole(tokens), "t_max_predict_ms": .whole(tokens), "ignore_eos": .flag,
        "top_k": .whole(tokens), "min_p": .number(0...1), "typical_p": .number(0...1),
        "top_n_sigma": .number(-100...100), "min_keep": .whole(0...65_536),
        "xtc_probability": .number(0...1), "xtc_threshold": .number(0...1),
        "dynatemp_range": .number(0...100), "dynatemp_exponent": .number(0...100),
        "repeat_penalty": .factor(100), "repeat_last_n": .whole(back),
        "dry_multiplier": .number(0...100), "dry_base": .number(0...100), "dry_allowed_length": .whole(0...65_536),
        "dry_penalty_last_n": .whole(back), "dry_sequence_breakers": .texts(64, bytes: 256),
        "mirostat": .whole(0...2), "mirostat_mode": .whole(0...2), "microstat_mode": .whole(0...2),
        "mirostat_tau": .number(0...100), "mirostat_eta": .number(0...100),
        "adaptive_target": .number(-1...1), "adaptive_decay": .number(0...0.99),
        "n_probs": .whole(0...100), "post_sampling_probs": .flag, "grammar": .text, "json_schema": .any,
        "cache_prompt": .flag, "return_progress": .flag, "timings_per_token": .flag,
    ]

    private static let chat: [String: Value] = [
        "messages": .any, "max_completion_tokens": .any, "top_logprobs": .any, "tools": .any, "tool_choice": .any,
        "parallel_tool_calls": .any, "functions": .any, "function_call": .any, "response_format": .any,
        "reasoning_effort": .any, "safety_identifier": .any, "prompt_cache_key": .any, "prompt_cache_retention": .any,
        "prompt_cache_options": .any,
        // llama.cpp's.
        "chat_template_kwargs": .any, "reasoning_format": .text, "thinking_budget_tokens": .whole(tokens),
        "reasoning_budget_tokens": .whole(tokens), "parse_tool_calls": .flag, "add_generation_prompt": .flag,
        "continue_final_message": .any,
    ]

    private static let completions: [String: Value] = ["prompt": .any, "suffix": .any, "echo": .any, "best_of": .any]
}
