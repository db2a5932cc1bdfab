/// Weights in one quantisation: one file, or all parts of one that was cut.
struct Variant: Sendable, Hashable {
    /// The path of the file, without `.gguf` and the numbers of its part.
    var stem: String
    var quantisation: Quantisation?
    /// In the order of their numbers.
    var files: [HubFile]
    /// How many parts the names speak of.
    var parts: Int

    var isWhole: Bool { files.count == parts }
    /// Without folders.
    var name: String { stem.split(separator: "/").last.map(String.init) ?? stem }
    /// What it is called in a sentence.
    var shown: String { quantisation?.description ?? name }

    /// The weights in a repository, in the order of their paths; projectors and what only helps quantising left out.
    static func all(in files: [HubFile]) -> [Variant] {
        var found: [String: Variant] = [:]
        var numbers: [String: Set<Int>] = [:]
        for file in (files + joined(files)).sorted(by: { $0.path < $1.path }) where isWeights(file) {
            let (stem, part) = cut(file.path)
            let key = part.map { "\(stem) of \($0.count)" } ?? stem
            // The same number twice: the first stands for both.
            guard numbers[key, default: []].insert(part?.number ?? 1).inserted else { continue }
            found[
                key,
                default: Variant(
                    stem: stem, quantisation: quantisation(of: stem), files: [], parts: part?.count ?? 1)
            ].files.append(file)
        }
        return found.values.sorted { $0.files[0].path < $1.files[0].path }
    }

    /// Of the file's own name, else of the folder it is in.
    static func quantisation(of stem: String) -> Quantisation? {
        stem.split(separator: "/").reversed().lazy.compactMap { Quantisation(inFileName: String($0)) }.first
    }

    static func isProjector(_ file: HubFile) -> Bool { isGGUF(file) && file.name.lowercased().contains("mmproj") }

    private static func isWeights(_ file: HubFile) -> Bool {
        isGGUF(file) && !isProjector(file) && !file.name.lowercased().contains("imatrix")
    }

    private static func isGGUF(_ file: HubFile) -> Bool { file.path.lowercased().hasSuffix(".gguf") }

    /// `x-00002-of-00003.gguf` is part 2 of 3 of `x`; the form that llama.cpp writes and reads.
    static func cut(_ path: String) -> (stem: String, part: (number: Int, count: Int)?) {
        let stem = String(path.dropLast(".gguf".count))
        let words = stem.split(separator: "-", omittingEmptySubsequences: false)
        guard words.count >= 4, words[words.count - 2] == "of", let count = number(words[words.count - 1]),
            let number = number(words[words.count - 3]), number >= 1, number <= count
        else { return (stem, nil) }
        return (words.dropLast(3).joined(separator: "-"), (number, count))
    }

    /// The files that lie in the repository only in pieces, `x.gguf.part1of2` and so on, which llama.cpp cannot read as
    /// they are. A file of which a piece is missing is none.
    private static func joined(_ files: [HubFile]) -> [HubFile] {
        var found: [String: [Int: HubFile]] = [:]
        var counts: [String: Int] = [:]
        for file in files {
            guard let (whole, number, count) = piece(file.path), !files.contains(where: { $0.path == whole }) else {
                continue
            }
            found[whole, default: [:]][number] = file
            counts[whole] = max(counts[whole] ?? 0, count)
        }
        return found.compactMap { whole, pieces in
            guard pieces.count == counts[whole] else { return nil }
            return HubFile(path: whole, joining: pieces.sorted { $0.key < $1.key }.map(\.value))
        }
    }

    /// `x.gguf.part2of3` is piece 2 of 3 of `x.gguf`.
    private static func piece(_ path: String) -> (whole: String, number: Int, count: Int)? {
        guard let dot = path.lastIndex(of: "."), path[..<dot].lowercased().hasSuffix(".gguf") else { return nil }
        let numbers = path[dot...].dropFirst().lowercased()
        guard numbers.hasPrefix("part"), let of = numbers.firstRange(of: "of"),
            let number = Int(numbers[numbers.index(numbers.startIndex, offsetBy: 4)..<of.lowerBound]),
            let count = Int(numbers[of.upperBound...]), (1...count).contains(number), count <= 1000
        else { return nil }
        return (String(path[..<dot]), number, count)
    }

    private static func number(_ word: Substring) -> Int? { word.utf8.count == 5 ? Int(word) : nil }
}
