/// The Python that installs packages, and what its pip says when it cannot.
struct Python: Sendable {
    /// The interpreter itself, not a shim.
    var executable: String
    var version: (major: Int, minor: Int)
    /// Such as `Linux x86_64 (glibc)`.
    var platform: String

    private static let facts = """
        import platform, sys
        print("python", sys.executable, sys.version_info[0], sys.version_info[1])
        print("platform", platform.system(), platform.machine(), platform.libc_ver()[0] or "-")
        """
    private static let aptLine = "On Debian or Ubuntu: apt-get install -y python3 python3-pip"

    /// How long pip may take; its own network timeouts are far shorter.
    private static let pipLimit: Duration = .seconds(1800)

    /// - Throws: `noPython`, `noPip`.
    static func find(environment: [String: String]) async throws(EngineError) -> Python {
        let run = try await Tool.run("python3", ["-c", facts], within: .seconds(20), environment: environment)
        let words = run.lines.map { $0.split(separator: " ").map(String.init) }
        guard run.succeeded, let python = words.first(where: { $0.first == "python" && $0.count >= 4 }),
            let platform = words.first(where: { $0.first == "platform" && $0.count >= 4 }),
            let major = Int(python[python.count - 2]), let minor = Int(python[python.count - 1])
        else {
            throw EngineError(
                .noPython,
                "python3 is needed to install an engine and \(run.end == .code(127) ? "is not there" : "does not run")."
                    + " \(aptLine)", logTail: run.tail)
        }
        let executable = python[1..<(python.count - 2)].joined(separator: " ")
        let libc = platform[3] == "-" ? "" : " (\(platform[3]))"
        let found = Python(
            executable: executable, version: (major, minor), platform: "\(platform[1]) \(platform[2])\(libc)")
        let pip = try await Tool.run(
            executable, ["-m", "pip", "--version"], within: .seconds(60), environment: environment)
        guard pip.succeeded else {
            throw EngineError(
                .noPip, "python3 is there, but its pip is not, and it is needed to install an engine. \(aptLine)",
                logTail: pip.tail)
        }
        return found
    }

    /// Runs pip and turns its failures into ours.
    /// - Throws: `indexUnreachable`, `hashMismatch`, `noWheel`, `diskFull`, `installFailed`.
    func pip(
        _ arguments: [String], for package: String, environment: [String: String],
        onLine: @escaping @Sendable (String) -> Void
    ) async throws(EngineError) {
        let run = try await Tool.run(
            executable, ["-m", "pip"] + arguments, within: Self.pipLimit, environment: environment, onLine: onLine)
        guard !run.succeeded else { return }
        throw Self.failure(run, of: package, platform: platform, version: version)
    }

    static func failure(
        _ run: Tool.Run, of package: String, platform: String, version: (major: Int, minor: Int)
    ) -> EngineError {
        if run.foundNoRoom { return EngineError.noRoom(for: package, tail: run.tail) }
        if run.says("do not match the hashes") {
            return EngineError(
                .hashMismatch,
                "the package index sent a file of \(package) that is not the one this version of Martlet was made for "
                    + "(its SHA-256 differs), so it was not installed. Check which index pip is set up to use.",
                logTail: run.tail)
        }
        let unreachable = run.says(
            "newconnectionerror", "connectionerror", "name resolution", "max retries exceeded", "connection refused",
            "connecttimeout", "read timed out", "proxyerror", "connection broken", "network is unreachable",
            "failed to establish a new connection")
        if unreachable || run.timedOut {
            let advice =
                run.says("certificate verify failed", "sslcertverificationerror")
                ? "Its certificate is not trusted here: name the authority's file with PIP_CERT"
                : "Check the network, or set PIP_INDEX_URL (and HTTPS_PROXY) to what this machine can reach"
            return EngineError(
                .indexUnreachable,
                "the package index cannot be reached to get \(package). \(advice), and run the command again.",
                logTail: run.tail)
        }
        if run.says("no matching distribution found", "could not find a version that satisfies") {
            return EngineError(
                .noWheel,
                "\(package) has no wheel for \(platform) with Python \(version.major).\(version.minor) at the index that "
                    + "pip uses; there are some for \(Pins.Wheel.platforms). Build it instead: martlet engine install --source",
                logTail: run.tail)
        }
        let said = run.lines.last { $0.lowercased().hasPrefix("error") } ?? run.lines.last ?? "\(run.end)"
        return EngineError(
            .installFailed,
            "pip could not install \(package): \(EngineLog.withoutFolders(said)). All that pip said: --log-level debug",
            logTail: run.tail)
    }
}

extension Tool.Run {
    /// Whether it failed for want of room on a disk.
    var foundNoRoom: Bool { says("no space left on device", "errno 28", "disk quota exceeded") }
}

extension EngineError {
    static func noRoom(for what: String, tail: [String]) -> EngineError {
        EngineError(
            .diskFull,
            "there is no room for \(what): the disk that holds Martlet's home, or the temporary folder, is full. Free "
                + "some (the ready package takes 200 MB, a build 1 GB), or set MARTLET_HOME and TMPDIR to folders with room.",
            logTail: tail)
    }
}
