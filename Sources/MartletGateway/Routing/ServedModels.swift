package import MartletDialects

/// What is known of an upstream's models.
package struct ServedModels: Sendable, Hashable {
    /// Ids in the upstream's own order. Nil: its list was never read, so any id is taken on trust.
    package var ids: [String]?
    /// By id, of those that are there and cannot be loaded: why; in no list, and only told to who asks for one.
    package var unusable: [String: String]
    /// The loaded ones, where the upstream says so.
    package var loaded: [String]
    /// Of a loaded one that is an instance of a model under another name, that model's id.
    package var instances: [String: String]
    /// Those of them that requests for their model do not get, because their owners gave them names of their own, or
    /// loaded them for less than others of the model.
    package var aside: Set<String>
    /// Names that stand for one quantisation of a model, and that model's id.
    package var variants: [String: String]
    /// By id, of those of which something is known.
    package var windows: [String: ContextWindow]
    /// By id, of those of which it is known.
    package var work: [String: ModelWork]
    /// By id, of those of which it is known: the words for reasoning that a model takes, as LM Studio has them.
    package var reasoning: [String: [String]]
    /// By id, of those of which anything is known.
    package var cards: [String: ModelCard]
    /// What runs them, where it tells.
    package var runtime: ModelRuntime?
    /// False: a server of LM Studio's that is older than its own API.
    package var hasOwnAPI: Bool
    /// Other spellings of ids, in lower case; a name in any case may be one.
    package var spellings: [String: String]

    /// What a request for that id can count on: of a model that is loaded more than once, the smallest window.
    package func sureWindow(of id: String) -> ContextWindow? {
        let own = instances.filter { $0.value == id && !aside.contains($0.key) }.compactMap { windows[$0.key] }
        return own.min { ($0.loaded ?? .max) < ($1.loaded ?? .max) } ?? windows[id]
    }

    package init(
        ids: [String]? = nil, loaded: [String] = [], windows: [String: ContextWindow] = [:],
        work: [String: ModelWork] = [:], reasoning: [String: [String]] = [:], spellings: [String: String] = [:],
        instances: [String: String] = [:], aside: Set<String> = [], variants: [String: String] = [:],
        cards: [String: ModelCard] = [:], runtime: ModelRuntime? = nil, unusable: [String: String] = [:],
        hasOwnAPI: Bool = true
    ) {
        self.unusable = unusable
        self.hasOwnAPI = hasOwnAPI
        self.work = work
        self.reasoning = reasoning
        self.instances = instances
        self.aside = aside
        self.variants = variants
        self.cards = cards
        self.runtime = runtime
        self.spellings = spellings
        self.ids = ids
        self.loaded = loaded
        self.windows = windows
    }

    /// Whether requests may ask for it by that name.
    package func has(_ name: String) -> Bool {
        ids?.contains(name) == true || loaded.contains(name) || instances[name] != nil || variants[name] != nil
    }
}
