/// Finds llama-servers: the configured one, those on `PATH`, those installed under home.
package enum EngineFinder {
    /// How long a binary may take to answer each of `--version`, `--list-devices` and `--help`.
    package static let answerLimit: Duration = .seconds(5)
    static let name = "llama-server"

    /// The engine to use: `engine.binary`, else `llama-server` on `PATH`, else the one installed last.
    ///
    /// A configured one is used or refused, never replaced. One on `PATH` that does not run is passed
    /// over when another is installed.
    /// - Parameter path: the value of `PATH`.
    /// - Throws: `notInstalled`, or `launchFailed` when the only candidate does not run.
    package static func find(
        configured: String?, home: String, path: String, answerLimit: Duration = EngineFinder.answerLimit
    ) async throws(EngineError) -> EngineBinary {
        if let configured {
            guard let program = Tool.locate(configured, path: path) else { throw missing(configured) }
            return try await describe(program, origin: .configured, within: answerLimit)
        }
        var failure: EngineError?
        if let program = Tool.locate(name, path: path) {
            do throws(EngineError) {
                return try await describe(program, origin: .path, within: answerLimit)
            } catch {
                if error.code == .cancelled { throw error }
                failure = error
            }
        }
        if let installed = Manifest.engines(home: home).first {
            // Where it cannot be written, the engine itself says which flag it does not know.
            if installed.origin == .wheel, let launcher = installed.leading.last {
                _ = try? WheelLauncher.refresh(launcher)
            }
            return installed
        }
        throw failure
            ?? EngineError(
                .notInstalled,
                "no llama.cpp engine: engine.binary is not set, there is no llama-server on PATH and none is "
                    + "installed. Get one with: martlet engine install")
    }

    /// What is wrong with the configured one as far as can be seen without starting it; nil: it is there.
    package static func fault(configured: String, path: String) -> String? {
        Tool.locate(configured, path: path) == nil ? missing(configured).message : nil
    }

    /// Every engine that runs, in the order ``find(configured:home:path:)`` would take them.
    package static func all(
        configured: String?, home: String, path: String, answerLimit: Duration = EngineFinder.answerLimit
    ) async -> [EngineBinary] {
        var engines: [EngineBinary] = []
        if let configured, let program = Tool.locate(configured, path: path),
            let engine = try? await describe(program, origin: .configured, within: answerLimit)
        {
            engines.append(engine)
        }
        if let program = Tool.locate(name, path: path),
            let engine = try? await describe(program, origin: .path, within: answerLimit)
        {
            engines.append(engine)
        }
        return engines + Manifest.engines(home: home)
    }

    /// What a person should know when there is a GPU and the engine computes on the CPU; nil when all is well.
    ///
    /// - Parameter root: where the device files are looked for, for tests.
    package static func gpuWarning(for binary: EngineBinary, root: String = "") -> String? {
        guard binary.backend == "CPU", let gpu = GPU.first(root: root) else { return nil }
        return "\(gpu.name) is there (\(gpu.sign)), but the engine in use (llama.cpp \(binary.version), from "
            + "\(binary.origin)) computes on the CPU only. Put a llama-server built for \(gpu.backend) on PATH, or name "
            + "it in engine.binary."
    }

    /// Asks a binary who it is.
    static func describe(
        _ executable: String, leading: [String] = [], environment: [String: String] = [:],
        origin: EngineBinary.Origin, within limit: Duration
    ) async throws(EngineError) -> EngineBinary {
        let environment = EngineEnvironment.inherited(adding: environment)
        func ask(_ flag: String) async throws(EngineError) -> Tool.Run {
            try await Tool.run(executable, leading + [flag], within: limit, environment: environment)
        }
        let version = try await ask("--version")
        let name = executable.split(separator: "/").last.map(String.init) ?? executable
        guard !version.timedOut else {
            throw EngineError(
                .launchFailed,
                "\(name) (\(origin)) did not answer --version within \(limit.components.seconds) s.",
                logTail: version.tail.map(EngineLog.withoutFolders))
        }
        guard let words = versionWords(in: version.lines) else {
            let said = version.lines.last.map { ": \(EngineLog.withoutFolders($0))" } ?? ""
            throw EngineError(
                .launchFailed, "\(name) (\(origin)) does not run as llama-server does (\(version.end))\(said)",
                logTail: version.tail.map(EngineLog.withoutFolders))
        }
        let devices = try await ask("--list-devices")
        let help = try await ask("--help")
        return EngineBinary(
            executable: executable, leading: leading, environment: [:], version: words,
            backend: backend(devices: devices.lines, version: version.lines), origin: origin,
            deviceMemory: deviceMemory(devices.lines), boundsPromptCache: help.says("--cache-ram"),
            boundsCheckpoints: help.says("--ctx-checkpoints"), overridesHeader: help.says("--override-kv"))
    }

    /// `version: 8123 (0c1e57098)` → `8123 (0c1e57098)`.
    static func versionWords(in lines: [String]) -> String? {
        for line in lines {
            guard let range = line.firstRange(of: "version: ") else { continue }
            let words = String(line[range.upperBound...])
            if !words.isEmpty { return words }
        }
        return nil
    }

    /// The backend of the first device that is not the CPU: `  CUDA0: NVIDIA … (24217 MiB, 23000 MiB free)` → `CUDA`.
    static func backend(devices: [String], version: [String]) -> String {
        let list = devices.drop { !$0.hasPrefix("Available devices") }.dropFirst()
        for line in list where line.hasPrefix(" ") {
            guard let name = line.split(separator: ":").first?.split(separator: " ").last else { continue }
            let family = String(name.reversed().drop { $0.isNumber }.reversed())
            switch family.uppercased() {
            case "CPU", "BLAS", "(NONE)", "": continue
            case "MTL", "METAL": return "Metal"
            case "HIP": return "ROCm"
            default: return family
            }
        }
        // Binaries older than --list-devices name their GPU backend while they start.
        let start = version.joined(separator: "\n").lowercased()
        for (sign, name) in [("ggml_cuda_init: found", "CUDA"), ("ggml_vulkan: found", "Vulkan")]
        where start.contains(sign) {
            return name
        }
        return "CPU"
    }

    /// The sum of what the list says of its devices: `  CUDA0: NVIDIA … (24217 MiB, 23000 MiB free)` → 24217 MiB.
    static func deviceMemory(_ devices: [String]) -> Int64? {
        var sum: Int64 = 0
        for line in devices.drop(while: { !$0.hasPrefix("Available devices") }).dropFirst() where line.hasPrefix(" ") {
            let name = line.split(separator: ":").first?.split(separator: " ").last ?? ""
            guard !["CPU", "BLAS"].contains(where: { name.uppercased().hasPrefix($0) }),
                let words = line.split(separator: "(").last?.split(separator: " "), words.count == 5,
                words[1] == "MiB,", let mebibytes = Int64(words[0]), (0...1 << 24).contains(mebibytes)
            else { continue }
            sum += mebibytes << 20
        }
        return sum > 0 ? sum : nil
    }

    private static func missing(_ configured: String) -> EngineError {
        let name = configured.split(separator: "/").last.map(String.init) ?? configured
        return EngineError(
            .notInstalled,
            "engine.binary names \(name), which does not exist or is not executable. Correct it, or remove it to use "
                + "llama-server from PATH or an installed one.")
    }
}

/// Signs of a GPU that need no driver library to be read.
enum GPU {
    struct Sign: Sendable, Hashable {
        var name: String
        /// The file that shows it.
        var sign: String
        /// The llama.cpp backend that would use it.
        var backend: String
    }

    static func first(root: String) -> Sign? {
        for path in ["/dev/nvidia0", "/proc/driver/nvidia/gpus"] where Disk.exists(root + path) {
            return Sign(name: "an NVIDIA GPU", sign: path, backend: "CUDA")
        }
        if Disk.exists(root + "/dev/kfd") { return Sign(name: "an AMD GPU", sign: "/dev/kfd", backend: "ROCm") }
        for name in Disk.names(in: root + "/dev/dri") where name.hasPrefix("renderD") {
            return Sign(name: "a GPU", sign: "/dev/dri/\(name)", backend: "Vulkan")
        }
        return nil
    }
}
