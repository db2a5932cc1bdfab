import Foundation
import MartletHub
import NIOHTTP1
import Synchronization
import Testing

@Suite("A model is brought here")
struct DownloadTests {
    private static let weights = FakeHub.File(path: "w-Q4_K_M.gguf", content: noise(200_000))

    @Test("a whole model: all files, and nothing beside them")
    func whole() async throws {
        let files = [
            FakeHub.File(path: "Q4_K_M/a b-Q4_K_M-00001-of-00002.gguf", content: noise(300_000, seed: 2)),
            FakeHub.File(path: "Q4_K_M/a b-Q4_K_M-00002-of-00002.gguf", content: noise(70_000, seed: 3)),
            FakeHub.File(path: "mmproj-F16.gguf", content: noise(5000, seed: 4), isSmall: true),
            FakeHub.File(path: "a b-Q8_0.gguf", content: noise(10)),
        ]
        try await HubUnderTest.run(files) { test in
            let told = Mutex<[DownloadProgress]>([])
            let download = try await test.download()
            #expect(!download.isPresent)
            let path = try await download.run { progress in told.withLock { $0.append(progress) } }
            #expect(path == "\(test.folder)/owner/model/a b-Q4_K_M-00001-of-00002.gguf")
            #expect(download.isPresent)
            #expect(
                test.names == ["a b-Q4_K_M-00001-of-00002.gguf", "a b-Q4_K_M-00002-of-00002.gguf", "mmproj-F16.gguf"])
            for file in files.prefix(3) {
                #expect(test.content(String(file.path.split(separator: "/").last ?? "")) == file.content)
            }
            let bytes = told.withLock { $0.map(\.bytes) }
            #expect(bytes == bytes.sorted())
            #expect(bytes.last == 375_000)
            #expect(told.withLock { $0.allSatisfy { $0.total == 375_000 } })
        }
    }

    @Test("a connection cut at every percent, again and again: one download goes on each time")
    func cutInOneRun() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            let part = file.content.count / 100
            test.hub.alter { seen, answer in
                guard seen.isForBytes, answer.body.count > part else { return answer }
                var answer = answer
                answer.cut = part
                return answer
            }
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.names == [file.path])
            #expect(test.hub.bytesAsked.map { $0.start ?? 0 } == (0..<100).map { $0 * part })
            #expect(test.hub.bytesAsked.dropFirst().allSatisfy { $0.headers["if-range"] == ["\"\(file.sha256)\""] })
        }
    }

    @Test("a download that ended at any percent is gone on with by the next")
    func cutBetweenRuns() async throws {
        let file = Self.weights
        var limits = HubLimits.quick
        limits.retries = 0
        try await HubUnderTest.run([file], limits: limits) { test in
            let download = try await test.download()
            for percent in 0..<100 {
                let cut = file.content.count * percent / 100
                let before = test.hub.bytesAsked.count
                test.hub.alter { seen, answer in
                    var answer = answer
                    if seen.isForBytes, seen.start == nil { answer.cut = cut }
                    return answer
                }
                let error = await hubError { _ = try await download.run() }
                #expect(error?.code == .unreachable || error?.code == .serverFailed)
                #expect(test.names == [test.partName(file)])
                let kept = try #require(test.content(test.partName(file)))
                #expect(kept.count == cut && file.content.starts(with: kept))
                if percent == 0 { test.hub.alter { $1 } }
                _ = try await download.run()
                #expect(test.content(file.path) == file.content)
                #expect(test.names == [file.path])
                #expect(test.hub.bytesAsked.dropFirst(before).map { $0.start ?? 0 } == [0, kept.count])
                try FileManager.default.removeItem(atPath: "\(test.folder)/owner/model/\(file.path)")
            }
        }
    }

    /// One file of 300,000 bytes in three pieces, the last of which lies in git itself.
    private static let pieces = (0..<3).map { place in
        FakeHub.File(
            path: "w-Q4_K_M.gguf.part\(place + 1)of3", content: noise(100_000, seed: UInt64(place + 7)),
            isSmall: place == 2)
    }

    @Test("a file in pieces is put together, cut at every percent", arguments: [false, true])
    func pieces(knowsRanges: Bool) async throws {
        try await HubUnderTest.run(Self.pieces) { test in
            test.hub.alter { seen, answer in
                guard seen.isForBytes, let file = Self.pieces.first(where: { seen.uri.contains($0.path) }) else {
                    return answer
                }
                var answer = knowsRanges ? answer : FakeHub.Answer(body: file.content)
                // Without ranges every second reply is whole, or nothing would ever be gained.
                if knowsRanges { answer.cut = 3000 } else if seen.number % 2 == 0 { answer.cut = 50_000 }
                return answer
            }
            let download = try await test.download()
            _ = try await download.run()
            #expect(test.names == ["w-Q4_K_M.gguf"])
            #expect(test.content("w-Q4_K_M.gguf") == Self.pieces.flatMap(\.content))
            #expect(download.isPresent)
            let asked = test.hub.bytesAsked.count
            _ = try await download.run()
            #expect(test.hub.bytesAsked.count == asked, "what is here is only added up")
        }
    }

    @Test("a wrong piece is found out, wherever it is", arguments: 0..<3)
    func wrongPiece(place: Int) async throws {
        var files = Self.pieces
        files[place].digest = String(repeating: "0", count: files[place].isSmall ? 40 : 64)
        try await HubUnderTest.run(files) { test in
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .wrongDigest && test.names.isEmpty)
        }
    }

    @Test("pieces that an earlier run has got are not got again")
    func piecesLater() async throws {
        try await HubUnderTest.run(Self.pieces) { test in
            let download = try await test.download()
            test.hub.alter { seen, answer in
                seen.uri.contains("part3of3") ? .text("", status: 403, headers: ["x-error-code": "GatedRepo"]) : answer
            }
            let error = await hubError { _ = try await download.run() }
            #expect(error?.code == .gated)
            test.hub.alter { $1 }
            _ = try await download.run()
            #expect(test.content("w-Q4_K_M.gguf") == Self.pieces.flatMap(\.content))
            #expect(test.hub.bytesAsked.filter { $0.uri.contains("part1of3") }.count == 1)
        }
    }

    @Test("a wrong digest is never put in place, and leaves nothing", arguments: [true, false])
    func wrongDigest(_ isSmall: Bool) async throws {
        var file = Self.weights
        file.isSmall = isSmall
        file.digest = String(repeating: "b", count: isSmall ? 40 : 64)
        try await HubUnderTest.run([file]) { test in
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .wrongDigest)
            #expect(test.names == [])
            #expect(!FileManager.default.fileExists(atPath: "\(test.folder)/owner"))
            #expect(test.hub.bytesAsked.count == 1)
        }
    }

    @Test("one part with a wrong digest: no part gets its name, the good one need not come again")
    func wrongDigestOfOnePart() async throws {
        let first = FakeHub.File(path: "w-Q4_K_M-00001-of-00002.gguf", content: noise(50_000, seed: 5))
        let good = FakeHub.File(path: "w-Q4_K_M-00002-of-00002.gguf", content: noise(50_000, seed: 6))
        var bad = good
        bad.digest = String(repeating: "b", count: 64)
        try await HubUnderTest.run([first, bad]) { test in
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .wrongDigest)
            #expect(test.names == [test.partName(first)])
            test.hub.setFiles([first, good])
            _ = try await test.download().run()
            #expect(test.names == [first.path, good.path])
            #expect(test.hub.bytesAsked.map { $0.uri.contains("00001") } == [true, false, false])
        }
    }

    @Test("a damaged head of an earlier download is found out and got anew")
    func damagedHead() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            try test.put(Array(repeating: 7, count: 100_000), test.partName(file))
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [100_000, nil])
        }
    }

    @Test("a whole part is only checked, one too long is got anew", arguments: [0, 1])
    func wholePart(_ more: Int) async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            try test.put(file.content + Array(repeating: 0, count: more), test.partName(file))
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.count == more)
        }
    }

    @Test("what is left of a file that has changed at the hub is not gone on with")
    func changedFile() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            let old = "\(file.path).0123456789ab.part"
            try test.put(noise(1000), old)
            try test.put([1], "\(file.path).keep.part")
            _ = try await test.download().run()
            #expect(test.names == [file.path, "\(file.path).keep.part"])
            #expect(test.hub.bytesAsked.map(\.start) == [nil])
        }
    }

    @Test("a server that ignores ranges is begun anew with")
    func ignoredRange() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file], limits: .impatient) { test in
            test.hub.alter { seen, answer in
                guard seen.isForBytes else { return answer }
                return FakeHub.Answer(body: file.content, stall: seen.start == nil ? 90_000 : nil)
            }
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [nil, 90_000])
        }
    }

    @Test(
        "content that changes between two requests is begun anew, by the server's word or by ours",
        arguments: [true, false])
    func changedTag(_ heedsCondition: Bool) async throws {
        let file = Self.weights
        let other = noise(file.content.count, seed: 9)
        try await HubUnderTest.run([file], limits: .impatient) { test in
            test.hub.alter { seen, answer in
                guard seen.isForBytes else { return answer }
                if seen.number == 2 { return FakeHub.Answer(headers: ["etag": "\"old\""], body: other, stall: 90_000) }
                guard !heedsCondition, let start = seen.start else { return answer }
                let range = "bytes \(start)-\(file.content.count - 1)/\(file.content.count)"
                return FakeHub.Answer(
                    status: 206, headers: ["etag": "\"new\"", "content-range": range],
                    body: Array(file.content[start...]))
            }
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked[1].headers["if-range"] == ["\"old\""])
            #expect(test.hub.bytesAsked.map(\.start) == (heedsCondition ? [nil, 90_000] : [nil, 90_000, nil]))
        }
    }

    @Test(
        "a range that is not the one asked for is not written",
        arguments: ["bytes 5-199999/200000", "bytes */200000", "what", ""])
    func wrongRange(_ range: String) async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            try test.put(Array(file.content[..<50_000]), test.partName(file))
            test.hub.alter { seen, answer in
                guard seen.isForBytes, seen.start != nil else { return answer }
                return FakeHub.Answer(
                    status: 206, headers: range.isEmpty ? [:] : ["content-range": range],
                    body: Array(file.content[50_000...]))
            }
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [50_000, nil])
        }
    }

    @Test("more bytes than the hub lists are not written", arguments: ["length", "chunked", "range"])
    func tooMany(_ form: String) async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            if form == "range" { try test.put(Array(file.content[..<10]), test.partName(file)) }
            test.hub.alter { seen, answer in
                guard seen.isForBytes else { return answer }
                var answer = answer
                answer.body += [1]
                if form == "chunked" { answer.headers.add(name: "transfer-encoding", value: "chunked") }
                if form == "range" {
                    answer.headers.replaceOrAdd(name: "content-range", value: "bytes 10-200000/200001")
                }
                return answer
            }
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .wrongSize)
            #expect(error?.message.contains("sends 200001 bytes or more for") == true, "\(error?.message ?? "")")
            #expect(error?.message.contains("lists with 200000 bytes:") == true)
            #expect(test.names == [])
        }
    }

    @Test("silence ends an attempt, and the next goes on")
    func stall() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file], limits: .impatient) { test in
            test.hub.alter { seen, answer in
                var answer = answer
                if seen.isForBytes, seen.start ?? 0 < 60_000 { answer.stall = 60_000 }
                return answer
            }
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [nil, 60_000])
            test.hub.alter { seen, answer in
                var answer = answer
                if seen.isForBytes { answer.stall = 0 }
                return answer
            }
            try FileManager.default.removeItem(atPath: "\(test.folder)/owner/model/\(file.path)")
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .stalled)
        }
    }

    @Test("bytes from another host: it never sees the token, and its refusals mean a fresh address")
    func otherHost() async throws {
        let file = Self.weights
        let other = try await FakeHub.start([file])
        try await HubUnderTest.run([file], token: "hf_x", limits: .impatient) { test in
            test.hub.alter { seen, answer in
                seen.isForBytes ? .redirect("\(other.base)/cdn/\(file.path)?signature=\(seen.number)") : answer
            }
            other.alter { seen, answer in
                var answer = answer
                if seen.number == 0 { answer.stall = 50_000 }
                return seen.number == 1 ? FakeHub.Answer(status: 403) : answer
            }
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.seen.allSatisfy { $0.headers["authorization"] == ["Bearer hf_x"] })
            #expect(other.seen.map(\.uri) == (2...4).map { "/cdn/\(file.path)?signature=\($0)" })
            #expect(other.seen.map(\.start) == [nil, 50_000, 50_000])
            #expect(!other.seen.contains { $0.headers.contains { $0.value.contains("hf_x") } })
        }
        try await other.stop()
    }

    @Test("a busy hub is waited for when it is soon, and else said so", arguments: ["0", "3600"])
    func busyHub(_ seconds: String) async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            let download = try await test.download()
            test.hub.alter { seen, answer in
                seen.number == 2 ? FakeHub.Answer(status: 429, headers: ["retry-after": seconds]) : answer
            }
            if seconds == "0" {
                _ = try await download.run()
                #expect(test.names == [file.path])
            } else {
                let error = await hubError { _ = try await download.run() }
                #expect(error?.code == .rateLimited)
                #expect(error?.message.contains("try again in 3600 s") == true)
                #expect(test.hub.bytesAsked.count == 1)
            }
        }
    }

    @Test("a hub that fails for good is given up, with what came kept")
    func givenUp() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            test.hub.alter { seen, answer in
                guard seen.isForBytes else { return answer }
                var answer = answer
                answer.cut = 70_000
                return seen.start == nil ? answer : FakeHub.Answer(status: 500)
            }
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .serverFailed)
            #expect(test.names == [test.partName(file)])
            // The failure after bytes had come counts as the first again.
            #expect(test.hub.bytesAsked.count == HubLimits.quick.retries + 1)
        }
    }
}
