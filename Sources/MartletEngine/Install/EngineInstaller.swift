#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Installs a llama-server under home, in a folder of its own beneath `engines/`.
///
/// Everything happens in a folder ending in `.part`, which is renamed when the engine has answered; a run that was
/// broken off leaves only that, and the next removes it.
package struct EngineInstaller: Sendable {
    package enum Method: String, Sendable, Hashable, CaseIterable {
        /// The package index's wheel: needs Python 3.10 or later with pip; seconds.
        case wheel
        /// A build from the package index's source distribution: needs Python with pip, CMake, Ninja and a
        /// C++ compiler; several minutes.
        case source
    }

    /// The first answer reads a large file from a disk that has not seen it yet.
    private static let firstAnswerLimit: Duration = .seconds(60)

    let home: String
    /// What pip and the build tools see.
    let environment: [String: String]
    let log: @Sendable (String) -> Void
    let detail: @Sendable (String) -> Void

    /// - Parameters:
    ///   - environment: what the installer's tools see; this process's by default.
    ///   - detail: called with each line that pip and the build tools print, as it comes.
    ///   - log: called with one line of progress at a time.
    package init(
        home: String, environment: [String: String] = ProcessInfo.processInfo.environment,
        detail: @escaping @Sendable (String) -> Void = { _ in },
        log: @escaping @Sendable (String) -> Void
    ) {
        self.home = home
        var environment = environment
        // A user's pip settings for other purposes would contradict --target; a pip.py in
        // the working folder is not pip.
        environment["PIP_USER"] = "0"
        environment["PIP_REQUIRE_VIRTUALENV"] = "0"
        environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        environment["PIP_NO_INPUT"] = "1"
        environment["PIP_ROOT_USER_ACTION"] = "ignore"
        environment["PYTHONSAFEPATH"] = "1"
        self.environment = environment
        self.detail = detail
        self.log = log
    }

    /// Installs the engine, or returns the one that is there already.
    /// - Throws: `noPython`, `noPip`, `indexUnreachable`, `noWheel`, `hashMismatch`, `diskFull`, `missingTools`,
    ///   `buildFailed`, `installFailed`, `fileSystem`, `cancelled`; each message says what to do.
    package func install(_ method: Method) async throws(EngineError) -> EngineBinary {
        let name =
            switch method {
            case .wheel: "\(Pins.Wheel.package)-\(Pins.Wheel.version)"
            case .source: "\(EngineFinder.name)-\(Pins.Source.commit)"
            }
        let engines = Manifest.enginesFolder(home: home)
        let folder = "\(engines)/\(name)"
        if let installed = Manifest.engine(in: folder)?.binary {
            if case .wheel = method, try WheelLauncher.refresh("\(folder)/\(WheelLauncher.fileName)") {
                log("the launcher of the engine is brought up to date")
            }
            log("\(name) is installed already")
            return installed
        }
        let part = folder + ".part"
        try Disk.makeFolder(engines)
        Disk.removeTree(part)
        try Disk.makeFolder(part)
        do throws(EngineError) {
            let manifest =
                switch method {
                case .wheel: try await installWheel(in: part)
                case .source: try await buildSource(in: part)
                }
            try manifest.write(in: part)
            Disk.removeTree(folder)
            try Disk.rename(part, to: folder)
        } catch {
            Disk.removeTree(part)
            throw error
        }
        guard let installed = Manifest.engine(in: folder)?.binary else {
            throw EngineError(.installFailed, "\(name) was installed but cannot be read back. Run the command again.")
        }
        log("installed \(name): llama.cpp \(installed.version), computes on \(installed.backend)")
        return installed
    }

    /// The engine in its folder, asked who it is; what the manifest will say.
    func manifest(
        _ program: String, script: String?, in folder: String, origin: EngineBinary.Origin
    ) async throws(EngineError) -> Manifest {
        let executable = program.hasPrefix("/") ? program : "\(folder)/\(program)"
        let leading = script.map { Manifest.leading("\(folder)/\($0)") } ?? []
        let engine = try await EngineFinder.describe(
            executable, leading: leading, origin: origin, within: Self.firstAnswerLimit)
        return Manifest(
            origin: origin, version: engine.version, backend: engine.backend, deviceMemory: engine.deviceMemory,
            program: program, script: script, installed: Int64(Date().timeIntervalSince1970))
    }
}
