package import MartletWire

#if canImport(FoundationEssentials)
    package import FoundationEssentials
#else
    package import Foundation
#endif

/// One download that a client of the server asked for.
package struct DownloadJob: Sendable, Hashable {
    /// In LM Studio's words.
    package enum Status: String, Sendable, Hashable {
        case downloading
        /// It was cancelled, or the server stopped; what was got is kept.
        case paused
        case completed, failed
    }

    /// `job_` and 10 hex digits.
    package let id: String
    /// What is got, such as `owner/repo@Q4_K_M`: a second request for it joins the first.
    package let model: String
    package let startedAt: Date
    package internal(set) var status = Status.downloading
    package internal(set) var progress: DownloadProgress
    package internal(set) var completedAt: Date?
    /// What the model that has come is listed by; nil until then.
    package internal(set) var key: String?
    /// Why it failed; a finished sentence.
    package internal(set) var failure: HubError?

    init(id: String, model: String, total: Int64, startedAt: Date) {
        self.id = id
        self.model = model
        self.startedAt = startedAt
        progress = DownloadProgress(bytes: 0, total: total)
    }

    /// What is answered to `POST /api/v1/models/download`.
    package var startReply: JSON {
        var reply: JSON = [
            "job_id": .string(id), "status": .string(status.rawValue), "total_size_bytes": .int(Int(progress.total)),
            "started_at": .string(Self.text(startedAt)),
        ]
        reply["completed_at"] = completedAt.map { .string(Self.text($0)) }
        return reply
    }

    /// What is answered to a job that need not be made.
    /// - Parameter key: what the model is listed by; a member of ours.
    package static func presentReply(key: String?) -> JSON {
        var reply: JSON = ["status": "already_downloaded"]
        reply["key"] = key.map(JSON.string)
        return reply
    }

    /// What is answered to `GET /api/v1/models/download/status/{job_id}`. `key` and `error` are ours.
    package func statusReply(at now: Date) -> JSON {
        var reply = startReply
        reply["downloaded_bytes"] = .int(Int(progress.bytes))
        if status == .downloading, let rate = progress.bytesPerSecond {
            reply["bytes_per_second"] = .int(Int(rate))
            reply["estimated_completion"] = progress.remaining.map {
                .string(Self.text(now.addingTimeInterval(Double($0.components.seconds))))
            }
        }
        reply["key"] = key.map(JSON.string)
        reply["error"] = failure.map { ["type": .string($0.code.description), "message": .string($0.message)] }
        return reply
    }

    /// ISO 8601 with milliseconds, in UTC.
    private static func text(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
