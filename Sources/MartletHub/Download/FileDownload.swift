internal import AsyncHTTPClient
internal import Logging
internal import MartletWire
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Brings one file into its part, all of it and checked.
///
/// A part that is there is continued by `Range`; `If-Range` says which content the bytes before are of, where the
/// server had told. A server that answers with the whole file all the same has it begun anew. The digest is of the
/// whole file, so also of bytes that an earlier run got.
struct FileDownload: Sendable {
    /// Bytes that are collected before they are written.
    static let batch = 256 << 10

    let client: HubClient
    let plan: FilePlan
    let file: HubFile
    let part: PartFile
    let logger: Logger
    /// Told of the bytes that are in the part.
    let report: @Sendable (Int64) -> Void

    /// - Throws: ``HubError``, after which the part is there to be continued, but for `wrongDigest` and `wrongSize`,
    ///   after which it is removed; `CancellationError`, after which it is there.
    func run() async throws {
        do {
            try await part.addUpAll()
            try await complete(mayBeginAnew: part.bytes > 0)
            try await blocking { try part.synchronize() }
        } catch let error as HubError where error.code == .wrongDigest || error.code == .wrongSize {
            part.remove()
            throw error
        }
    }

    private var subject: String { "\(plan.id)/\(file.path)" }

    /// - Parameter mayBeginAnew: whether bytes of an earlier run may be what makes the digest wrong.
    private func complete(mayBeginAnew: Bool) async throws {
        var retries = Retries(client.limits)
        var mayBeginAnew = mayBeginAnew
        var most = part.bytes
        var etag: String?
        while true {
            do {
                try Task.checkCancellation()
                report(part.bytes)
                while part.bytes < file.bytes {
                    let (source, begin) = file.source(after: part.bytes)
                    try await attempt(source, from: begin, &etag)
                    guard part.bytes == begin + source.bytes else {
                        throw failed("keeps sending less of \(subject) than there is")
                    }
                    etag = nil
                }
                if part.isRight { return }
                guard mayBeginAnew else {
                    throw HubError(
                        .wrongDigest,
                        "what came for \(subject) is not what \(client.endpoint.host) lists: its digest is wrong. "
                            + "It was removed; get it again, and look at HF_ENDPOINT and proxies if that fails")
                }
                mayBeginAnew = false
                logger.warning(
                    "part of an earlier download is damaged, begins anew", metadata: ["file": "\(file.name)"])
                try part.empty()
                most = 0
            } catch let error as HubError {
                let gained = part.bytes > most
                most = max(most, part.bytes)
                guard let pause = retries.pause(after: error, gained: gained) else { throw error }
                logger.debug(
                    "download goes on after a pause",
                    metadata: ["file": "\(file.name)", "bytes": "\(part.bytes)", "reason": "\(error.code)"])
                client.willRetry(error, pause)
                try await Task.sleep(for: pause)
            }
        }
    }

    /// One request. Returns when the server has ended its reply, also too early.
    /// - Parameters:
    ///   - begin: where its bytes stand in the file.
    ///   - etag: of the content that the part's bytes of it are of, if this run got them.
    private func attempt(_ source: HubFile, from begin: Int64, _ etag: inout String?) async throws {
        var headers: HTTPHeaders = ["accept-encoding": "identity"]
        let start = part.bytes - begin
        if start > 0 {
            headers.add(name: "range", value: "bytes=\(start)-")
            if let etag { headers.add(name: "if-range", value: etag) }
        }
        let reply = try await client.open(client.address(of: source, in: plan), headers: headers)
        let now = reply.response.headers.first(name: "etag").flatMap { $0.hasPrefix("\"") ? $0 : nil }
        switch reply.status {
        case 200:
            if start > 0 { try part.emptySource() }
        case 206 where start > 0:
            let range = reply.response.headers.first(name: "content-range").flatMap { ContentRange($0) }
            guard let range, range.start == start, etag == nil || now == nil || etag == now else {
                try part.emptySource()
                etag = nil
                throw failed("does not go on with \(subject) where it was cut")
            }
            if let total = range.total, total != source.bytes { throw wrongSize(total, of: source) }
        case 416:
            try part.emptySource()
            etag = nil
            throw failed("does not go on with \(subject) where it was cut")
        case 401, 403, 404, 410:
            // A redirect's target is good for some minutes only; the next request gets a fresh one.
            guard reply.origin == client.endpoint.origin else {
                throw failed("leads to a server that refuses \(subject) with HTTP \(reply.status)")
            }
            throw client.failure(reply, subject: subject)
        default: throw client.failure(reply, subject: subject)
        }
        etag = now
        if let encoding = reply.response.headers.first(name: "content-encoding"), encoding != "identity" {
            throw HubError(
                .badReply, "\(client.endpoint.host) sends \(subject) compressed, which it was asked not to do")
        }
        if reply.status == 200, let length = reply.length, length != source.bytes {
            throw wrongSize(length, of: source)
        }
        try part.seekToEnd()
        try await receive(reply, of: source, from: begin)
    }

    private func receive(_ reply: HubClient.Reply, of source: HubFile, from begin: Int64) async throws {
        let host = reply.origin?.shown ?? client.endpoint.host
        let start = part.bytes
        var waiting = ByteBuffer()
        do {
            for try await var piece in reply.response.body {
                waiting.writeBuffer(&piece)
                let bytes = part.bytes + Int64(waiting.readableBytes) - begin
                guard bytes <= source.bytes else { throw wrongSize(bytes, of: source) }
                guard waiting.readableBytes >= Self.batch else { continue }
                let batch = waiting
                waiting.clear()
                try await blocking { try part.append(batch) }
                report(part.bytes)
            }
        } catch {
            // What came before the connection broke is not got again; less than a batch, and so written here.
            if !(error is HubError) { try part.append(waiting) }
            report(part.bytes)
            throw HubClient.transportError(error, host: host, hasBegun: true)
        }
        try part.append(waiting)
        report(part.bytes)
        if let length = reply.length, part.bytes - start < length { throw HubClient.cut(host) }
    }

    private func failed(_ how: String) -> HubError {
        HubError(.serverFailed, "\(client.endpoint.host) \(how): try again later")
    }

    private func wrongSize(_ bytes: Int64, of source: HubFile) -> HubError {
        let isNear = ByteCount.shown(bytes) == ByteCount.shown(source.bytes)
        func shown(_ bytes: Int64) -> String { isNear ? "\(bytes) bytes" : ByteCount.shown(bytes) }
        return HubError(
            .wrongSize,
            "\(client.endpoint.host) sends \(shown(bytes)) or more for \(plan.id)/\(source.path), which it "
                + "lists with \(shown(source.bytes)): get it again, and look at HF_ENDPOINT and proxies if "
                + "that fails"
        )
    }
}

extension PartFile {
    /// Adds up all that was found.
    /// - Throws: `fileSystem`, `CancellationError`.
    func addUpAll() async throws {
        while try await !blocking({ try self.addUp() }) { try Task.checkCancellation() }
    }
}

/// Off the threads that tasks share.
private func blocking<R: Sendable>(_ work: @escaping @Sendable () throws -> R) async throws -> R {
    try await NIOThreadPool.singleton.runIfActive(work)
}
