import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

@Suite("The beginning of a prompt, over twenty turns of an agent")
struct PrefixStabilityTests {
    /// An upstream of each kind, in both modes, and one per dialect that is only told in words.
    static let profiles: [UpstreamProfile] = {
        var responses = UpstreamProfile.openAI
        responses.dialects = [.responses]
        responses.capabilities = .responses
        var plain = UpstreamProfile.openAICompatible
        plain.capabilities.jsonSchema = .none
        plain.capabilities.reasoningIn = .thinkTags
        return UpstreamProfile.all + [responses, plain]
    }()

    static let cases = [DialectID.chat, .anthropic, .responses].flatMap { dialect in
        profiles.indices.flatMap { place in RelayMode.allCases.map { (dialect, place, $0) } }
    }

    /// A body as this upstream gets it.
    static func sent(
        _ body: String, from dialect: DialectID, to profile: UpstreamProfile, _ mode: RelayMode, window: Bool = false
    ) throws -> String {
        let upstream = Make.upstream("a", profile, mode: mode)
        let routes = RouteTable(upstreams: [upstream], aliases: [(pattern: "m", targets: ["a/m"])])
        let request = InboundRequest(
            id: "r", method: "POST", path: "/", endpoint: .completion(dialect), dialect: dialect,
            body: ByteBuffer(string: body))
        guard case .complete(let plan) = Decider.decide(request, in: Make.snapshot(routes), mayRefresh: false) else {
            throw GatewayError(code: .internalError, message: "the request of the tests is refused")
        }
        return try plan.request(for: plan.candidates[0]).body.map { String(buffer: $0) }.joined()
    }

    /// What a prompt is made of, in its order, each as it stands in the body: a list without its closing bracket.
    static func parts(_ body: String) throws -> [String: String] {
        let document = try JSONDocument(checking: ByteBuffer(string: body))
        var parts: [String: String] = [:]
        for name in ["tools", "system", "instructions", "messages", "input", "response_format", "tool_choice"] {
            guard let member = try document.member(name) else { continue }
            let text = String(buffer: document.slice(member.value))
            parts[name] = member.kind == .array ? String(text.dropLast()) : text
        }
        return parts
    }

    @Test("F5: Turn N+1 extends turn N byte for byte, at every kind of upstream, from every client", arguments: cases)
    func extends(_ dialect: DialectID, _ place: Int, _ mode: RelayMode) throws {
        let profile = Self.profiles[place]
        for seed in UInt64(1)...3 {
            let log = AgentLog(dialect, turns: 20, seed: seed, images: profile.capabilities.images != .none)
            var before: [String: String] = [:]
            for turn in 0..<20 {
                let sent = try Self.sent(log.body(turn: turn), from: dialect, to: profile, mode)
                var now = try Self.parts(sent)
                // An accounting line is the API's own business where it goes to the API, which leaves it out itself.
                if profile.speaks(dialect), dialect == .anthropic { now["system"] = nil }
                for (name, text) in before {
                    let later = try #require(now[name])
                    #expect(
                        later.utf8.starts(with: text.utf8),
                        "seed \(seed), turn \(turn), \(profile.kind), \(name): \(Self.difference(text, later))")
                    if name != "messages", name != "input" { #expect(later == text) }
                }
                #expect(
                    (now["messages"] ?? now["input"] ?? "").utf8.count
                        > (before["messages"] ?? before["input"] ?? "").utf8.count)
                before = now
                #expect(try Self.sent(log.body(turn: turn), from: dialect, to: profile, mode) == sent)
            }
        }
    }

    /// Both from where they part.
    static func difference(_ a: String, _ b: String) -> String {
        let same = zip(a.utf8, b.utf8).prefix { $0 == $1 }.count
        let shown = { (text: String) in
            String(decoding: text.utf8.dropFirst(max(0, same - 40)).prefix(160), as: UTF8.self)
        }
        return "at \(same): \(shown(a)) / \(shown(b))"
    }

    @Test(
        "B1: what changes per request in an accounting line reaches no local upstream", arguments: UpstreamProfile.all)
    func billing(_ profile: UpstreamProfile) throws {
        let log = AgentLog(.anthropic, turns: 2, seed: 1)
        let sent = try Self.sent(log.body(turn: 1), from: .anthropic, to: profile, .repair)
        #expect(sent.contains("x-anthropic-billing-header") == profile.dialects.contains(.anthropic))
        #expect(sent.contains("You code.") && sent.contains("today is some day"))
    }

    @Test("A form that is asked for in words keeps its place in front")
    func words() throws {
        let log = AgentLog(.chat, turns: 20, seed: 4)
        let format =
            #","response_format":{"type":"json_schema","json_schema":{"name":"o","schema":{"type":"object"}}}}"#
        let plain = try #require(Self.profiles.last)
        var before = ""
        for turn in 0..<20 {
            let body = String(log.body(turn: turn).dropLast()) + format
            let now = try #require(try Self.parts(Self.sent(body, from: .chat, to: plain, .repair))["messages"])
            #expect(now.contains("Answer with JSON that fits") && now.utf8.starts(with: before.utf8))
            before = now
        }
    }
}
