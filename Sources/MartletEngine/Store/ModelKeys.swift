/// The keys of a header, by the names llama.cpp looks for (llama-arch.cpp).
struct ModelKeys {
    let values: [String: GGUFValue]
    let architecture: String?

    /// llama.cpp's `LLAMA_MAX_LAYERS`.
    static let mostLayers = 512
    /// Heads, and elements of vectors; above all models, and small enough that products of two can be counted.
    static let mostElements = 1 << 24

    init(_ values: [String: GGUFValue]) {
        self.values = values
        architecture = values["general.architecture"]?.text.flatMap { $0.isEmpty ? nil : Shown.text($0) }
    }

    func text(_ key: String) -> String? { values[key]?.text }
    func flag(_ key: String) -> Bool? { values[key]?.flag }
    func count(_ key: String) -> Int? { values[key]?.count }

    /// A number of the model's architecture: `layer_count` is `qwen3.layer_count`.
    ///
    /// - Throws: when there is a number that is negative or above `most`.
    func model(_ key: String, most: Int) throws(EngineError) -> Int? {
        guard let architecture, let value = values["\(architecture).\(key)"] else { return nil }
        return try Self.number(value, "\(architecture).\(key)", most)
    }

    /// Numbers of the layers: one for all of them, or a list of one each.
    func layers(_ key: String, most: Int) throws(EngineError) -> [Int] {
        guard let architecture, let value = values["\(architecture).\(key)"] else { return [] }
        guard case .list(let list) = value else { return [try Self.number(value, "\(architecture).\(key)", most)] }
        var numbers: [Int] = []
        for element in list.elements ?? [] {
            numbers.append(try Self.number(element, "\(architecture).\(key)", most))
        }
        return numbers
    }

    /// Bits of the layers: a list of one each, or a period of it; nil when the file says neither.
    func pattern(_ key: String) -> Pattern? {
        guard let architecture, let value = values["\(architecture).\(key)"] else { return nil }
        if let elements = value.list?.elements {
            return .list(elements.map { $0.flag ?? ($0.count.map { $0 != 0 } ?? false) })
        }
        return value.count.map { .period($0) }
    }

    enum Pattern {
        case list([Bool])
        case period(Int)
    }

    func vocabulary() throws(EngineError) -> Int {
        let said = try model("vocab_size", most: Self.mostElements)
        guard let tokens = values["tokenizer.ggml.tokens"]?.list?.count else { return said ?? 0 }
        return Int(clamping: tokens)
    }

    /// A model may have several templates; the one named for tools says that it knows them.
    func template() -> TemplateAbilities? {
        guard let value = values["tokenizer.chat_template"] else { return nil }
        var abilities = TemplateAbilities(value.text ?? "")
        if values["tokenizer.chat_template.tool_use"] != nil { abilities.tools = true }
        return abilities
    }

    private static func number(_ value: GGUFValue, _ key: String, _ most: Int) throws(EngineError) -> Int {
        guard let count = value.count, count <= most else {
            throw EngineError(.unreadableModel, "its \(Shown.text(key)) is not a number from 0 to \(most)")
        }
        return count
    }
}
