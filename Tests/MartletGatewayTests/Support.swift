import MartletDialects
import MartletGateway
import NIOCore

enum Make {
    static let place = BaseURL(origin: Origin(address: .tcp(host: "127.0.0.1", port: 9)))

    static func upstream(
        _ name: String, _ profile: UpstreamProfile = .vllm, mode: RelayMode = .repair,
        deadlines: Deadlines = Deadlines(), retries: Int = 2, location: Upstream.Location? = nil
    ) -> Upstream {
        Upstream(
            name: name, profile: profile, location: location ?? .url(place), mode: mode, deadlines: deadlines,
            retries: retries)
    }

    static func request(_ body: String, endpoint: Endpoint = .completion(.chat)) -> InboundRequest {
        InboundRequest(
            id: "r1", method: "POST", path: "/v1/chat/completions", endpoint: endpoint, dialect: .chat,
            body: ByteBuffer(string: body))
    }

    static func snapshot(_ routes: RouteTable) -> Snapshot {
        Snapshot(routes: routes, hosts: HostGuard(bound: "127.0.0.1", machine: nil), instance: "i")
    }

    static let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

    /// The plan of a request for `m`, tried at each upstream in turn.
    static func plan(streams: Bool, upstreams: [Upstream]) -> Plan {
        let routes = RouteTable(
            upstreams: upstreams, aliases: [(pattern: "m", targets: upstreams.map { "\($0.name)/m" })])
        let body = "{\"model\":\"m\",\"stream\":\(streams),\(messages)}"
        guard case .complete(let plan) = Decider.decide(request(body), in: snapshot(routes), mayRefresh: false) else {
            preconditionFailure("the request of the tests is refused")
        }
        return plan
    }
}

extension RouteTable {
    /// What a name resolves to, as `upstream/model` in order; or the error's code.
    func outcome(_ name: String?, for task: VectorTask? = nil) -> [String] {
        do throws(GatewayError) {
            return try resolve(name, for: task).map(\.shown)
        } catch {
            return ["error \(error.code.rawValue)"]
        }
    }

    func message(_ name: String?) -> String? {
        do throws(GatewayError) {
            _ = try resolve(name)
            return nil
        } catch {
            return error.message
        }
    }
}
