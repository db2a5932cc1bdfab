import FoundationEssentials
import Martlet
import MartletCommands
import MartletWire

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The server that `lms server start` starts: a process of its own that outlives the command. Its files are in home, so
/// there is one for each home.
struct DetachedServer {
    private let home = Surroundings.home

    /// How long one that was started may take until it answers, or until it has ended.
    private static let patience = Duration.seconds(30)

    private var processFile: String { home + "/lms-server.pid" }
    private var stateFile: String { home + "/lms-server.json" }
    private var logFile: String { home + "/logs/lms-server.log" }

    /// Its process; nil: it does not run.
    var process: Int32? { ProcessFile.holder(processFile) }

    /// Where it was started last; nil: it never was.
    var lastPort: Int? { state?["port"]?.int }

    /// What it listens on; nil: it does not run, or the usual one.
    var bind: String? { process == nil ? nil : state?["bind"]?.string }

    /// Where it is reached or, if it does not run, would be by default; nil: it was never started.
    var address: LMSAddress? {
        lastPort.map { LMSAddress(host: Self.reached(bind ?? LMSAddress.usualHost), port: $0) }
    }

    private var state: JSON? {
        FileManager.default.contents(atPath: stateFile).flatMap {
            try? JSON(parsing: String(decoding: $0, as: UTF8.self))
        }
    }

    /// Starts it, and waits until it answers.
    /// - Throws: `LMSRefusal`, when it does not.
    func start(bind: String, port: Int, allowsAllOrigins: Bool) async throws {
        try prepare()
        var variables = Surroundings.environment
        if allowsAllOrigins { variables["MARTLET_SERVER_ALLOWED_ORIGINS"] = "*" }
        let child = try spawn(
            ["serve", "--host", bind, "--port", "\(port)", "--pid-file", processFile], variables)
        let address = LMSAddress(host: Self.reached(bind), port: port)
        let start = ContinuousClock.now
        while ContinuousClock.now - start < Self.patience {
            if await LMSGreeting.answers(at: address) {
                // Whoever answers has to be the one that was started.
                guard process == child else { break }
                let state: JSON = ["port": .int(port), "bind": .string(bind)]
                _ = FileManager.default.createFile(atPath: stateFile, contents: Data(state.text.utf8))
                return
            }
            var status: Int32 = 0
            guard waitpid(child, &status, WNOHANG) == 0 else { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        if process == child { kill(child, SIGTERM) }
        throw LMSRefusal("the server did not start: \(lastWords)")
    }

    /// Ends it, if it runs, and waits until it has.
    /// - Returns: whether it ran.
    /// - Throws: `LMSRefusal` when it does not end.
    func stop() async throws -> Bool {
        guard let process else { return false }
        kill(process, SIGTERM)
        let start = ContinuousClock.now
        while self.process == process {
            guard ContinuousClock.now - start < Self.patience else {
                throw LMSRefusal(
                    "the server (process \(process)) did not end within \(Self.patience.components.seconds) s")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        return true
    }

    /// Where a server is reached that listens at all addresses.
    static func reached(_ bind: String) -> String {
        switch bind {
        case "0.0.0.0": LMSAddress.usualHost
        case "::": "[::1]"
        default: bind.contains(":") && !bind.hasPrefix("[") ? "[\(bind)]" : bind
        }
    }

    private func prepare() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: home + "/logs", withIntermediateDirectories: true)
        } catch {
            throw LMSRefusal("the folder \(home)/logs cannot be made; look at its permissions")
        }
        // Of what earlier servers said, the last run is kept.
        _ = rename(logFile, logFile + ".1")
    }

    /// `POSIX_SPAWN_SETSID`, which glibc hides from Swift (spawn.h).
    private static var newSession: Int32 {
        #if canImport(Glibc)
            0x80
        #else
            POSIX_SPAWN_SETSID
        #endif
    }

    /// - Returns: its process id.
    private func spawn(_ words: [String], _ variables: [String: String]) throws -> pid_t {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, logFile, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // A session of its own: a terminal that closes does not end it.
        posix_spawnattr_setflags(&attributes, Int16(Self.newSession))
        var process: pid_t = 0
        let program = Surroundings.executable
        var arguments = ([program] + words).map { strdup($0) } + [nil]
        var environment = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + environment { free(text) } }
        let status = posix_spawn(&process, program, &actions, &attributes, &arguments, &environment)
        guard status == 0 else {
            throw LMSRefusal("the server cannot be started: \(String(cString: strerror(status)))")
        }
        return process
    }

    /// What the server said last, for whoever wants to know why it ended.
    private var lastWords: String {
        let bytes = FileManager.default.contents(atPath: logFile) ?? Data()
        let lines = String(decoding: bytes.suffix(2000), as: UTF8.self).split(separator: "\n")
        return lines.last.map { TerminalText.safe(String($0)) } ?? "it said nothing"
    }
}

/// The sign by which LM Studio's clients know a server (specs lmstudio 0.2).
enum LMSGreeting {
    /// Waits half a second, as `lms` does.
    static func answers(at address: LMSAddress) async -> Bool {
        let reply = try? await MartletClient(base: address.url).ask("/lmstudio-greeting", within: .milliseconds(500))
        return reply?["lmstudio"]?.bool == true
    }
}
