#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import MartletEngine
import Testing

/// The installer against stand-ins for Python, pip and CMake; what pip says is copied from pip 23.2.1.
@Suite("Installing an engine")
struct EngineInstallerTests {
    private let scratch = Scratch()
    private let log = Box<[String]>([])
    private var home: String { "\(scratch.path)/home" }
    private var engines: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(home)/engines")) ?? []).sorted()
    }

    /// - Parameter pip: shell text run for `pip install` and `pip download`, with the target folder in `$target`.
    private func python(version: String = "3 11", machine: String = "x86_64", hasPip: Bool = true, pip: String) throws {
        try scratch.file(
            "bin/python3",
            """
            #!/bin/sh
            case "$*" in
            *platform.system*) echo "python $0 \(version)"; echo "platform Linux \(machine) glibc";;
            *"pip --version"*) \(hasPip ? "echo pip 23.2.1" : "echo 'No module named pip' >&2; exit 1");;
            *" pip "*)
                echo "$*" >> "\(scratch.path)/pip-calls"
                while [ "$1" != --target ] && [ "$1" != --dest ]; do shift; done
                target=$2
                \(pip)
                ;;
            *llama_server.py*--version) echo "version: 9 (xllamacpp)" >&2;;
            *llama_server.py*--list-devices) echo "Available devices:";;
            *llama_server.py*--help) echo "--kv-unified";;
            *) exit 99;;
            esac

            """, executable: true)
    }

    private func install(
        _ method: EngineInstaller.Method, path: String = "/usr/bin:/bin"
    ) async -> Result<EngineBinary, EngineError> {
        let installer = EngineInstaller(home: home, environment: ["PATH": "\(scratch.path)/bin:\(path)"]) {
            [log] line in log.change { $0.append(line) }
        }
        do throws(EngineError) { return .success(try await installer.install(method)) } catch { return .failure(error) }
    }

    @Test("The wheel is installed with its hashes, asked who it is, and found afterwards")
    func wheel() async throws {
        try python(pip: "mkdir -p \"$target/xllamacpp\"; cp \"$target/requirements.txt\" \"\(scratch.path)/seen\"")
        let engine = try await install(.wheel).get()
        #expect(engine.origin == .wheel)
        #expect(engine.version == "9 (xllamacpp)")
        #expect(engine.backend == "CPU")
        #expect(engine.executable == "\(scratch.path)/bin/python3")
        #expect(engine.leading.first == "-I")
        let call = try String(contentsOfFile: "\(scratch.path)/pip-calls", encoding: .utf8)
        for flag in ["--no-deps", "--only-binary :all:", "--require-hashes", "--target"] {
            #expect(call.contains(flag))
        }
        let requirements = try String(contentsOfFile: "\(scratch.path)/seen", encoding: .utf8)
        #expect(requirements.hasPrefix("xllamacpp==2026.10.11549 \\\n"))
        #expect(requirements.split(separator: "--hash=sha256:").count == 5)
        #expect(engines == ["xllamacpp-2026.10.11549"])
        #expect(try await EngineFinder.find(configured: nil, home: home, path: "") == engine)
        #expect(try await install(.wheel).get() == engine)
        #expect(log.value.last?.contains("installed already") == true)
    }

    @Test("A launcher that an older version wrote is replaced by the next install, the wheel is not")
    func oldLauncher() async throws {
        try python(pip: "mkdir -p \"$target/xllamacpp\"")
        _ = try await install(.wheel).get()
        let launcher = "\(home)/engines/xllamacpp-2026.10.11549/llama_server.py"
        try Data("old".utf8).write(to: URL(filePath: launcher))
        try FileManager.default.removeItem(atPath: "\(scratch.path)/pip-calls")
        _ = try await install(.wheel).get()
        #expect(try String(contentsOfFile: launcher, encoding: .utf8).contains("--flash-attn"))
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/pip-calls"))
    }

    @Test("What a run that was broken off left behind is removed by the next")
    func resumes() async throws {
        try scratch.file("home/engines/xllamacpp-2026.10.11549.part/half", "half")
        try python(pip: "[ ! -e \"$target/half\" ] || exit 1")
        _ = try await install(.wheel).get()
        #expect(engines == ["xllamacpp-2026.10.11549"])
    }

    @Test("Without Python, or without its pip, the message holds the exact line that helps")
    func noPython() async throws {
        try FileManager.default.createDirectory(atPath: "\(scratch.path)/bin", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: "\(scratch.path)/bin/sh", withDestinationPath: "/bin/sh")
        let none = try #require(await install(.wheel, path: "/nowhere").error)
        #expect(none.code == .noPython)
        #expect(none.message.contains("is not there. On Debian or Ubuntu: apt-get install -y python3 python3-pip"))
        try python(hasPip: false, pip: "exit 1")
        let noPip = try #require(await install(.wheel).error)
        #expect(noPip.code == .noPip)
        #expect(noPip.message.contains("apt-get install -y python3 python3-pip"))
        #expect(engines == [])
    }

    @Test("A Python that is too old is said so, with what else can be done")
    func oldPython() async throws {
        try python(version: "3 8", pip: "exit 1")
        let error = try #require(await install(.wheel).error)
        #expect(error.code == .noWheel)
        #expect(error.message.contains("needs Python 3.10 or later; python3 is 3.8"))
        #expect(error.message.contains("martlet engine install --source"))
    }

    @Test("What pip says is told apart: unreachable index, no wheel, wrong hash, anything else")
    func pipFailures() async throws {
        let unreachable = """
            echo "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)': /simple/" >&2
            echo "ERROR: Could not find a version that satisfies the requirement xllamacpp (from versions: none)" >&2
            echo "ERROR: No matching distribution found for xllamacpp" >&2; exit 1
            """
        let noWheel = """
            echo "ERROR: Could not find a version that satisfies the requirement xllamacpp (from versions: 0.2.13)" >&2
            echo "ERROR: No matching distribution found for xllamacpp==2026.10.11549" >&2; exit 1
            """
        let hash = """
            echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated" >&2
            exit 1
            """
        let full = "echo 'ERROR: Could not install packages due to an OSError: No space left on device' >&2; exit 1"
        let other = "echo \"ERROR: Could not install packages due to an OSError: bad '/home/me/x y/z'\" >&2; exit 1"
        let untrusted = """
            echo "WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError(1, \
            '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))': /simple/" >&2
            echo "Could not fetch URL: Max retries exceeded" >&2; exit 1
            """
        for (pip, code, words) in [
            (unreachable, EngineError.Code.indexUnreachable, "PIP_INDEX_URL"),
            (noWheel, .noWheel, "no wheel for Linux riscv64 (glibc) with Python 3.11"),
            (hash, .hashMismatch, "SHA-256"),
            (full, .diskFull, "there is no room for xllamacpp"), (other, .installFailed, "bad 'z'. All that pip said"),
            (untrusted, .indexUnreachable, "PIP_CERT"),
        ] {
            try python(machine: "riscv64", pip: pip)
            let error = try #require(await install(.wheel).error)
            #expect(error.code == code)
            #expect(error.message.contains(words))
            #expect(!error.logTail.isEmpty)
            #expect(engines == [])
        }
    }

    @Test("What pip prints is a detail, not progress")
    func details() async throws {
        try python(pip: "echo Collecting xllamacpp; echo 'WARNING: noise' >&2")
        let details = Box<[String]>([])
        let installer = EngineInstaller(
            home: home, environment: ["PATH": "\(scratch.path)/bin:/usr/bin:/bin"],
            detail: { line in details.change { $0.append(line) } },
            log: { [log] line in log.change { $0.append(line) } })
        _ = try await installer.install(.wheel)
        #expect(details.value.contains("Collecting xllamacpp") && details.value.contains("WARNING: noise"))
        #expect(log.value.map { $0.prefix(9) } == ["getting x", "installed"])
    }

    @Test("A wheel that does not run is not put in place")
    func doesNotRun() async throws {
        try python(pip: "printf '#!/bin/sh\\nexit 1\\n' > \"$0.broken\"; mv \"$0.broken\" \"$0\"; chmod +x \"$0\"")
        let error = try #require(await install(.wheel).error)
        #expect(error.code == .launchFailed)
        #expect(engines == [])
    }

    @Test("The source build unpacks, builds, keeps only the program and shows its progress")
    func source() async throws {
        try python(
            pip: """
                cd "$target"; mkdir -p llama_cpp_python-0.3.36/vendor/llama.cpp/.git; \
                echo x > llama_cpp_python-0.3.36/vendor/llama.cpp/CMakeLists.txt; \
                echo x > llama_cpp_python-0.3.36/vendor/llama.cpp/.git/HEAD; \
                tar -czf llama_cpp_python-0.3.36.tar.gz llama_cpp_python-0.3.36; rm -r llama_cpp_python-0.3.36
                """)
        try scratch.file(
            "bin/cmake",
            """
            #!/bin/sh
            if [ "$1" = -S ]; then
                [ -e "$2/CMakeLists.txt" ] && [ ! -e "$2/.git" ] || exit 1
                mkdir -p "$4"; exit 0
            fi
            for n in 1 2 3 50 51 100; do echo "[$n/100] Building CXX object"; done
            mkdir -p "$2/bin"
            printf '#!/bin/sh\\necho "version: 0 (0c1e57098)"\\n' > "$2/bin/llama-server"
            chmod +x "$2/bin/llama-server"

            """, executable: true)
        for tool in ["ninja", "c++"] { try scratch.file("bin/\(tool)", "#!/bin/sh\n", executable: true) }
        let engine = try await install(.source).get()
        #expect(engine.origin == .source)
        #expect(engine.version == "0 (0c1e57098)")
        #expect(engine.leading == [])
        let folder = "\(home)/engines/llama-server-0c1e57098"
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["llama-server", "manifest.json"])
        let percents = log.value.filter { $0.contains("%") }
        #expect(percents == ["1 % (1 of 100)", "50 % (50 of 100)", "100 % (100 of 100)"])
    }

    @Test("A build that fails is an error with the compiler's words, and leaves nothing behind")
    func sourceFails() async throws {
        try python(
            pip:
                "cd \"$target\"; mkdir llama_cpp_python-0.3.36; tar -czf llama_cpp_python-0.3.36.tar.gz llama_cpp_python-0.3.36"
        )
        try scratch.file("bin/cmake", "#!/bin/sh\necho 'x.cpp:1: error: no such thing' >&2\nexit 1\n", executable: true)
        for tool in ["ninja", "c++"] { try scratch.file("bin/\(tool)", "#!/bin/sh\n", executable: true) }
        let error = try #require(await install(.source).error)
        #expect(error.code == .buildFailed)
        #expect(error.message == "configuring failed: x.cpp:1: error: no such thing")
        #expect(engines == [])
    }

    @Test("Missing build tools are named together, with the line that gets them")
    func missingTools() async throws {
        let error = try #require(await install(.source, path: "/nowhere").error)
        #expect(error.code == .missingTools)
        #expect(error.message.hasPrefix("building llama-server needs cmake, ninja, c++, tar, not found on PATH."))
        #expect(error.message.contains("apt-get install -y cmake ninja-build g++"))
    }
}
