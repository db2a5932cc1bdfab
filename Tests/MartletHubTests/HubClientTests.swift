import Foundation
import MartletHub
import NIOHTTP1
import Synchronization
import Testing

@Suite("What the hub is asked, and what its answers mean")
struct HubClientTests {
    @Test("files of all pages with sizes and digests, at the commit that main stands for")
    func files() async throws {
        let files = (0..<7).map {
            FakeHub.File(path: "w-\($0).gguf", content: noise(10 + $0), isSmall: $0 == 3)
        }
        try await HubUnderTest.run(files) { test in
            test.hub.setEntriesPerPage(3)
            let model = try await test.model()
            #expect(model.id == "owner/model")
            #expect(model.commit == FakeHub.commit)
            #expect(model.files.map(\.path) == files.map(\.path))
            try #require(model.files.count == files.count)
            #expect(model.files.map(\.bytes) == (10..<17).map { Int64($0) })
            #expect(model.files[0].digest == .sha256(files[0].sha256))
            #expect(model.files[3].digest == .gitBlob(files[3].blob))
        }
    }

    @Test("files with names or sizes nobody means well with are not listed")
    func hostileFiles() async throws {
        try await HubUnderTest.run { test in
            let digest = String(repeating: "b", count: 64)
            let entries = [
                ("../x.gguf", "1", digest), ("/etc/x.gguf", "1", digest), ("a/../x.gguf", "1", digest),
                (".x.gguf", "1", digest),
                ("a\\\\x.gguf", "1", digest), ("x\\u001b.gguf", "1", digest), ("x.gguf", "-1", digest),
                ("y.gguf", "1e30", digest),
                ("z.gguf", "1", "../../etc"), ("good.gguf", "1", digest),
            ].map { "{\"type\":\"file\",\"path\":\"\($0)\",\"size\":1,\"lfs\":{\"oid\":\"\($2)\",\"size\":\($1)}}" }
            test.hub.alter { $0.uri.contains("/tree/") ? .text("[\(entries.joined(separator: ","))]") : $1 }
            let model = try await test.model()
            #expect(model.files.map(\.path) == ["good.gguf"])
        }
    }

    @Test("a list without end is given up")
    func endlessPages() async throws {
        var limits = HubLimits.quick
        limits.pages = 4
        try await HubUnderTest.run(limits: limits) { test in
            test.hub.alter { seen, answer in
                guard seen.uri.contains("/tree/") else { return answer }
                return .text("[]", headers: ["link": "<http://x/?cursor=\(seen.number)>; rel=\"next\""])
            }
            let error = await hubError { _ = try await test.model() }
            #expect(error?.code == .badReply)
            #expect(test.hub.seen.count == 5)
        }
    }

    @Test("search gives what there is, the words encoded")
    func search() async throws {
        try await HubUnderTest.run { test in
            let found = try await test.client.search("qwen3 8b&x=1", limit: 5)
            #expect(found.map(\.id) == ["owner/model", "b/c"])
            #expect(found.map(\.isGated) == [true, false])
            #expect(found[0].downloads == 5)
            #expect(
                test.hub.seen.map(\.uri) == ["/api/models?search=qwen3%208b%26x%3D1&filter=gguf&sort=downloads&limit=5"]
            )
        }
    }

    @Test(
        "each way of saying no is a sentence that says what to do",
        arguments: [
            (
                403, "GatedRepo", nil, HubError.Code.gated,
                "accept its conditions at http://HOST/owner/model, then set HF_TOKEN"
            ),
            (403, "GatedRepo", "hf_x", .gated, "with the account HF_TOKEN is of"),
            (401, "", nil, .unauthorized, "HOST wants a token for owner/model: set HF_TOKEN"),
            (401, "", "hf_x", .unauthorized, "HOST does not accept HF_TOKEN"),
            (
                401, "RepoNotFound", nil, .notFound,
                "owner/model does not exist at HOST, or is private: for a private one set"
            ),
            (403, "", "hf_x", .unauthorized, "HF_TOKEN may not read owner/model"),
            (404, "", nil, .notFound, "Look for its name with: martlet search"),
            (404, "RevisionNotFound", nil, .notFound, "no such branch, tag or commit"),
            (429, "", nil, .rateLimited, "try again in 300 s, or set HF_TOKEN"), (418, "", nil, .badReply, "HTTP 418"),
        ] as [(Int, String, String?, HubError.Code, String)])
    func refusals(
        _ status: Int, _ header: String, _ token: String?, _ code: HubError.Code, _ sentence: String
    ) async throws {
        try await HubUnderTest.run(token: token) { test in
            test.hub.alter { _, _ in
                var headers: HTTPHeaders = header.isEmpty ? [:] : ["x-error-code": header]
                if status == 429 { headers.add(name: "ratelimit", value: "\"api\";r=0;t=300") }
                return FakeHub.Answer(status: status, headers: headers)
            }
            let error = try #require(await hubError { _ = try await test.model() })
            #expect(error.code == code)
            #expect(error.message.contains(sentence.replacing("HOST", with: test.client.endpoint.host)), "\(error)")
            #expect(!error.message.contains("hf_x"))
            #expect(test.hub.seen.count == 1)
        }
    }

    @Test("a failing hub is asked again, but not for ever", arguments: [2, 100])
    func failures(_ failing: Int) async throws {
        try await HubUnderTest.run { test in
            test.hub.alter { $0.number < failing ? FakeHub.Answer(status: 503) : $1 }
            if failing == 2 {
                let model = try await test.model()
                #expect(model.id == "owner/model")
            } else {
                let error = await hubError { _ = try await test.model() }
                #expect(error?.code == .serverFailed)
                #expect(test.hub.seen.count == HubLimits.quick.retries + 1)
            }
        }
    }

    @Test("a list that is cut is asked for again")
    func cutList() async throws {
        try await HubUnderTest.run([FakeHub.File(path: "w.gguf", content: noise(1000))]) { test in
            test.hub.alter { seen, answer in
                var answer = answer
                if seen.number < 2 { answer.cut = answer.body.count / 2 }
                return answer
            }
            _ = try await test.model()
            #expect(test.hub.seen.count == 4)
        }
    }

    @Test("who is no hub is told from one that fails", arguments: ["<html>", "{}", "[1,2"])
    func noHub(_ text: String) async throws {
        try await HubUnderTest.run { test in
            test.hub.alter { _, _ in .text(text) }
            let error = await hubError { _ = try await test.model() }
            #expect(error?.code == .badReply)
        }
    }

    @Test("a reply beyond the bound is not read")
    func bound() async throws {
        var limits = HubLimits.quick
        limits.reply = 1000
        try await HubUnderTest.run(limits: limits) { test in
            test.hub.alter { _, _ in .text(String(repeating: " ", count: 1001)) }
            let error = await hubError { _ = try await test.model() }
            #expect(error?.code == .badReply)
        }
    }

    @Test("nobody listens: the sentence says which host, and nothing of the token")
    func nobody() async throws {
        let hub = try await FakeHub.start([])
        let endpoint = try HubEndpoint(base: hub.base, token: "hf_x")
        try await hub.stop()
        let client = HubClient(endpoint: endpoint, limits: .quick)
        let error = await hubError { _ = try await client.search("x") }
        await client.shutdown()
        #expect(error?.code == .unreachable)
        #expect(error?.message.contains("cannot reach \(endpoint.host)") == true)
    }

    @Test("the token goes to the endpoint, and along no redirect to another host")
    func token() async throws {
        let other = try await FakeHub.start([])
        try await HubUnderTest.run(token: "hf_x") { test in
            // To the other host, and from there back to the endpoint.
            let base = test.hub.base
            test.hub.alter { seen, answer in
                if seen.uri.contains("/revision/") { return .redirect("\(other.base)/first") }
                return seen.uri == "/moved" ? .redirect("/api/models?again") : answer
            }
            other.alter { _, _ in .redirect("\(base)/moved") }
            _ = await hubError { _ = try await test.model() }
            #expect(
                test.hub.seen.map(\.uri).prefix(3) == [
                    "/api/models/owner/model/revision/main", "/moved", "/api/models?again",
                ])
            #expect(test.hub.seen[0].headers["authorization"] == ["Bearer hf_x"])
            #expect(test.hub.seen[1].headers["authorization"] == [])
            #expect(test.hub.seen[2].headers["authorization"] == [])
            #expect(other.seen.map(\.uri) == ["/first"])
            #expect(!other.seen.contains { $0.headers.contains { $0.value.contains("hf_x") } })
        }
        try await other.stop()
    }

    @Test("a redirect within the endpoint keeps the token")
    func renamed() async throws {
        try await HubUnderTest.run(token: "hf_x") { test in
            test.hub.alter { seen, answer in
                seen.uri == "/api/models/owner/old/revision/main"
                    ? .redirect("/api/models/owner/model/revision/main")
                    : seen.uri.hasPrefix("/api/models/owner/old/tree") ? .text("[]") : answer
            }
            let model = try await test.client.model(RepositoryReference(owner: "owner", name: "old"))
            #expect(model.id == "owner/model")
            #expect(test.hub.seen.allSatisfy { $0.headers["authorization"] == ["Bearer hf_x"] })
        }
    }

    @Test("redirects in a circle end")
    func circle() async throws {
        try await HubUnderTest.run { test in
            test.hub.alter { seen, _ in .redirect("/again/\(seen.number)") }
            let error = await hubError { _ = try await test.client.search("x") }
            #expect(error?.code == .badRedirect)
            #expect(test.hub.seen.count == 6)
        }
    }

    @Test(
        "a redirect to what is no web address is not followed",
        arguments: ["file:///etc/passwd", "http://u@h/", "ftp://x/y", ""])
    func scheme(_ location: String) async throws {
        try await HubUnderTest.run { test in
            test.hub.alter { _, _ in location.isEmpty ? FakeHub.Answer(status: 302) : .redirect(location) }
            let error = await hubError { _ = try await test.client.search("x") }
            #expect(error?.code == .badRedirect)
            #expect(test.hub.seen.count == 1)
        }
    }

    @Test("a redirect from https to http is not followed, any other scheme for scheme is")
    func encryption() throws {
        let secure = try #require(URL(string: "https://hub.example/a/b?c"))
        let limits = HubLimits()
        #expect(throws: HubError.self) {
            try Redirect.target(from: secure, location: "http://hub.example/a", count: 0, limits: limits)
        }
        #expect(
            try Redirect.target(from: secure, location: "HTTPS://cdn.example/x?y=%2F", count: 4, limits: limits)
                .absoluteString
                == "HTTPS://cdn.example/x?y=%2F")
        #expect(
            try Redirect.target(from: secure, location: "/z", count: 0, limits: limits).absoluteString
                == "https://hub.example/z")
        let plain = try #require(URL(string: "http://mirror.example/a"))
        #expect(
            try Redirect.target(from: plain, location: "https://cdn.example/", count: 0, limits: limits).scheme
                == "https")
    }

    @Test(
        "a hub on the internet leads nobody to this machine or its networks, one that is there itself may",
        arguments: [
            ("https://hub.example", "https://cdn.example", false, true),
            ("https://hub.example", "https://nas.local", false, false),
            ("https://hub.example", "https://169.254.169.254", false, false),
            ("https://hub.example", "https://[::1]:9", false, false),
            ("https://hub.example", "https://both.example", false, false),
            ("https://hub.example", "https://none.example", false, true),
            ("https://nas.local", "https://169.254.169.254", false, true),
            ("http://127.0.0.1:1", "http://nas.local", false, true),
            // A proxy looks names up by itself; addresses are addresses there too.
            ("https://hub.example", "https://nas.local", true, true),
            ("https://hub.example", "https://10.0.0.1", true, false),
        ])
    func networks(endpoint: String, target: String, isProxied: Bool, isFollowed: Bool) async throws {
        let addresses: [String: [[UInt8]]] = [
            "hub.example": [[93, 184, 216, 34]], "cdn.example": [[1, 1, 1, 1]], "nas.local": [[192, 168, 1, 2]],
            "both.example": [[1, 1, 1, 1], [10, 0, 0, 1]], "169.254.169.254": [[169, 254, 169, 254]],
            "10.0.0.1": [[10, 0, 0, 1]], "127.0.0.1": [[127, 0, 0, 1]], "::1": [[UInt8](repeating: 0, count: 15) + [1]],
        ]
        func origin(_ text: String) throws -> WebOrigin { try #require(URL(string: text).flatMap { WebOrigin($0) }) }
        let redirects = RedirectGuard(endpoint: try origin(endpoint)) { addresses[$0] ?? [] }
        let to = try origin(target)
        do throws(HubError) {
            try await redirects.check(to, from: nil, isProxied: isProxied)
            #expect(isFollowed)
        } catch {
            #expect(
                !isFollowed && error.code == .badRedirect && error.message.contains("on this machine or its network"))
        }
    }

    @Test("names are looked up as they are written")
    func lookUp() async {
        #expect(Set(await RedirectGuard.lookUp("127.0.0.1")) == [[127, 0, 0, 1]])
        #expect(Set(await RedirectGuard.lookUp("::1")) == [[UInt8](repeating: 0, count: 15) + [1]])
        #expect(await RedirectGuard.lookUp("hub.invalid") == [])
    }

    @Test("HF_ENDPOINT and HF_TOKEN as they are set")
    func settings() throws {
        #expect(try HubEndpoint(environment: [:]).base == "https://huggingface.co")
        #expect(try HubEndpoint(environment: ["HF_ENDPOINT": ""]).host == "huggingface.co")
        let mirror = try HubEndpoint(environment: [
            "HF_ENDPOINT": " https://m.example:8443/hf/ ", "HF_TOKEN": " hf_x\n",
        ])
        #expect(mirror.base == "https://m.example:8443/hf")
        #expect(mirror.host == "m.example:8443")
        for text in ["\(mirror)", String(reflecting: mirror), String(describing: mirror)] {
            #expect(!text.contains("hf_x"))
        }
        var dumped = ""
        dump(mirror, to: &dumped)
        #expect(!dumped.contains("hf_x"))
        for base in ["huggingface.co", "ftp://x", "https://u:p@x", "https://x/?q", "https://x/#f", "https://"] {
            #expect(throws: HubError.self, "\(base)") { try HubEndpoint(base: base) }
        }
        #expect(throws: HubError.self) { try HubEndpoint(token: "a\r\nx: y") }
        #expect(throws: HubError.self) { try HubEndpoint(base: "http://mirror.example", token: "hf_x") }
        #expect(throws: Never.self) { try HubEndpoint(base: "http://[::1]:80", token: "hf_x") }
        #expect(throws: HubError.self) { try HubEndpoint(base: "http://127.evil.example", token: "hf_x") }
    }

    @Test("the pages that a sentence names are those of the endpoint")
    func pages() async throws {
        try await HubUnderTest.run { test in
            test.hub.alter { _, _ in FakeHub.Answer(status: 401, headers: ["x-error-code": "GatedRepo"]) }
            let error = await hubError { _ = try await test.model() }
            #expect(error?.message.contains("at \(test.hub.base)/owner/model, then") == true)
            #expect(error?.message.contains("(\(test.hub.base)/settings/tokens)") == true)
        }
    }

    @Test("whoever waits is told that it is tried again, why, and when")
    func retries() async throws {
        let hub = try await FakeHub.start([])
        hub.alter { $0.number < 2 ? FakeHub.Answer(status: 503) : $1 }
        let told = Mutex<[String]>([])
        let client = HubClient(endpoint: try HubEndpoint(base: hub.base), limits: .quick) { error, pause in
            told.withLock { $0.append("\(error.reason), \(pause / .milliseconds(1)) ms") }
        }
        let host = hub.base.dropFirst("http://".count)
        _ = try await client.search("w")
        await client.shutdown()
        try await hub.stop()
        #expect(
            told.withLock(\.self) == [
                "\(host) failed with HTTP 503 for the search, 1.0 ms",
                "\(host) failed with HTTP 503 for the search, 2.0 ms",
            ])
    }
}
