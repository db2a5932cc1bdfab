package import MartletWire

/// A line of the server's log or of an engine's, as `lms log stream` prints it.
package struct LMSLogLine: Sendable, Hashable {
    /// Milliseconds since 1970.
    package var time: Int
    package var level: String
    package var content: String
    /// Which instance's engine says it; nil: the server does.
    package var instance: String?
    private let data: JSON

    /// - Parameter event: of `GET /admin/v1/logs`.
    package init?(_ event: JSON) {
        let isServers = event["type"]?.string == "server.log"
        guard isServers || event["type"]?.string == "runtime.log",
            let content = event[isServers ? "content" : "message"]?.string
        else { return nil }
        self.content = content
        time = event["timestamp"]?.int ?? 0
        level = event["level"]?.string ?? "info"
        instance = event["modelIdentifier"]?.string
        data =
            isServers
            ? ["type": "server.log", "content": .string(content), "level": .string(level)]
            : .object(
                JSONObject((event.object ?? JSONObject()).filter { $0.key != "timestamp" }.map { ($0.key, $0.value) }))
    }

    /// A line of `--json`.
    package var json: JSON { ["timestamp": .int(time), "data": data] }

    /// `[2026-02-08 18:00:29][INFO] …`, in UTC; an engine's has its instance's name behind that.
    package var text: String {
        "[\(UTCTime(milliseconds: time).text)][\(level.uppercased())]\(instance.map { "[\($0)]" } ?? "") \(content)"
    }
}

/// A moment as people read it.
package struct UTCTime: Sendable, Hashable {
    /// Since 1970.
    package var milliseconds: Int
    package init(milliseconds: Int) { self.milliseconds = milliseconds }

    /// `2026-02-08 18:00:29`.
    package var text: String {
        let seconds = milliseconds >= 0 ? milliseconds / 1000 : 0
        let (day, time) = (seconds / 86_400, seconds % 86_400)
        // Days to a date of the Gregorian calendar, in years that begin with March (H. Hinnant, "chrono-compatible
        // low-level date algorithms").
        let shifted = day + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let year = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let civil = month < 10 ? month + 3 : month - 9
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year + era * 400 + (civil <= 2 ? 1 : 0))-\(two(civil))-\(two(dayOfYear - (153 * month + 2) / 5 + 1)) "
            + "\(two(time / 3600)):\(two(time % 3600 / 60)):\(two(time % 60))"
    }
}
