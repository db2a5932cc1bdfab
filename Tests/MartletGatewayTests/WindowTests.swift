import MartletDialects
import MartletGateway
import MartletWire
import NIOCore
import Testing

@Suite("Context windows in decisions")
struct WindowTests {
    static func routes(_ window: ContextWindow?, mode: RelayMode = .repair) -> RouteTable {
        RouteTable(
            upstreams: [Make.upstream("a", mode: mode)],
            served: ["a": ServedModels(ids: ["real"], windows: window.map { ["real": $0] } ?? [:])],
            aliases: [(pattern: "m", targets: ["a/real"])])
    }

    @Test("Candidates know their model's window, under whatever name it was asked for")
    func candidates() throws {
        let window = ContextWindow(loaded: 4096, maximum: 8192)
        for name in ["m", "real", "a/real", "real[1m]", "local-model"] {
            #expect(try Self.routes(window).resolve(name).first?.window == window, "\(name)")
            #expect(Self.routes(window).window(of: name) == window)
        }
        #expect(try Self.routes(nil).resolve("m").first?.window == nil)
        #expect(Self.routes(window).window(of: "unknown") == nil)
        let later = Self.routes(nil).with(served: Self.routes(window).served)
        #expect(later.window(of: "m") == window)
    }

    @Test("The window of the loaded model counts before the most it could hold")
    func tokens() {
        #expect(ContextWindow(loaded: 1, maximum: 2).tokens == 1)
        #expect(ContextWindow(maximum: 2).tokens == 2)
        #expect(ContextWindow().tokens == nil)
    }

    @Test("What an agent asks for is cut to what is free, in repair mode only", arguments: [RelayMode.repair, .exact])
    func clamp(mode: RelayMode) throws {
        let body = "{\"model\":\"m\",\"max_tokens\":32000,\(Make.messages)}"
        let request = InboundRequest(
            id: "r", method: "POST", path: "/v1/messages", endpoint: .completion(.anthropic), dialect: .anthropic,
            body: ByteBuffer(string: body))
        let snapshot = Make.snapshot(Self.routes(ContextWindow(loaded: 8192), mode: mode))
        guard case .complete(let plan) = Decider.decide(request, in: snapshot, mayRefresh: false) else {
            Issue.record("the request is not taken")
            return
        }
        let made = try plan.request(for: plan.candidates[0])
        let limit = try JSON(parsing: made.body[0])["max_tokens"]?.int ?? 0
        #expect(mode == .exact ? limit == 32000 : (8000..<8192).contains(limit))
        #expect(made.dropped == (mode == .exact ? [] : ["max_tokens"]))
    }
}
