extension EngineInstaller {
    /// Puts the wheel and its launcher into `folder`.
    func installWheel(in folder: String) async throws(EngineError) -> Manifest {
        let python = try await Python.find(environment: environment)
        let needed = Pins.Wheel.python
        guard (python.version.major, python.version.minor) >= (needed.major, needed.minor) else {
            throw EngineError(
                .noWheel,
                "\(Pins.Wheel.package) needs Python \(needed.major).\(needed.minor) or later; python3 is "
                    + "\(python.version.major).\(python.version.minor). Install a later one, or build the engine "
                    + "instead: martlet engine install --source")
        }
        log("getting \(Pins.Wheel.package) \(Pins.Wheel.version) for \(python.platform)")
        let requirements = "\(folder)/requirements.txt"
        let text = Pins.requirements(Pins.Wheel.package, Pins.Wheel.version, Pins.Wheel.hashes)
        try Disk.write(text, to: requirements)
        try await python.pip(
            [
                "install", "--target", folder, "--no-deps", "--only-binary", ":all:", "--require-hashes",
                "--retries", "3", "--progress-bar", "off", "-r", requirements,
            ], for: Pins.Wheel.package, environment: environment, onLine: detail)
        try Disk.write(WheelLauncher.text, to: "\(folder)/\(WheelLauncher.fileName)")
        return try await manifest(
            python.executable, script: WheelLauncher.fileName, in: folder, origin: .wheel)
    }
}
