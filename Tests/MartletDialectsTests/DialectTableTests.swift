import Foundation
import MartletDialects
import MartletWire
import NIOCore
import Testing

/// The tables of docs/DIALECTS.md, made by trying: each thing a request or reply can say is translated, and the row says
/// where it came out. With `MARTLET_REWRITE_DOCS=1` and `--no-parallel` they are written anew; review the
/// difference.
@Suite("Tables of the dialects' page", .serialized)
struct DialectTableTests {
    static let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/DIALECTS.md")
    static let rewrites = ProcessInfo.processInfo.environment["MARTLET_REWRITE_DOCS"] == "1"

    /// An upstream of a column.
    struct Upstream {
        var name: String
        var dialect: UpstreamDialect
        var capabilities: Capabilities
    }

    /// What an unknown server is taken for, and one that can do all there is in the dialect.
    static let upstreams: [Upstream] = [
        Upstream(name: "Chat, unknown server", dialect: .chat, capabilities: Capabilities()),
        Upstream(name: "Chat, all capabilities", dialect: .chat, capabilities: able),
        Upstream(name: "Anthropic", dialect: .anthropic, capabilities: .anthropic),
        Upstream(name: "Responses", dialect: .responses, capabilities: .responses),
    ]

    /// Takes no tools of clients and no assistant turns.
    static let native = Upstream(name: "LM Studio's own", dialect: .lmstudio, capabilities: Capabilities())

    static let able: Capabilities = {
        var flags = Capabilities()
        flags.reasoningIn = .field("reasoning_content")
        flags.thinkingControl = .effort
        flags.efforts = Set(Effort.allCases)
        flags.toolChoice = .full
        flags.systemLate = .keep
        flags.systemMany = .keep
        flags.developerRole = true
        flags.images = .url
        flags.imageInTool = true
        flags.files = true
        flags.audio = true
        flags.schemaProfile = .none
        flags.n = true
        flags.logprobs = true
        flags.topK = true
        flags.localSampling = .repeatPenalty
        flags.strictTools = true
        flags.prefill = true
        return flags
    }()

    /// Dialects of conversations, in which clients and upstreams meet in every pair.
    static let conversations: [DialectID] = [.chat, .anthropic, .responses]

    static let clients: [(DialectID, String)] = [
        (.chat, "Chat"), (.completions, "Completions"), (.anthropic, "Anthropic"), (.responses, "Responses"),
        (.lmstudio, "LM Studio's own"),
    ]

    @Test("what becomes of a request is as the page says", arguments: DialectID.allCases)
    func requests(client: DialectID) throws {
        let upstreams = (Self.upstreams + [Self.native]).filter { $0.dialect != UpstreamDialect(client) }
        var lines = [
            row(["of the request"] + upstreams.map(\.name)), row(Array(repeating: "---", count: upstreams.count + 1)),
        ]
        for probe in Probe.requests(client) {
            let fates = try upstreams.map { upstream in
                try Fate(
                    of: { try Self.translated($0, from: client, to: upstream) }, probe: probe)
            }
            lines.append(row(["`\(probe.name)`"] + fates.map(\.words)))
        }
        try compare("requests-\(client.rawValue)", lines)
    }

    @Test("what becomes of a reply is as the page says", arguments: conversations)
    func replies(upstream: DialectID) throws {
        let clients = Self.clients.filter { $0.0 != upstream }
        var lines = [
            row(["of the reply"] + clients.map { "for \($0.1)" }),
            row(Array(repeating: "---", count: clients.count + 1)),
        ]
        for probe in ReplyProbe.replies(upstream) {
            let fates = try clients.map { client, _ in
                try Fate(of: { try Self.reply($0, from: upstream, for: client) }, probe: probe)
            }
            lines.append(row(["`\(probe.name)`"] + fates.map(\.words)))
        }
        try compare("replies-\(upstream.rawValue)", lines)
    }

    private func row(_ cells: [String]) -> String {
        "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
    }

    static func translated(_ body: String, from client: DialectID, to upstream: Upstream) throws -> Outcome {
        let target = WriteTarget(model: "up", capabilities: upstream.capabilities, streams: false)
        do {
            let request = try Dialects.translateRequest(
                JSONDocument(checking: ByteBuffer(string: body)), from: client, to: upstream.dialect, for: target)
            if let answer = request.answer { return .answered(answer) }
            var context = request.context
            context.inputEstimate = 0
            context.callIDs = []
            context.clientStops = []
            return .written(try JSON(parsing: request.body), dropped: request.dropped, context)
        } catch let error as GatewayError {
            return .refused(ErrorTable.status(error, for: client))
        }
    }

    static func reply(_ body: String, from upstream: DialectID, for client: DialectID) throws -> Outcome {
        var target = replyTarget(client)
        target.clock = { 9 }
        let whole = try Dialects.translateWhole(ByteBuffer(string: body), from: UpstreamDialect(upstream), to: target)
        return .written(try JSON(parsing: whole.pieces.map(\.string).joined()), dropped: [], ReplyContext())
    }

    /// Puts the lines between the page's marks of that name, or demands that they stand there.
    private func compare(_ name: String, _ lines: [String]) throws {
        let begin = "<!-- made by DialectTableTests: \(name) -->\n\n"
        let end = "\n\n<!-- end -->"
        let page = try String(contentsOf: Self.page, encoding: .utf8)
        let start = try #require(page.firstRange(of: begin), "docs/DIALECTS.md has no mark for \(name)").upperBound
        let stop = try #require(page[start...].firstRange(of: end)).lowerBound
        let table = lines.joined(separator: "\n")
        if Self.rewrites {
            try page.replacingCharacters(in: start..<stop, with: table)
                .write(to: Self.page, atomically: true, encoding: .utf8)
        } else {
            #expect(page[start..<stop] == table, "MARTLET_REWRITE_DOCS=1 writes it anew")
        }
    }
}

/// What a translation gave.
enum Outcome: Equatable {
    case written(JSON, dropped: [String], ReplyContext)
    case answered(LocalAnswer)
    case refused(Int)
}

/// What became of the one thing a probe says.
struct Fate {
    let words: String

    init(of translate: (String) throws -> Outcome, probe: Probe) throws {
        let before = try translate(probe.without)
        let after = try translate(probe.body)
        switch (before, after) {
        case (_, .refused(let status)): words = "refused, \(status)"
        case (_, .answered): words = "answered here"
        case (.written(let old, let known, let oldContext), .written(let new, let dropped, let context)):
            let came = Self.carriers(from: old, to: new) + Self.missing(from: old, in: new)
            let named = dropped.filter { !known.contains($0) }
            let here = came.isEmpty ? Self.here(oldContext, context).map { [$0] } ?? [] : came
            let notes =
                named.isEmpty ? [] : ["\(came.isEmpty ? "dropped, " : "")named `\(named.joined(separator: ", "))`"]
            words = here.isEmpty && notes.isEmpty ? "–" : (here + notes).joined(separator: "; ")
        case (_, .written): words = "?"
        }
    }

    /// What this gateway itself makes of it when it writes the reply.
    private static func here(_ old: ReplyContext, _ new: ReplyContext) -> String? {
        var silent = new
        silent.echo = old.echo
        if silent != old { return "kept here, for the reply" }
        return new == old ? nil : "repeated in the reply"
    }

    private struct Leaf: Hashable {
        var path: String
        var value: String

        /// Of a message, a part, or a tool.
        var isKind: Bool { ["[].type", "[].role"].contains { path.hasSuffix($0) } }

        /// Says something of the probe's own.
        var isMarked: Bool {
            value.contains("~") || value.contains("iVBORw0KGgo") || value.contains("JVBERi0")
                || ["77", "0.625", "7777"].contains(value)
        }
    }

    /// Members that are there because of the probe. Where its own values stand, nothing else needs to be told.
    private static func carriers(from old: JSON, to new: JSON) -> [String] {
        var added = difference(leaves(new), leaves(old)).filter { !$0.path.hasSuffix("id") || $0.isMarked }
        // What kind of part it is says its path.
        if added.contains(where: { !$0.isKind }) { added.removeAll(where: \.isKind) }
        let marked = added.filter(\.isMarked)
        var words: [String] = []
        for leaf in marked.isEmpty ? Array(added.prefix(3)) : marked {
            let isAlone = leaf.value.hasPrefix("~") || !leaf.value.contains("~")
            let isShort = leaf.value.utf8.count <= 40 && !leaf.value.contains("\n")
            let word =
                !marked.isEmpty
                ? "\(isAlone ? "" : "in ")`\(leaf.path)`"
                : isShort ? "`\(leaf.path): \(leaf.value)`" : "a sentence in `\(leaf.path)`"
            if !words.contains(word) { words.append(word) }
        }
        return words
    }

    /// What the probe takes away, where it adds nothing.
    private static func missing(from old: JSON, in new: JSON) -> [String] {
        guard carriers(from: old, to: new).isEmpty else { return [] }
        var paths: [String] = []
        for leaf in difference(leaves(old), leaves(new)) where !paths.contains(leaf.path) { paths.append(leaf.path) }
        return paths.isEmpty ? [] : ["without `\(paths.prefix(2).joined(separator: "`, `"))`"]
    }

    private static func difference(_ leaves: [Leaf], _ others: [Leaf]) -> [Leaf] {
        var others = others
        return leaves.filter { leaf in
            guard let place = others.firstIndex(of: leaf) else { return true }
            others.remove(at: place)
            return false
        }
    }

    private static func leaves(_ json: JSON, _ path: String = "") -> [Leaf] {
        switch json {
        case .object(let members) where members.isEmpty: [Leaf(path: path, value: "{}")]
        case .object(let members): members.flatMap { leaves($1, path.isEmpty ? $0 : "\(path).\($0)") }
        case .array(let elements): elements.flatMap { leaves($0, path + "[]") }
        case .string(let text): [Leaf(path: path, value: text)]
        default: [Leaf(path: path, value: json.text)]
        }
    }
}
