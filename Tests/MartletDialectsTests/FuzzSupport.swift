import Foundation
import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore

/// What the fuzzers begin with, and what must hold of whatever comes out.
enum FuzzCorpus {
    /// Files of the transcripts' folders.
    static func files(_ folder: String, _ name: String) -> [[UInt8]] {
        let folder = ReplyTranscriptTests.folder.appending(path: folder)
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted().compactMap {
            (try? Data(contentsOf: folder.appending(path: "\($0)/\(name)"))).map { [UInt8]($0) }
        }
    }

    static func streams(_ upstream: UpstreamDialect) -> [[UInt8]] {
        switch upstream {
        case .chat: files("chat", "reply.sse") + files("responses", "chat-reply.sse")
        case .anthropic: files("anthropic", "reply.sse")
        case .responses: files("responses-upstream", "reply.sse")
        case .lmstudio: files("lmstudio", "reply.sse")
        case .completions: files("completions", "reply.sse")
        }
    }

    /// Whole replies in a dialect: all streams, said whole.
    static func wholes(_ dialect: DialectID) -> [[UInt8]] {
        DialectTableTests.conversations.map(UpstreamDialect.init).flatMap { upstream in
            streams(upstream).compactMap { stream in
                guard
                    let reply = try? Dialects.translateWhole(
                        ByteBuffer(bytes: stream), from: upstream, to: replyTarget(dialect))
                else { return nil }
                return reply.pieces.flatMap { Array($0.readableBytesView) }
            }
        }
    }

    static func requests(_ client: DialectID) -> [[UInt8]] {
        let recorded: [[UInt8]] =
            switch client {
            case .chat: files("responses", "chat-request.json")
            case .anthropic: [Array(RequestPropertyTests().agentBody(turn: 4).utf8)]
            case .responses: files("responses", "request.json")
            case .completions, .lmstudio: []
            }
        return recorded + Probe.requests(client).map { Array($0.body.utf8) }
    }
}

enum FuzzCheck {
    /// Bytes that may come of so many: tools and settings are said again in several events.
    static func most(_ input: Int) -> Int { 64 * input + (1 << 20) }

    static func context(_ random: inout Seeded) -> ReplyContext {
        var context = random.pick([ReplyContext(), Calls.context, CallsTranscriptTests.context])
        if random.below(3) == 0 { context.reasoningOut = .thinkTags }
        context.startsInsideThinking = random.below(6) == 0
        context.hidesReasoning = random.below(6) == 0
        context.keepsFirstCallOnly = random.below(6) == 0
        context.wantsJSON = random.below(4) == 0
        context.mendsArguments = random.below(4) == 0
        context.includesUsage = random.below(2) == 0
        if random.below(4) == 0 { context.stops = random.pick([["e"], ["\n", "the"], ["}"]]) }
        if random.below(6) == 0 { context.prefill = EscapedText(escaping: random.pick(["The", "I", "{"])) }
        return context
    }

    static func capabilities(_ random: inout Seeded) -> Capabilities {
        var flags = random.pick([Capabilities(), .anthropic, .responses])
        if random.below(2) == 0 {
            flags.reasoningIn = random.pick([.none, .thinkTags, .field("reasoning")])
            flags.thinkingControl = random.pick([.none, .effort, .enableThinking, .budget])
            flags.toolChoice = random.pick([.none, .strings, .full])
            flags.systemLate = random.pick([.keep, .merge, .user])
            flags.images = random.pick([.none, .data, .url])
            flags.jsonSchema = random.pick([.none, .grammar, .native])
            flags.jsonObject = random.pick([.none, .native])
            flags.schemaProfile = random.pick(SchemaProfile.allCases)
            flags.callIDs = random.pick([CallIDRule(), CallIDRule(length: 9...9, isAlphanumeric: true)])
            flags.toolNameLength = random.pick([16, 64])
            flags.stopLimit = random.pick([nil, 0, 4])
            flags.prefill = random.below(2) == 0
            flags.imageInTool = random.below(2) == 0
            flags.files = random.below(2) == 0
            flags.contentMustBeString = random.below(2) == 0
            flags.sampling = random.below(2) == 0
        }
        return flags
    }

    /// The bytes as reads of any sizes.
    static func cut(_ bytes: [UInt8], _ random: inout Seeded) -> [ByteBuffer] {
        let most = random.pick([1, 3, 30, 300, 3000])
        var reads: [ByteBuffer] = []
        var at = 0
        while at < bytes.count {
            let end = min(bytes.count, at + 1 + random.below(most))
            reads.append(ByteBuffer(bytes: bytes[at..<end]))
            at = end
        }
        return reads
    }

    // MARK: - Requests

    static func request(_ bytes: [UInt8], _ client: DialectID, _ random: inout Seeded) -> String? {
        guard let document = try? JSONDocument(checking: ByteBuffer(bytes: bytes)) else { return nil }
        for upstream in UpstreamDialect.allCases {
            let target = WriteTarget(
                model: "up", capabilities: capabilities(&random), streams: random.below(2) == 0,
                contextWindow: random.pick([nil, 100, 8192]), isStrict: random.below(4) == 0)
            func translated() throws(GatewayError) -> TranslatedRequest {
                try Dialects.translateRequest(document, from: client, to: upstream, for: target)
            }
            do throws(GatewayError) {
                let request = try translated()
                if try translated() != request { return "\(upstream): twice, it differs" }
                if request.answer != nil { continue }
                guard request.body.isJSON else {
                    return "\(upstream): no JSON: \(request.body.string)"
                }
                if request.body.readableBytes > most(bytes.count) {
                    return "\(upstream): \(request.body.readableBytes)"
                }
                if let name = request.dropped.first(where: { $0.isEmpty || !$0.utf8.allSatisfy { 0x21...0x7E ~= $0 } })
                {
                    return "\(upstream): no name for a header: \(name)"
                }
            } catch {
                if let fault = refusal(error, client) { return "\(upstream): \(fault)" }
            }
        }
        return nil
    }

    /// A client's mistake is told as one.
    static func refusal(_ error: GatewayError, _ client: DialectID) -> String? {
        let codes: [ErrorCode] = [
            .invalidRequest, .unsupportedParameter, .previousResponseNotFound, .notFound, .mcpDenied, .missingParameter,
            .invalidUnion, .unrecognizedKeys,
        ]
        guard codes.contains(error.code), !error.message.isEmpty, error.message.utf8.count < 2000 else {
            return "refused with \(error)"
        }
        return ErrorTable.body(error, for: client, requestID: "r").isJSON ? nil : "refusal: no JSON"
    }

    // MARK: - Replies

    static func stream(
        _ bytes: [UInt8], from upstream: UpstreamDialect, _ context: ReplyContext, _ random: inout Seeded
    ) -> String? {
        for client in DialectID.allCases {
            var target = replyTarget(client, usage: random.pick([.asked, .hidden]), thinking: random.below(2) == 0)
            target.mode = random.pick([.exact, .repair])
            target.clock = { 9 }
            let whole = run(Dialects.pipe(from: upstream, to: target, context: context), [ByteBuffer(bytes: bytes)])
            for _ in 0..<2 {
                let pieces = cut(bytes, &random)
                if run(Dialects.pipe(from: upstream, to: target, context: context), pieces) != whole {
                    return "for \(client), \(target.mode): cut, it differs"
                }
            }
            if whole.text.utf8.count > most(bytes.count) { return "for \(client): \(whole.text.utf8.count) bytes" }
            if whole.finding == .nothing || whole.finding == .usable { return "for \(client): no verdict" }
            guard upstream != UpstreamDialect(client) else { continue }
            let faults = faults(withoutHalves(whole.text), client, isComplete: whole.finding == .complete)
            if let fault = faults.first { return "for \(client): \(fault)\n\(whole.text)" }
        }
        return nil
    }

    static func faults(_ text: String, _ client: DialectID, isComplete: Bool) -> [String] {
        switch client {
        case .anthropic: StrictAnthropicReader(text).faults
        case .responses: StrictResponsesReader(text).faults
        case .lmstudio: StrictNativeReader(text).faults
        case .chat where isComplete: strictFaults(text)
        case .chat: text.hasSuffix(done) ? ["[DONE] behind an error"] : []
        case .completions: text.hasSuffix(done) == isComplete ? [] : ["its end"]
        }
    }

    /// The text with a question mark for each half of a surrogate pair: what an upstream tore in two a client gets so.
    static func withoutHalves(_ text: String) -> String {
        guard text.contains("\\u") else { return text }
        var out: [UInt8] = []
        let bytes = Array(text.utf8)
        var at = 0
        while at < bytes.count {
            let isEscape = bytes[at] == 0x5C && at + 1 < bytes.count
            let isHalf =
                isEscape && at + 5 < bytes.count && bytes[at + 1] == 0x75 && bytes[at + 2] | 0x20 == 0x64
                && "89abAB cdefCDEF".utf8.contains(bytes[at + 3])
            if isHalf { out.append(0x3F) } else { out += bytes[at..<min(bytes.count, at + (isEscape ? 2 : 1))] }
            at += isHalf ? 6 : isEscape ? 2 : 1
        }
        return String(decoding: out, as: UTF8.self)
    }

    static func whole(_ bytes: [UInt8], _ random: inout Seeded) -> String? {
        let body = ByteBuffer(bytes: bytes)
        let context = context(&random)
        for upstream in DialectTableTests.conversations.map(UpstreamDialect.init) + [.lmstudio] {
            for client in DialectID.allCases {
                let target = replyTarget(client)
                do throws(GatewayError) {
                    let reply = try Dialects.translateWhole(body, from: upstream, to: target, context: context)
                    let text = reply.pieces.map(\.string).joined()
                    if text.utf8.count > most(bytes.count) { return "\(upstream), \(client): \(text.utf8.count) bytes" }
                    guard upstream != UpstreamDialect(client) else { continue }
                    guard let json = try? JSON(parsing: withoutHalves(text)) else {
                        return "\(upstream), \(client): no JSON: \(text)"
                    }
                    if let fault = fault(json, client) { return "\(upstream), \(client): \(fault): \(text)" }
                } catch {
                    if error.message.isEmpty { return "\(upstream), \(client): no words for \(error.code)" }
                }
            }
        }
        return nil
    }

    /// What a client's decoder would miss in a whole reply.
    private static func fault(_ reply: JSON, _ client: DialectID) -> String? {
        switch client {
        case .chat, .completions:
            let reasons = (reply["choices"]?.array ?? []).map { $0["finish_reason"]?.string }
            let known = ["stop", "length", "tool_calls", "content_filter"]
            return reasons.isEmpty || reasons.contains { !known.contains($0 ?? "") } ? "finish_reason" : nil
        case .anthropic:
            guard reply["content"]?.array != nil, reply["stop_reason"]?.string != nil else { return "message" }
            return (reply["usage"]?["output_tokens"]?.int ?? -1) < 0 ? "usage" : nil
        case .responses: return UpstreamResponsesGrammar.members.first { reply[$0] == nil }
        case .lmstudio: return ["model_instance_id", "output", "stats"].first { reply[$0] == nil }
        }
    }
}

extension ByteBuffer {
    /// Names that stand twice are let through: below the top level nobody here looks at them.
    var isJSON: Bool { (try? JSONDocument(checking: self)) != nil }
}
