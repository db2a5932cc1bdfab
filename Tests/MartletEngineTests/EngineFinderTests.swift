import MartletEngine
import Testing

@Suite("Finding an engine")
struct EngineFinderTests {
    private let scratch = Scratch()
    private var home: String { "\(scratch.path)/home" }

    /// A llama-server that answers as the real one does.
    private func server(_ name: String, version: String = "8123 (0c1e57098)", device: String = "") throws -> String {
        try scratch.file(
            name,
            """
            #!/bin/sh
            case "$1" in
            --version) echo "ggml: starting" >&2; echo "version: \(version)" >&2; echo "built with cc" >&2;;
            --list-devices) echo "Available devices:"; printf '%s' "\(device)";;
            --help) echo "-kvu,  --kv-unified"; echo "--override-kv KEY=TYPE:VALUE,...";;
            esac

            """, executable: true)
    }

    private func find(configured: String? = nil, path: String = "/nowhere") async -> Result<EngineBinary, EngineError> {
        do throws(EngineError) {
            return .success(
                try await EngineFinder.find(
                    configured: configured, home: home, path: "\(path):/usr/bin:/bin", answerLimit: .seconds(120)))
        } catch { return .failure(error) }
    }

    @Test("Nothing anywhere says how to get one")
    func nothing() async {
        let error = await find().error
        #expect(error?.code == .notInstalled)
        #expect(error?.message.contains("martlet engine install") == true)
    }

    @Test("The configured one comes first, then PATH, then the one installed")
    func order() async throws {
        let configured = try server("mine/my-server", version: "1 (one)")
        _ = try server("bin/llama-server", version: "2 (two)")
        try install("source-a", version: "3 (three)", at: 100)
        let bin = "\(scratch.path)/bin"
        let first = try await find(configured: configured, path: bin).get()
        #expect(first.origin == .configured)
        #expect(first.version == "1 (one)")
        #expect(first.executable == configured)
        let second = try await find(path: bin).get()
        #expect(second.origin == .path)
        #expect(second.version == "2 (two)")
        #expect(second.backend == "CPU")
        #expect(second.overridesHeader)
        let third = try await find().get()
        #expect(third.origin == .source)
        #expect(third.version == "3 (three)")
        let all = await EngineFinder.all(configured: configured, home: home, path: bin)
        #expect(all.map(\.origin) == [.configured, .path, .source])
    }

    @Test("A configured one that is not there is an error, never replaced by another")
    func configuredMissing() async throws {
        _ = try server("bin/llama-server")
        let error = await find(configured: "\(scratch.path)/gone/llama-server", path: "\(scratch.path)/bin").error
        #expect(error?.code == .notInstalled)
        #expect(error?.message.hasPrefix("engine.binary names llama-server, which does not exist") == true)
        #expect(error?.message.contains(scratch.path) == false)
    }

    @Test("One on PATH that does not run is passed over when another is installed, else it is the error")
    func brokenOnPath() async throws {
        let broken = try scratch.file(
            "bin/llama-server", "#!/bin/sh\necho 'libcuda.so: not found' >&2\nexit 127\n", executable: true)
        let bin = String(broken.dropLast("/llama-server".count))
        let error = await find(path: bin).error
        #expect(error?.code == .launchFailed)
        #expect(error?.message.contains("libcuda.so: not found") == true)
        try install("source-a", version: "3 (three)", at: 100)
        #expect(try await find(path: bin).get().version == "3 (three)")
    }

    @Test("The latest installed one is used; broken installations and parts are passed over")
    func installed() async throws {
        try install("a", version: "1", at: 300)
        try install("b", version: "2", at: 400)
        try install("c.part", version: "3", at: 500)
        try install("d", version: "4", at: 600, program: "/nowhere/python3")
        try scratch.file("home/engines/e/manifest.json", "{ not json")
        #expect(await EngineFinder.all(configured: nil, home: home, path: "").map(\.version) == ["2", "1"])
    }

    @Test(
        "The backend is the first device that is not the CPU, its memory what it says",
        arguments: [
            ("  CUDA0: NVIDIA GeForce RTX 4090 (24217 MiB, 23000 MiB free)\n", "CUDA", 24_217),
            ("  Vulkan0: AMD Radeon (8192 MiB, 8000 MiB free)\n", "Vulkan", 8192),
            ("  ROCm1: AMD Instinct (65536 MiB, 65000 MiB free)\n", "ROCm", 65_536),
            ("  MTL0: Apple M3 (49152 MiB, 49151 MiB free)\n", "Metal", 49_152),
            ("  CUDA0: A (Laptop) (100 MiB, 1 MiB free)\n  CUDA1: B (200 MiB, 1 MiB free)\n", "CUDA", 300),
            ("  BLAS: OpenBLAS (0 MiB, 0 MiB free)\n", "CPU", nil),
            ("  (none)\n", "CPU", nil),
            ("", "CPU", nil),
        ] as [(String, String, Int64?)])
    func backend(device: String, expected: String, mebibytes: Int64?) async throws {
        _ = try server("bin/llama-server", device: device)
        let engine = try await find(path: "\(scratch.path)/bin").get()
        #expect(engine.backend == expected)
        #expect(engine.deviceMemory == mebibytes.map { $0 << 20 })
    }

    @Test(
        "A GPU that the engine cannot use is named, with its sign and what to do",
        arguments: [
            ("dev/nvidia0", "an NVIDIA GPU", "CUDA"), ("dev/kfd", "an AMD GPU", "ROCm"),
            ("dev/dri/renderD128", "a GPU", "Vulkan"),
        ])
    func gpu(file: String, name: String, backend: String) throws {
        var engine = Fixture.fakeEngine()
        #expect(EngineFinder.gpuWarning(for: engine, root: scratch.path) == nil)
        try scratch.file(file)
        let warning = try #require(EngineFinder.gpuWarning(for: engine, root: scratch.path))
        #expect(warning.hasPrefix("\(name) is there (/\(file))"))
        #expect(warning.contains("llama-server built for \(backend)"))
        engine.backend = backend
        #expect(EngineFinder.gpuWarning(for: engine, root: scratch.path) == nil)
    }

    private func install(_ name: String, version: String, at time: Int, program: String = "llama-server") throws {
        try scratch.file("home/engines/\(name)/llama-server", "#!/bin/sh\n", executable: true)
        try scratch.file(
            "home/engines/\(name)/manifest.json",
            """
            {"origin":"source","version":"\(version)","backend":"CPU","program":"\(program)",
             "installed":\(time)}
            """)
    }
}
