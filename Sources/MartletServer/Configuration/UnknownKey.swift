import MartletGateway

/// What to say about a key that is not one.
enum UnknownKey {
    /// - Parameter known: full paths of the keys that may stand in this form.
    static func error(_ key: String, at place: Place, among known: [String]) -> ConfigurationError {
        if isNotBuilt(key) { return place.error("\(key) is not built yet") }
        return place.error("unknown key \(key); the nearest known key is \(nearest(key, among: known))")
    }

    static func isNotBuilt(_ key: String) -> Bool {
        ConfigurationKeys.notBuilt.contains { pattern in
            let wanted = pattern.split(separator: "."), parts = key.split(separator: ".")
            return parts.count >= wanted.count && zip(wanted, parts).allSatisfy { $0 == "*" || $0 == $1 }
        }
    }

    /// The same word in another section, else the nearest word of this section, else the nearest of all.
    static func nearest(_ key: String, among known: [String]) -> String {
        let start = key.lastIndex(of: ".").map { String(key[...$0]) } ?? ""
        let word = String(key.dropFirst(start.count))
        let siblings = Set(known.filter { $0.hasPrefix(start) }.map { $0.dropFirst(start.count).prefix { $0 != "." } })
        if let elsewhere = known.first(where: { $0.hasSuffix("." + word) }) { return elsewhere }
        if let near = ModelName.closest(to: word, among: siblings.map(String.init).sorted(), count: 1).first {
            return start + near
        }
        let leaves = Dictionary(known.map { (String($0.split(separator: ".").last ?? ""), $0) }) { first, _ in first }
        if let near = ModelName.closest(to: word, among: leaves.keys.sorted(), count: 1).first, let path = leaves[near]
        {
            return path
        }
        return ModelName.closest(to: key, among: known, count: 1).first ?? start + (siblings.sorted().first ?? "server")
    }
}
