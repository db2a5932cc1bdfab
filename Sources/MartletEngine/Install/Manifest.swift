#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What an installed engine's folder says about itself, in `manifest.json`.
struct Manifest: Codable, Sendable, Hashable {
    var origin: EngineBinary.Origin
    var version: String
    var backend: String
    /// Missing in manifests of older versions.
    var deviceMemory: Int64?
    /// The program to start; relative to the folder unless absolute.
    var program: String
    /// The Python script to hand it, relative to the folder.
    var script: String?
    /// Seconds since 1970.
    var installed: Int64

    static let fileName = "manifest.json"

    static func enginesFolder(home: String) -> String { "\(home)/engines" }

    /// The engine installed in a folder; nil when there is none, or its program has gone.
    static func engine(in folder: String) -> (binary: EngineBinary, installed: Int64)? {
        guard let bytes = Disk.read("\(folder)/\(fileName)"),
            let manifest = try? JSONDecoder().decode(Manifest.self, from: Data(bytes))
        else { return nil }
        let program = manifest.program.hasPrefix("/") ? manifest.program : "\(folder)/\(manifest.program)"
        guard Disk.isProgram(program) else { return nil }
        if let script = manifest.script, !Disk.exists("\(folder)/\(script)") { return nil }
        return (
            EngineBinary(
                executable: program, leading: manifest.script.map { leading("\(folder)/\($0)") } ?? [],
                version: manifest.version, backend: manifest.backend, origin: manifest.origin,
                deviceMemory: manifest.deviceMemory,
                // All versions that were ever installed take both.
                boundsPromptCache: true, boundsCheckpoints: true, overridesHeader: manifest.origin == .source),
            manifest.installed
        )
    }

    /// Every engine installed under home, the latest first.
    static func engines(home: String) -> [EngineBinary] {
        let folder = enginesFolder(home: home)
        let found = Disk.names(in: folder).filter { !$0.hasSuffix(".part") }.compactMap {
            engine(in: "\(folder)/\($0)")
        }
        return found.sorted { $0.installed > $1.installed }.map(\.binary)
    }

    /// Python's arguments for a script of ours: `-I` keeps the user's own modules and variables out of it.
    static func leading(_ script: String) -> [String] { ["-I", script] }

    func write(in folder: String) throws(EngineError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        guard let bytes = try? encoder.encode(self) else {
            throw EngineError(.fileSystem, "the manifest of the engine cannot be written.")
        }
        try Disk.write(String(decoding: bytes, as: UTF8.self) + "\n", to: "\(folder)/\(Self.fileName)")
    }
}
