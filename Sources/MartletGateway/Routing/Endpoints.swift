package import MartletDialects

/// What a path stands for.
package enum Endpoint: Sendable, Hashable {
    /// A completion in the named dialect.
    case completion(DialectID)
    /// Embeddings, or a ranking of documents.
    case vectors(VectorTask)
    case countTokens
    /// How long a request of Responses is.
    case inputTokens
    /// One stored response; the ids are parts of the path, percent-decoded.
    case response(String)
    case inputItems(String)
    case cancelResponse(String)
    /// A conversation to be summed up.
    case compactResponse
    case models
    /// One model; the id is the rest of the path, percent-decoded.
    case model(String)
    /// LM Studio's lists of the models of this machine: its own API's, and the older one's.
    case nativeModels, legacyModels
    /// One entry of the older list; the id is the rest of the path, percent-decoded.
    case legacyModel(String)
    /// A model is to be got from the hub.
    case downloadModel
    /// How far one download is, or all where none is named; the id is the end of the path, percent-decoded.
    case downloadStatus(String?)
    /// The end of a download, which is ours.
    case cancelDownload(String)
    /// A model of this machine is to be loaded, or an instance of one unloaded; by LM Studio's own API, and by routes of
    /// the older one that clients call.
    case loadModel, unloadModel, legacyLoad, legacyUnload
    /// What is loaded on this machine, and an instance of that is to stay, or not.
    case residents, pinResident
    /// The server's log, line by line as it is written.
    case serverLog
    case health, live, ready
    /// `/` and `/api/hello`: probes that want a quick 200.
    case hello
    /// LM Studio's probes: whether its server is there, and which version.
    case greeting, apiStatus
    case unknown
}

/// Paths to endpoints. Routes on the path only, exactly as it is written: no case folding, no cleaning of `//` or `..`.
package enum Endpoints {
    package struct Match: Sendable, Hashable {
        package var endpoint: Endpoint
        /// Methods served, for 405's `Allow`.
        package var methods: [String]
    }

    package static func match(_ path: Substring) -> Match {
        switch path {
        case "/v1/chat/completions", "/chat/completions", "/api/v0/chat/completions":
            return Match(endpoint: .completion(.chat), methods: ["POST"])
        case "/v1/completions", "/completions", "/api/v0/completions":
            return Match(endpoint: .completion(.completions), methods: ["POST"])
        case "/v1/embeddings", "/embeddings", "/api/v0/embeddings":
            return Match(endpoint: .vectors(.embeddings), methods: ["POST"])
        case "/v1/rerank", "/rerank": return Match(endpoint: .vectors(.rerank), methods: ["POST"])
        case "/v1/messages", "/anthropic/v1/messages":
            return Match(endpoint: .completion(.anthropic), methods: ["POST"])
        case "/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens":
            return Match(endpoint: .countTokens, methods: ["POST"])
        case "/v1/responses", "/responses": return Match(endpoint: .completion(.responses), methods: ["POST"])
        case "/v1/responses/input_tokens", "/responses/input_tokens":
            return Match(endpoint: .inputTokens, methods: ["POST"])
        case "/v1/responses/compact", "/responses/compact":
            return Match(endpoint: .compactResponse, methods: ["POST"])
        case "/v1/models", "/models", "/anthropic/v1/models": return Match(endpoint: .models, methods: ["GET", "HEAD"])
        case "/api/v1/chat": return Match(endpoint: .completion(.lmstudio), methods: ["POST"])
        case "/api/v1/models": return Match(endpoint: .nativeModels, methods: ["GET", "HEAD"])
        case "/api/v0/models": return Match(endpoint: .legacyModels, methods: ["GET", "HEAD"])
        case "/api/v1/models/download": return Match(endpoint: .downloadModel, methods: ["POST"])
        case "/api/v1/models/download/status":
            return Match(endpoint: .downloadStatus(nil), methods: ["GET", "HEAD"])
        case "/api/v1/models/load": return Match(endpoint: .loadModel, methods: ["POST"])
        case "/api/v1/models/unload": return Match(endpoint: .unloadModel, methods: ["POST"])
        case "/api/v0/models/load": return Match(endpoint: .legacyLoad, methods: ["POST"])
        case "/api/v0/models/unload": return Match(endpoint: .legacyUnload, methods: ["POST"])
        case "/admin/v1/residents": return Match(endpoint: .residents, methods: ["GET", "HEAD"])
        case "/admin/v1/residents/pin": return Match(endpoint: .pinResident, methods: ["POST"])
        case "/admin/v1/logs": return Match(endpoint: .serverLog, methods: ["GET"])
        case "/health": return Match(endpoint: .health, methods: ["GET", "HEAD"])
        case "/health/live": return Match(endpoint: .live, methods: ["GET", "HEAD"])
        case "/health/ready": return Match(endpoint: .ready, methods: ["GET", "HEAD"])
        case "/lmstudio-greeting": return Match(endpoint: .greeting, methods: ["GET", "HEAD"])
        case "/lms-status": return Match(endpoint: .apiStatus, methods: ["GET", "HEAD"])
        case "/", "/api/hello": return Match(endpoint: .hello, methods: ["GET", "HEAD"])
        default:
            for prefix in ["/v1/models/", "/models/", "/anthropic/v1/models/"] where path.hasPrefix(prefix) {
                if let id = percentDecoded(path.dropFirst(prefix.count)), !id.isEmpty {
                    return Match(endpoint: .model(id), methods: ["GET", "HEAD"])
                }
            }
            return responses(path) ?? native(path) ?? Match(endpoint: .unknown, methods: [])
        }
    }

    /// Paths of LM Studio's that end in an id.
    private static func native(_ path: Substring) -> Match? {
        let reading = ["GET", "HEAD"]
        let kinds: [(prefix: String, endpoint: (String) -> Endpoint, methods: [String])] = [
            ("/api/v0/models/", Endpoint.legacyModel, reading),
            ("/api/v1/models/download/status/", Endpoint.downloadStatus, reading),
            ("/api/v1/models/download/", Endpoint.cancelDownload, ["DELETE"]),
        ]
        for (prefix, endpoint, methods) in kinds where path.hasPrefix(prefix) {
            guard let id = percentDecoded(path.dropFirst(prefix.count)), !id.isEmpty else { return nil }
            return Match(endpoint: endpoint(id), methods: methods)
        }
        return nil
    }

    /// Paths below `/v1/responses/`.
    private static func responses(_ path: Substring) -> Match? {
        for prefix in ["/v1/responses/", "/responses/"] where path.hasPrefix(prefix) {
            let parts = path.dropFirst(prefix.count).split(
                separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
            guard let first = parts.first, let id = percentDecoded(first), !id.isEmpty, parts.count <= 2 else {
                return nil
            }
            guard parts.count == 2 else { return Match(endpoint: .response(id), methods: ["GET", "HEAD", "DELETE"]) }
            switch parts[1] {
            case "input_items": return Match(endpoint: .inputItems(id), methods: ["GET", "HEAD"])
            case "cancel": return Match(endpoint: .cancelResponse(id), methods: ["POST"])
            default: return nil
            }
        }
        return nil
    }

    /// Whether a path is one of LM Studio's older API. Its errors are words alone.
    package static func isLegacy(_ path: Substring) -> Bool { path.hasPrefix("/api/v0/") }

    /// The dialect whose error shape an answer on this path has (specs 0.1).
    package static func dialect(of endpoint: Endpoint, path: Substring, hasAnthropicVersion: Bool) -> DialectID {
        if case .completion(let dialect) = endpoint { return dialect }
        if path.hasPrefix("/api/v1/") { return .lmstudio }
        if hasAnthropicVersion || path.hasPrefix("/v1/messages") || path.hasPrefix("/anthropic") { return .anthropic }
        return path.hasPrefix("/v1/responses") || path.hasPrefix("/responses") ? .responses : .chat
    }

    /// The value of a parameter in a query; nil when it is absent or broken.
    package static func parameter(_ name: String, of query: String) -> String? {
        for pair in query.split(separator: "&") where pair.hasPrefix(name + "=") {
            return percentDecoded(pair.dropFirst(name.utf8.count + 1))
        }
        return nil
    }

    /// Nil on a broken escape, NUL, or text that is not UTF-8.
    static func percentDecoded(_ text: Substring) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.next(), let low = rest.next(), let value = UInt8(hex: high, low), value != 0
                else {
                    return nil
                }
                bytes.append(value)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension UInt8 {
    fileprivate init?(hex high: UInt8, _ low: UInt8) {
        func nibble(_ digit: UInt8) -> UInt8? {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
            default: nil
            }
        }
        guard let first = nibble(high), let second = nibble(low) else { return nil }
        self = first << 4 | second
    }
}
