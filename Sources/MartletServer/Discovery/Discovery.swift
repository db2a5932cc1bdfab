import MartletDialects
import MartletGateway
package import MartletTransport
import MartletWire
import NIOCore

/// Looks on loopback for model servers at their usual ports (product contract, part 2). Only
/// where no upstream is configured.
package enum Discovery {
    /// A port at which a kind of server listens unless it is told otherwise.
    package struct Place: Sendable, Hashable {
        package var port: Int
        package var kind: String
        /// The upstream's name when it is of that kind.
        package var name: String
        package var shown: String

        package init(port: Int, kind: String, name: String, shown: String) {
            self.port = port
            self.kind = kind
            self.name = name
            self.shown = shown
        }

        /// The upstream's name when another kind answers there.
        var otherName: String { "port-\(port)" }
    }

    /// What answered at a place.
    package enum Answer: Sendable, Equatable {
        case server(Configuration.UpstreamSettings)
        /// A Martlet: this one or another. Never used by itself, because it may have us for an upstream.
        case martlet
        case wantsKey
        case nothing
    }

    package static let places = [
        Place(port: 1234, kind: "lmstudio", name: "studio", shown: "LM Studio"),
        Place(port: 11434, kind: "ollama", name: "ollama", shown: "Ollama"),
        Place(port: 8080, kind: "llamacpp", name: "llamacpp", shown: "llama-server"),
        Place(port: 8000, kind: "vllm", name: "vllm", shown: "vLLM"),
    ]

    /// Names that upstreams found here may have.
    package static var names: [String] { places.flatMap { [$0.name, $0.otherName] } }

    /// Asks all places at once; takes a second at most.
    /// - Returns: an answer for each place, in their order.
    package static func look(
        at places: [Place] = places, over calls: UpstreamCalls
    ) async -> [(place: Place, answer: Answer)] {
        await withTaskGroup(of: (Int, Answer).self) { group in
            for (index, place) in places.enumerated() {
                group.addTask { (index, await look(at: place, over: calls)) }
            }
            var answers = places.map { (place: $0, answer: Answer.nothing) }
            for await (index, answer) in group { answers[index].answer = answer }
            return answers
        }
    }

    private static func look(at place: Place, over calls: UpstreamCalls) async -> Answer {
        var settings = Configuration.UpstreamSettings(name: place.name, url: "http://127.0.0.1:\(place.port)")
        let fallback = UpstreamProfile.openAICompatible.kind
        guard let upstream = try? UpstreamFactory.make(settings, kind: fallback) else { return .nothing }
        async let list = try? calls.get("/v1/models", at: upstream, timeout: KindProbe.patience)
        async let greeting = try? calls.get("/", at: upstream, timeout: KindProbe.patience)
        async let kind = KindProbe.kind(of: settings, over: calls)
        if let hello = await greeting, isMartlet(hello) { return .martlet }
        guard let reply = await list else { return .nothing }
        if [401, 403].contains(reply.head.status) { return .wantsKey }
        guard reply.head.isSuccess, (try? JSON(parsing: reply.body))?["data"]?.array != nil else { return .nothing }
        let found = await kind
        settings.kind = found
        if found != place.kind { settings.name = place.otherName }
        return .server(settings)
    }

    static func isMartlet(_ reply: UpstreamReply) -> Bool {
        (try? JSON(parsing: reply.body))?["name"]?.string == "martlet"
    }

    /// Sentences about servers that answer and are not used.
    package static func notes(_ answers: [(place: Place, answer: Answer)]) -> [String] {
        answers.compactMap { place, answer in
            switch answer {
            case .server, .nothing: nil
            case .martlet:
                "a Martlet answers at 127.0.0.1:\(place.port); to use it, name it: --upstream http://127.0.0.1:\(place.port)"
            case .wantsKey:
                "a server at 127.0.0.1:\(place.port) asks for a key: configure it as an upstream with its api_key"
            }
        }
    }
}
