import Foundation
import MartletHub
import NIOHTTP1
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite("What a download leaves on the disk")
struct DownloadKeepingTests {
    private static let weights = FakeHub.File(path: "w-Q4_K_M.gguf", content: noise(1_000_000))

    @Test("a full disk leaves what fits, to be gone on with")
    func diskFull() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            // Full after 300 000 bytes, in the middle of a write.
            let left = Mutex(300_000)
            let download = try await test.download { descriptor, bytes, count in
                let fits = left.withLock { left in
                    defer { left -= min(left, count) }
                    return min(left, count)
                }
                if fits == 0 { errno = ENOSPC }
                return fits == 0 ? -1 : write(descriptor, bytes, fits)
            }
            let error = await hubError { _ = try await download.run() }
            #expect(error?.code == .diskFull)
            #expect(
                error?.message
                    == "the disk is full after 300.0 kB of w-Q4_K_M.gguf: make room for 700.0 kB more and get it "
                    + "again, which goes on from there")
            #expect(test.names == [test.partName(file)])
            #expect(test.content(test.partName(file)) == Array(file.content[..<300_000]))
            #expect(test.hub.bytesAsked.count == 1)
            _ = try await test.download().run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [nil, 300_000])
        }
    }

    @Test("of a file that comes faster than it is written, all that came before the cut is kept")
    func cutAhead() async throws {
        // More than the system and the HTTP client read at a time.
        let file = FakeHub.File(path: Self.weights.path, content: noise(8_000_000))
        try await HubUnderTest.run([file]) { test in
            let cut = 3_100_000
            test.hub.alter { seen, answer in
                guard seen.isForBytes, answer.body.count > cut else { return answer }
                var answer = answer
                answer.cut = cut
                return answer
            }
            let download = try await test.download { descriptor, bytes, count in
                usleep(20_000)
                return write(descriptor, bytes, count)
            }
            _ = try await download.run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [nil, cut, 2 * cut])
        }
    }

    @Test("a disk without room is found out before a byte comes")
    func noRoom() async throws {
        var limits = HubLimits.quick
        limits.diskMargin = 1 << 60
        try await HubUnderTest.run([Self.weights], limits: limits) { test in
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .diskFull)
            #expect(error?.message.contains("owner/model needs 1.0 MB on the disk") == true)
            #expect(test.hub.bytesAsked.isEmpty)
            #expect(!FileManager.default.fileExists(atPath: "\(test.folder)/owner"))
        }
    }

    @Test("a disk that is full in earnest", .enabled(if: SmallDisk.canMount))
    func smallDisk() async throws {
        try await SmallDisk.run { folder in
            try await HubUnderTest.run([Self.weights]) { test in
                let plan = try await FilePlan(test.model(), choice: .automatic)
                var limits = HubLimits.quick
                limits.diskMargin = -1 << 40
                let heedless = HubClient(endpoint: test.client.endpoint, limits: limits)
                let error = await hubError {
                    _ = try await ModelDownload(plan, from: heedless, to: folder, logger: .quiet).run()
                }
                await heedless.shutdown()
                #expect(error?.code == .diskFull)
                let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/owner/model")
                #expect(names == [test.partName(Self.weights)])
            }
        }
    }

    @Test("a file is got once at a time; the second is told so, and the first is not disturbed")
    func lock() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            let download = try await test.download()
            let asked = AsyncStream<Void>.makeStream()
            test.hub.alter { seen, answer in
                var answer = answer
                if seen.number == 2 {
                    answer.stall = 10_000
                    asked.continuation.yield()
                }
                return answer
            }
            let first = Task { try await download.run() }
            for await _ in asked.stream { break }
            let error = await hubError { _ = try await download.run() }
            #expect(error?.code == .busy)
            #expect(error?.message.hasPrefix("w-Q4_K_M.gguf of owner/model is being got already") == true)
            first.cancel()
            await #expect(throws: CancellationError.self) { try await first.value }
            test.hub.alter { $1 }
            _ = try await download.run()
            #expect(test.names == [file.path])
        }
    }

    @Test("two quantisations that share a projector are got at a time; the projector comes once")
    func sharedProjector() async throws {
        let files = ["w-Q4_K_M.gguf", "w-Q8_0.gguf", "mmproj-F16.gguf"].enumerated().map { place, name in
            FakeHub.File(path: name, content: noise(300_000, seed: UInt64(place + 5)))
        }
        try await HubUnderTest.run(files) { test in
            let first = try await test.download(.quantisation("Q4_K_M"))
            let second = try await test.download(.quantisation("Q8_0"))
            let asked = AsyncStream<Void>.makeStream()
            test.hub.alter { seen, answer in
                var answer = answer
                if seen.uri.contains("mmproj"), seen.start == nil {
                    answer.cut = 100_000
                    asked.continuation.yield()
                }
                return answer
            }
            let one = Task { try await first.run() }
            for await _ in asked.stream { break }
            _ = try await second.run()
            _ = try await one.value
            #expect(test.names == files.map(\.path).sorted())
            for file in files { #expect(test.content(file.path) == file.content) }
            #expect(test.hub.bytesAsked.filter { $0.uri.contains("mmproj") && $0.start == nil }.count == 1)
        }
    }

    @Test("cancellation ends a download at once and keeps what came")
    func cancellation() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            let download = try await test.download()
            test.hub.alter { seen, answer in
                var answer = answer
                if seen.isForBytes, seen.start == nil { answer.stall = 600_000 }
                return answer
            }
            let came = AsyncStream<Int64>.makeStream()
            let task = Task { try await download.run { came.continuation.yield($0.bytes) } }
            for await bytes in came.stream where bytes >= 500_000 { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(test.names == [test.partName(file)])
            let kept = try #require(test.content(test.partName(file)))
            #expect(kept.count >= 500_000 && kept == Array(file.content[..<kept.count]))
            _ = try await download.run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.map(\.start) == [nil, kept.count])
        }
    }

    @Test("what is here is not got again, unless its content is another")
    func present() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            let download = try await test.download()
            try test.put(file.content, file.path)
            _ = try await download.run()
            #expect(test.hub.bytesAsked.isEmpty)
            try test.put(noise(file.content.count, seed: 7), file.path)
            #expect(download.isPresent)
            _ = try await download.run()
            #expect(test.content(file.path) == file.content)
            #expect(test.hub.bytesAsked.count == 1)
        }
    }

    @Test(
        "the file that makes a model appear gets its name last",
        arguments: ["w-00002-of-00002.gguf", "mmproj-F16.gguf"])
    func order(_ taken: String) async throws {
        let files = ["w-00001-of-00002.gguf", "w-00002-of-00002.gguf", "mmproj-F16.gguf"].map {
            FakeHub.File(path: $0, content: noise(1000))
        }
        try await HubUnderTest.run(files) { test in
            // No file can have the name of a folder.
            try FileManager.default.createDirectory(
                atPath: "\(test.folder)/owner/model/\(taken)", withIntermediateDirectories: true)
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .fileSystem)
            #expect(!test.names.contains("w-00001-of-00002.gguf"))
            try FileManager.default.removeItem(atPath: "\(test.folder)/owner/model/\(taken)")
            _ = try await test.download().run()
            #expect(test.names == ["mmproj-F16.gguf", "w-00001-of-00002.gguf", "w-00002-of-00002.gguf"])
            #expect(test.hub.bytesAsked.count == 3)
        }
    }

    @Test("a link in the part's place is not written through")
    func link() async throws {
        let file = Self.weights
        try await HubUnderTest.run([file]) { test in
            try test.put([1, 2, 3], "mine")
            try FileManager.default.createSymbolicLink(
                atPath: "\(test.folder)/owner/model/\(test.partName(file))", withDestinationPath: "mine")
            let error = await hubError { _ = try await test.download().run() }
            #expect(error?.code == .fileSystem)
            #expect(test.content("mine") == [1, 2, 3])
        }
    }
}

/// A file system of half a megabyte in memory, where this process may mount one.
enum SmallDisk {
    static var canMount: Bool {
        #if os(Linux)
            geteuid() == 0 && (try? mounted { _ in }) != nil
        #else
            false
        #endif
    }

    static func run(_ work: (String) async throws -> Void) async throws {
        #if os(Linux)
            let folder = try made()
            defer { remove(folder) }
            try await work(folder)
        #endif
    }

    #if os(Linux)
        struct Unmounted: Error {}

        private static func mounted(_ work: (String) throws -> Void) throws {
            let folder = try made()
            defer { remove(folder) }
            try work(folder)
        }

        private static func made() throws -> String {
            let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-disk-\(UUID().uuidString)")
                .path
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            guard mount("tmpfs", folder, "tmpfs", 0, "size=512k") == 0 else {
                try? FileManager.default.removeItem(atPath: folder)
                throw Unmounted()
            }
            return folder
        }

        private static func remove(_ folder: String) {
            _ = umount(folder)
            try? FileManager.default.removeItem(atPath: folder)
        }
    #endif
}
