import MartletWire
import Synchronization

/// How far an engine says it is with loading.
///
/// llama-server tells its router, which it believes to have where `LLAMA_SERVER_ROUTER_PORT` is set, on standard output
/// (llama.cpp's tools/server/server-models.cpp): `cmd_child_to_router:state:` and an object of JSON, with the parts that
/// are loaded one after another, which of them is, and how much of it. It ends when its standard input does.
package enum LoadReport {
    static let variable = "LLAMA_SERVER_ROUTER_PORT"
    static let mark = "cmd_child_to_router:"

    /// 0 to 1 of everything that is loaded; nil where the line does not say.
    package static func fraction(in line: String) -> Double? {
        let start = mark + "state:"
        guard line.hasPrefix(start), let report = try? JSON(parsing: String(line.dropFirst(start.count))),
            report["state"]?.string == "loading", let payload = report["payload"],
            let value = payload["value"]?.double, value.isFinite
        else { return nil }
        let parts = payload["stages"]?.array?.compactMap(\.string) ?? []
        let part = min(1, max(0, value))
        guard let current = payload["current"]?.string, let index = parts.firstIndex(of: current) else { return part }
        return (Double(index) + part) / Double(parts.count)
    }
}

/// The latest report of one engine, written by whoever reads its output and read by whoever waits for it.
final class LoadMeter: Sendable {
    private let latest = Mutex<Double?>(nil)

    /// Never falls.
    var fraction: Double? { latest.withLock(\.self) }

    func take(_ line: String) {
        guard let fraction = LoadReport.fraction(in: line) else { return }
        latest.withLock { $0 = max($0 ?? 0, fraction) }
    }
}
