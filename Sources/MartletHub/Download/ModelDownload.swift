package import Logging
internal import MartletWire

#if canImport(Darwin)
    internal import Darwin
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Brings all files of a plan to `<root>/<owner>/<repository>/`.
///
/// Nothing has its name before all of it is here and checked: the projector and further parts of weights get theirs
/// first, and last the file that makes a model appear in lists. What a failure leaves are parts, which the next
/// download of the same files goes on with.
package struct ModelDownload: Sendable {
    private let client: HubClient
    private let plan: FilePlan
    private let folder: ModelFolder
    private let logger: Logger
    private let writer: FileWriter

    /// - Parameters:
    ///   - root: the folder of models; made when it is missing.
    ///   - writer: writes to files; `write(2)` unless a test says otherwise.
    package init(
        _ plan: FilePlan, from client: HubClient, to root: String, logger: Logger,
        writer: @escaping FileWriter = { write($0, $1, $2) }
    ) {
        self.client = client
        self.plan = plan
        self.logger = logger
        self.writer = writer
        folder = ModelFolder(root: root, owner: plan.owner, name: plan.name)
    }

    /// The weights, or the first of their parts, once they are here.
    package var path: String { "\(folder.path)/\(plan.weights[0].name)" }

    /// Whether files of these names and sizes are here. Their content is not looked at.
    package var isPresent: Bool { plan.files.allSatisfy { folder.bytes(of: $0.name) == $0.bytes } }

    /// Gets what is missing. Files that are here are added up, and got anew when their content is another.
    ///
    /// - Parameter report: is called from several threads, one call after another; must not block.
    /// - Returns: ``path``.
    /// - Throws: ``HubError``; `CancellationError`, after which the parts are kept.
    package func run(report: @escaping @Sendable (DownloadProgress) -> Void = { _ in }) async throws -> String {
        try folder.make()
        var locks: [FileLock] = []
        defer {
            locks.forEach { $0.release() }
            folder.removeIfEmpty()
        }
        for file in plan.weights { locks.append(try FileLock(file, in: folder)) }
        var missing: [HubFile] = []
        for file in plan.files where try await !isHere(file) { missing.append(file) }
        try checkDisk(for: missing)
        let progress = ProgressReport(total: plan.bytes, every: client.limits.reportEvery, report)
        var done = plan.bytes - missing.reduce(0) { $0 + $1.bytes }
        var parts: [PartFile] = []
        for file in missing {
            if file == plan.projector {
                // Other quantisations of the model use it too, and may be getting it.
                locks.append(try await FileLock.wait(for: file, in: folder))
                guard try await !isHere(file) else {
                    done += file.bytes
                    continue
                }
            }
            folder.removeOtherParts(of: file)
            let part = try PartFile(file, in: folder.path, writer: writer)
            let before = done
            try await FileDownload(client: client, plan: plan, file: file, part: part, logger: logger) { bytes in
                progress.note(before + bytes)
            }.run()
            done += file.bytes
            parts.append(part)
        }
        // The plan has the weights in order and the projector after them.
        for part in parts.reversed() { try folder.commit(part) }
        folder.synchronize()
        progress.note(done, isDue: true)
        return path
    }

    private func isHere(_ file: HubFile) async throws -> Bool {
        guard folder.bytes(of: file.name) == file.bytes else { return false }
        let there = try PartFile(reading: file, in: folder.path)
        try await there.addUpAll()
        return there.isRight
    }

    private func checkDisk(for missing: [HubFile]) throws(HubError) {
        let needed = missing.reduce(Int64(0)) { sum, file in
            let found = ModelFolder.bytes(at: PartFile.path(of: file, in: folder.path)) ?? 0
            return sum + (found <= file.bytes ? file.bytes - found : file.bytes)
        }
        guard needed > 0, let free = folder.free() else { return }
        guard client.limits.diskMargin <= free - needed else {
            throw HubError(
                .diskFull,
                "\(plan.id) needs \(ByteCount.shown(needed)) on the disk, and "
                    + "\(ByteCount.shown(client.limits.diskMargin)) must stay free; there are "
                    + "\(ByteCount.shown(free)). Remove a model (martlet rm) or choose a smaller quantisation")
        }
    }
}
