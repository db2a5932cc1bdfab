#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif
import MartletEngine
import Synchronization
import Testing

/// What was waited for did not come to pass within the bound.
struct NeverHappened: Error, CustomStringConvertible {
    var description: String
}

/// Polls until the condition holds.
///
/// The bound is long because every test of the package may run beside this one on two slow cores; only a failure takes it.
/// - Throws: `NeverHappened` when the bound is over; an issue is recorded too, for callers that cannot throw.
func eventually(
    _ what: String, within limit: Duration = .seconds(120), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async -> Bool
) async throws {
    let start = ContinuousClock.now
    while ContinuousClock.now - start < limit {
        if await condition() { return }
        try? await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("never: \(what)", sourceLocation: sourceLocation)
    throw NeverHappened(description: what)
}

/// A value written by one task and read by another.
final class Box<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>

    init(_ value: Value) { storage = Mutex(value) }
    var value: Value { storage.withLock { $0 } }
    func change(_ body: @Sendable (inout Value) -> Void) {
        storage.withLock { body(&$0) }
    }
}

/// A folder of its own for one test, short enough for sockets.
final class Scratch: Sendable {
    let path: String

    init() {
        path = "/tmp/me-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file, with the folders above it.
    @discardableResult
    func file(_ name: String, _ text: String = "", executable: Bool = false) throws -> String {
        let file = "\(path)/\(name)"
        let folder = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)])
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: file))
        if executable { chmod(file, 0o755) }
        return file
    }
}

enum Fixture {
    private static let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    static func path(_ name: String) -> String { "/\(folder)/Fixtures/\(name)" }

    static func fakeEngine(
        _ environment: [String: String] = [:], origin: EngineBinary.Origin = .configured
    ) -> EngineBinary {
        EngineBinary(
            executable: "python3", leading: ["-I", path("fake_engine.py")], environment: environment,
            version: "1 (fake)",
            backend: "CPU", origin: origin)
    }

    static let model = InstalledModel(
        id: "tiny", path: path("tiny-chat.gguf"), bytes: 1_871_200, file: "tiny-chat.gguf")

    static func plan(
        _ scratch: Scratch, fake behaviour: String = "", loadTimeout: Duration = .seconds(120),
        grace: Duration = .seconds(5)
    ) -> LaunchPlan {
        LaunchPlan(
            binary: fakeEngine(), model: model, socketPath: "\(scratch.path)/1.sock", parallel: 2,
            extra: behaviour.isEmpty ? [] : ["--fake", behaviour], loadTimeout: loadTimeout, grace: grace)
    }
}

/// One HTTP request over a Unix socket; blocks, which is all a test needs.
enum SocketClient {
    /// The status and everything after the head; nil when nobody answers.
    static func request(_ socketPath: String, _ target: String, method: String = "GET", body: String = "") -> (
        status: Int, body: String
    )? {
        #if canImport(Darwin)
            let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #else
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard socketPath.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socketPath.utf8)) }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { return nil }
        let text =
            "\(method) \(target) HTTP/1.1\r\nhost: engine\r\nconnection: close\r\ncontent-type: application/json\r\n"
            + "content-length: \(body.utf8.count)\r\n\r\n\(body)"
        let bytes = Array(text.utf8)
        guard bytes.withUnsafeBytes({ send(descriptor, $0.baseAddress, $0.count, noSignal) }) == bytes.count else {
            return nil
        }
        var reply: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count > 0 else { break }
            reply += buffer[..<count]
        }
        let whole = String(decoding: reply, as: UTF8.self)
        guard let status = whole.split(separator: " ").dropFirst().first.flatMap({ Int($0) }),
            let head = whole.firstRange(of: "\r\n\r\n")
        else { return nil }
        return (status, String(whole[head.upperBound...]))
    }

    #if canImport(Darwin)
        private static let noSignal: Int32 = 0
    #else
        private static let noSignal = Int32(MSG_NOSIGNAL)
    #endif

    /// As the server's own probe: 200 is ready, anything else is not yet.
    static let probe: LlamaServer.Prober = { path in
        request(path, "/health")?.status == 200 ? .ready : .notYet
    }
}

/// Runs an engine in a task and lets a test watch it.
final class Watched: Sendable {
    let events = Box<[LlamaServer.Event]>([])
    let result = Box<Result<Void, EngineError>?>(nil)
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ plan: LaunchPlan, probe: @escaping LlamaServer.Prober = SocketClient.probe) {
        let task = Task { [events, result] in
            let outcome: Result<Void, EngineError>
            do throws(EngineError) {
                try await LlamaServer.run(plan, probe: probe) { event in events.change { $0.append(event) } }
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            result.change { $0 = outcome }
        }
        self.task.withLock { $0 = task }
    }

    /// A test that gave up leaves no engine behind.
    deinit { cancel() }

    func cancel() { task.withLock { $0 }?.cancel() }

    /// Waits for the end and returns its error, nil when it ended as it should.
    func error() async -> EngineError? {
        await task.withLock { $0 }?.value
        guard case .failure(let error) = result.value else { return nil }
        return error
    }

    var isReady: Bool { events.value.contains { if case .ready = $0 { true } else { false } } }

    var process: Int32? {
        for case .started(let process) in events.value { return process }
        return nil
    }
}
