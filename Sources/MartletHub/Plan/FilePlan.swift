/// Which files of a repository make the model that was asked for.
package struct FilePlan: Sendable, Hashable {
    package let owner: String
    package let name: String
    package let commit: String
    /// Such as `Q4_K_M`; nil when the names do not say.
    package let quantisation: String?
    /// The weights, all parts in order.
    package let weights: [HubFile]
    /// What makes a vision model see, where the repository has one.
    package let projector: HubFile?

    /// One of the weights that a repository has, for whoever wants to choose.
    package struct Offer: Sendable, Hashable {
        /// Its quantisation, else its file's name.
        package let name: String
        package let bytes: Int64
        package let choice: RepositoryReference.Choice
    }

    /// All weights that are whole, the smallest first.
    package static func offers(of model: HubModel) -> [Offer] {
        Variant.all(in: model.files).filter(\.isWhole).map { variant in
            Offer(
                name: variant.shown, bytes: variant.files.reduce(0) { $0 &+ $1.bytes },
                choice: .file(variant.files[0].path))
        }.sorted { ($0.bytes, $0.name) < ($1.bytes, $1.name) }
    }

    /// Chooses the files.
    ///
    /// - A file that was named: it, and with one of several parts all of them.
    /// - A quantisation that was named: the weights of it, letter case aside; `q4_k_xl` also means `UD-Q4_K_XL` where
    ///   there is no plain one.
    /// - Else the only weights there are, or the first that exist in ``Quantisation/order``.
    ///
    /// A vision model gets its projector too: F16, else BF16, Q8_0, F32, else the smallest; one in the folder of the
    /// weights before others.
    /// - Throws: `noSuchFile` and `ambiguous`, which name what there is; `badReply` for sizes without sense.
    package init(_ model: HubModel, choice: RepositoryReference.Choice) throws(HubError) {
        let variants = Variant.all(in: model.files)
        guard !variants.isEmpty else {
            throw HubError(
                .noSuchFile,
                "\(model.id) has no GGUF files: look for a repository that has, with: martlet search \(model.name)")
        }
        let variant: Variant
        switch choice {
        case .file(let path): variant = try Self.variant(of: path, in: model, variants)
        case .quantisation(let name): variant = try Self.variant(named: name, in: model, variants)
        case .automatic: variant = try Self.variant(in: model, variants)
        }
        guard variant.isWhole else {
            let whole = variants.filter(\.isWhole)
            throw HubError(
                .noSuchFile,
                "\(model.id) has \(variant.files.count) of the \(variant.parts) parts of \(variant.name)"
                    + (whole.isEmpty
                        ? ", and nothing else: look for another repository with: martlet search \(model.name)"
                        : ": choose another of \(Self.list(whole))"))
        }
        owner = model.owner
        self.name = model.name
        commit = model.commit
        quantisation = variant.quantisation?.description
        weights = variant.files
        let projector = Self.projector(for: variant, in: model.files)
        self.projector = projector
        let all = variant.files + [projector].compactMap(\.self)
        var total: Int64 = 0
        for file in all {
            let (sum, overflow) = total.addingReportingOverflow(file.bytes)
            guard !overflow else { throw HubError(.badReply, "the files of \(model.id) have sizes that make no sense") }
            total = sum
        }
        bytes = total
        guard Set(all.map { $0.name.lowercased() }).count == all.count else {
            throw HubError(.ambiguous, "\(model.id) has two files of one name in different folders: name one of them")
        }
    }

    /// `owner/name`.
    package var id: String { "\(owner)/\(name)" }
    /// Weights and projector.
    package var files: [HubFile] { weights + [projector].compactMap(\.self) }
    /// Of all files together.
    package let bytes: Int64
    /// Where the weights, or the first of their parts, come to lie in the folder of models.
    package var place: String { "\(owner)/\(name)/\(weights[0].name)" }

    /// The sentence for files that have come as they are listed and cannot be loaded.
    /// - Parameter problem: a clause or a sentence without a full stop.
    package func unusable(because problem: String) -> String {
        "\(id) has come as it is listed, and cannot be loaded: \(problem). Choose another file or repository"
    }

    private static func variant(
        of path: String, in model: HubModel, _ variants: [Variant]
    ) throws(HubError) -> Variant {
        let wanted = path.lowercased()
        if let exact = variants.first(where: { $0.files.contains { $0.path == path || $0.isMade(of: path) } }) {
            return exact
        }
        let alike = variants.filter { variant in
            variant.files.contains { $0.path.lowercased() == wanted || $0.name.lowercased() == wanted }
        }
        if alike.count == 1 { return alike[0] }
        guard alike.isEmpty else {
            throw HubError(
                .ambiguous, "\(model.id) has several files \(path): name one with its folder, of \(paths(alike))")
        }
        throw HubError(.noSuchFile, "\(model.id) has no file \(path); it has \(paths(variants))")
    }

    private static func variant(
        named name: String, in model: HubModel, _ variants: [Variant]
    ) throws(HubError) -> Variant {
        let wanted = Quantisation(name)?.description
        var fitting = variants.filter { variant in
            variant.quantisation.map { $0.description == wanted } ?? false
        }
        if fitting.isEmpty { fitting = variants.filter { $0.quantisation.map { $0.plain == wanted } ?? false } }
        if fitting.isEmpty { fitting = variants.filter { $0.name.lowercased() == name.lowercased() } }
        guard !fitting.isEmpty else {
            throw HubError(.noSuchFile, "\(model.id) has no \(name); it has \(list(variants))")
        }
        return try only(fitting, in: model)
    }

    private static func variant(in model: HubModel, _ variants: [Variant]) throws(HubError) -> Variant {
        if variants.count == 1 { return variants[0] }
        let whole = variants.filter(\.isWhole)
        let ranked = whole.filter { $0.quantisation != nil }
        guard let best = ranked.compactMap({ $0.quantisation?.rank }).min() else {
            return try only(whole.isEmpty ? variants : whole, in: model)
        }
        return try only(ranked.filter { $0.quantisation?.rank == best }, in: model)
    }

    /// Of the same weights in one file and in parts, the one file.
    private static func only(_ variants: [Variant], in model: HubModel) throws(HubError) -> Variant {
        let single = variants.filter { $0.parts == 1 }
        if variants.count == 1 { return variants[0] }
        if single.count == 1, Set(variants.map { $0.name.lowercased() }).count == 1 { return single[0] }
        throw HubError(
            .ambiguous,
            "\(model.id) holds several models: name a file, as in \(model.id)/\(variants[0].files[0].path), of "
                + paths(variants)
        )
    }

    private static func projector(for variant: Variant, in files: [HubFile]) -> HubFile? {
        func folder(_ file: HubFile) -> String { String(file.path.dropLast(file.name.count)) }
        let order = ["F16", "BF16", "Q8_0", "F32"]
        func rank(_ file: HubFile) -> (Int, Int, Int64, String) {
            let type = Quantisation(inFileName: String(file.name.dropLast(".gguf".count)))?.description
            return (
                folder(file) == folder(variant.files[0]) ? 0 : 1,
                type.flatMap { order.firstIndex(of: $0) } ?? order.count, file.bytes, file.path
            )
        }
        return files.filter(Variant.isProjector).min { rank($0) < rank($1) }
    }

    /// At most this many names in a sentence.
    private static let mostShown = 12

    private static func list(_ variants: [Variant]) -> String {
        let sorted = variants.sorted {
            ($0.quantisation?.rank ?? .max, $0.name) < ($1.quantisation?.rank ?? .max, $1.name)
        }
        var seen: Set<String> = []
        return sentence(sorted.map(\.shown).filter { seen.insert($0).inserted })
    }

    private static func paths(_ variants: [Variant]) -> String { sentence(variants.map { $0.files[0].path }) }

    private static func sentence(_ names: [String]) -> String {
        let rest = names.count - mostShown
        return names.prefix(mostShown).joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
    }
}
