package import MartletWire

/// A downloaded model in the words of `lms ls --json` and of LM Studio's SDK (specs lmstudio 11.5).
package struct LMSModel: Sendable, Hashable {
    package var key: String
    package var isEmbedding: Bool
    package var size: Int
    /// The name that says which variant it is; one file is one variant.
    package var variant: String
    /// An entry of `GET /api/v1/models`, which it is made of.
    private let entry: JSON
    /// `publisher/repository/file` below the folder of models.
    private let path: String

    /// - Parameters:
    ///   - entry: of `GET /api/v1/models`.
    ///   - path: below the folder of models; nil: not known here.
    ///   - variant: nil: not known here.
    /// - Returns: nil for an entry of a model that cannot be used.
    package init?(_ entry: JSON, path: String? = nil, variant: String? = nil) {
        guard let key = entry["key"]?.string, let type = entry["type"]?.string else { return nil }
        self.key = key
        isEmbedding = type == "embedding"
        size = entry["size_bytes"]?.int ?? 0
        self.entry = entry
        self.path = path ?? key
        self.variant = variant ?? key
    }

    var parameters: String? { entry["params_string"]?.string }
    var architecture: String? { entry["architecture"]?.string }
    private var quantisation: String? { entry["quantization"]?["name"]?.string }

    /// Members that need not be there are left out where nothing is known; the validators of LM Studio's SDK take no
    /// null for them.
    package var json: JSON {
        var json: JSON = [
            "type": .string(isEmbedding ? "embedding" : "llm"), "modelKey": .string(key), "format": "gguf",
            "displayName": .string(entry["display_name"]?.string ?? key),
            "publisher": .string(entry["publisher"]?.string ?? ""), "path": .string(path), "sizeBytes": .int(size),
            "indexedModelIdentifier": .string(key), "deviceIdentifier": .null,
        ]
        if let parameters { json["paramsString"] = .string(parameters) }
        if let architecture { json["architecture"] = .string(architecture) }
        if let quantisation {
            let bits = entry["quantization"]?["bits_per_weight"]?.double ?? 0
            json["quantization"] = ["name": .string(quantisation), "bits": .int(Int(bits.rounded()))]
        }
        if !isEmbedding {
            let capabilities = entry["capabilities"]
            json["vision"] = .bool(capabilities?["vision"]?.bool ?? false)
            json["trainedForToolUse"] = .bool(capabilities?["trained_for_tool_use"]?.bool ?? false)
        }
        json["maxContextLength"] = .int(entry["max_context_length"]?.int ?? 0)
        return json
    }

    /// An entry of `lms ps --json`: the model, and what is loaded of it.
    package func json(loadedAs resident: Resident) -> JSON {
        var json = self.json
        json["identifier"] = .string(resident.id)
        json["ttlMs"] = resident.ttlMilliseconds.map(JSON.int) ?? .null
        json["lastUsedTime"] = resident.lastUsedMilliseconds.map(JSON.int) ?? .null
        json["contextLength"] = .int(resident.context ?? 0)
        json["status"] = .string(Self.status(resident, isEmbedding: isEmbedding))
        json["queued"] = .int(resident.queued)
        json["parallel"] = isEmbedding ? .null : resident.parallel.map(JSON.int) ?? .null
        return json
    }

    /// One of the four that LM Studio has: what is about to go still answers, so it is said by what it does.
    private static func status(_ resident: Resident, isEmbedding: Bool) -> String {
        switch resident.state {
        case "idle", "processingPrompt", "generating", "computingEmbedding": resident.state
        default: resident.users == 0 ? "idle" : isEmbedding ? "computingEmbedding" : "generating"
        }
    }
}

/// What `lms ls` prints.
package enum LMSListing {
    /// How many there are and what they take, then a table of each kind.
    /// - Parameter loaded: keys of models that are.
    package static func lines(_ models: [LMSModel], loaded: Set<String>) -> [String] {
        guard !models.isEmpty else { return [] }
        let total = ByteCount.shown(models.reduce(0) { $0 + $1.size })
        var lines = [
            "You have \(models.count) \(models.count == 1 ? "model" : "models"), taking up \(total) of disk space."
        ]
        for (title, isEmbedding) in [("LLM", false), ("EMBEDDING", true)] {
            let rows = models.filter { $0.isEmbedding == isEmbedding }.map { model in
                [
                    model.key, model.parameters ?? "", model.architecture ?? "", ByteCount.shown(model.size), "Local",
                    loaded.contains(model.key) ? "✓ LOADED" : "",
                ]
            }
            guard !rows.isEmpty else { continue }
            lines.append("")
            lines += TextTable([title, "PARAMS", "ARCH", "SIZE", "DEVICE", ""], rightAligned: [3], rows).lines
        }
        return lines
    }

    package static func json(_ models: [LMSModel]) -> JSON { .array(models.map(\.json)) }

    /// `--variants --json`.
    package static func variants(_ models: [LMSModel]) -> JSON {
        .array(
            models.map { model in
                var variant = model.json
                variant["modelKey"] = .string(model.variant)
                return ["model": model.json, "variants": [variant]]
            })
    }

    package static func variantLines(_ models: [LMSModel]) -> [String] {
        TextTable(
            ["VARIANT", "SIZE"], rightAligned: [1], models.map { [$0.variant, ByteCount.shown($0.size)] }
        ).lines
    }

    /// What `lms status` prints.
    /// - Parameters:
    ///   - port: nil: no server answers.
    ///   - sizes: of the models' files, by key.
    package static func status(port: Int?, _ residents: [Resident], sizes: [String: Int]) -> [String] {
        guard let port else { return ["Server: OFF", "", "(i) To start the server, run: lms server start"] }
        var lines = ["Server: ON (port: \(port))", "", "Loaded Models"]
        lines += residents.map { one in
            "  · \(one.id) - \((sizes[one.model] ?? one.bytes).map { ByteCount.shown($0) } ?? "size not known")"
        }
        if residents.isEmpty { lines.append("  · No Models Loaded") }
        return lines
    }
}
