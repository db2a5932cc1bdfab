package import MartletWire

/// The JSON of `lms` that is about the server itself (specs lmstudio 8).
package enum LMSReport {
    /// - Parameter port: nil: none answers.
    package static func server(port: Int?) -> JSON {
        port.map { ["running": true, "port": .int($0)] } ?? ["running": false]
    }

    package static func version(_ version: String) -> JSON { ["version": .string(version)] }

    /// - Parameter process: nil: the server that runs was not started by `lms`.
    package static func daemonUp(process: Int32?, version: String) -> JSON {
        var report = daemon(process: process, isRunning: true)
        report["version"] = .string(version)
        return report
    }

    package static func daemon(process: Int32?, isRunning: Bool) -> JSON {
        guard isRunning else { return ["status": "not-running"] }
        var report: JSON = ["status": "running"]
        if let process { report["pid"] = .int(Int(process)) }
        report["isDaemon"] = .bool(process != nil)
        return report
    }
}
