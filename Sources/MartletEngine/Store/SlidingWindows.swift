/// Which layers look back on a window of tokens only.
///
/// A file gives the window, and seldom which layers it is for: llama.cpp knows that of each architecture
/// (`load_swa_pattern` in its models/*.cpp). Of one that is not listed here every layer counts as looking back on all:
/// more memory than it takes, never less.
struct SlidingWindows {
    private struct Rule {
        /// Every so many layers one looks back on all.
        var period: Int
        /// That one is the first of each period, not the last.
        var isFirst = false
        /// Where the file names none.
        var window: Int?
    }

    private static let rules: [String: Rule] = [
        "afmoe": Rule(period: 4), "cohere2": Rule(period: 4), "cohere2moe": Rule(period: 4, isFirst: true),
        "exaone-moe": Rule(period: 4, window: 128), "gemma2": Rule(period: 2, window: 4096), "gemma3": Rule(period: 6),
        "gemma3n": Rule(period: 5), "laguna": Rule(period: 4, isFirst: true), "llama4": Rule(period: 4, window: 8192),
        "mellum": Rule(period: 4), "muse-glimmer": Rule(period: 4), "olmo2": Rule(period: 4),
        "gpt-oss": Rule(period: 2), "plamo3": Rule(period: 8),
        "smallthinker": Rule(period: 4, isFirst: true, window: 4096),
    ]

    private var windowed: [Bool]
    private let size: Int

    init(_ keys: ModelKeys, _ architecture: String, layers: Int) throws(EngineError) {
        let rule = Self.rules[architecture]
        size = try keys.model("attention.sliding_window", most: Int(Int32.max)) ?? rule?.window ?? 0
        windowed = [Bool](repeating: false, count: layers)
        guard size > 0 else { return }
        switch keys.pattern("attention.sliding_window_pattern") {
        case .list(let list):
            for index in windowed.indices where index < list.count { windowed[index] = list[index] }
        case .period(let period):
            guard let rule else { return }
            repeats(period, rule.isFirst)
        case nil:
            guard let rule else { return }
            repeats(rule.period, rule.isFirst)
        }
    }

    /// Tokens; nil: all.
    func window(_ index: Int) -> Int? { windowed[index] ? size : nil }

    /// As `set_swa_pattern` in llama-hparams.cpp.
    private mutating func repeats(_ period: Int, _ isFirst: Bool) {
        for index in windowed.indices {
            windowed[index] = period == 0 || (isFirst ? index % period != 0 : index % period < period - 1)
        }
    }
}
