import Foundation
import Logging
import MartletHub
import Testing

/// A fake hub, a client of it, and an empty folder for models; gone when the work is done.
struct HubUnderTest: Sendable {
    let hub: FakeHub
    let client: HubClient
    let folder: String

    static func run(
        _ files: [FakeHub.File] = [], token: String? = nil, limits: HubLimits = .quick,
        _ work: (HubUnderTest) async throws -> Void
    ) async throws {
        let hub = try await FakeHub.start(files)
        let client = HubClient(endpoint: try HubEndpoint(base: hub.base, token: token), limits: limits)
        let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-hub-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result: Result<Void, any Error>
        do {
            result = .success(try await work(HubUnderTest(hub: hub, client: client, folder: folder)))
        } catch {
            result = .failure(error)
        }
        await client.shutdown()
        try await hub.stop()
        try result.get()
    }

    func download(
        _ choice: RepositoryReference.Choice = .automatic, writer: FileWriter? = nil
    ) async throws -> ModelDownload {
        let plan = try await FilePlan(model(), choice: choice)
        guard let writer else { return ModelDownload(plan, from: client, to: folder, logger: .quiet) }
        return ModelDownload(plan, from: client, to: folder, logger: .quiet, writer: writer)
    }

    func model() async throws -> HubModel { try await client.model(RepositoryReference(owner: "owner", name: "model")) }

    /// Names in the model's folder, sorted; empty when it is not there.
    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/owner/model")) ?? []).sorted()
    }

    func content(_ name: String) -> [UInt8]? {
        FileManager.default.contents(atPath: "\(folder)/owner/model/\(name)").map { [UInt8]($0) }
    }

    func put(_ content: [UInt8], _ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder)/owner/model", withIntermediateDirectories: true)
        try Data(content).write(to: URL(filePath: "\(folder)/owner/model/\(name)"))
    }

    func partName(_ file: FakeHub.File) -> String { "\(file.path).\((file.digest ?? file.sha256).prefix(12)).part" }
}

extension HubLimits {
    /// Without pauses to speak of.
    static var quick: HubLimits {
        var limits = HubLimits()
        limits.backOff = .milliseconds(1)
        limits.diskMargin = 0
        limits.reportEvery = .zero
        return limits
    }

    /// Silence is noticed soon too.
    static var impatient: HubLimits {
        var limits = quick
        limits.stall = .milliseconds(500)
        return limits
    }
}

extension Logger {
    static var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

/// Bytes that look like nothing, and are always the same.
func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state >> 24)
    }
}

/// The error that the work ends with, of ours.
func hubError(_ work: () async throws -> Void) async -> HubError? {
    do {
        try await work()
        Issue.record("nothing was thrown")
        return nil
    } catch let error as HubError {
        return error
    } catch {
        Issue.record("\(error) was thrown")
        return nil
    }
}
