import MartletEngine
package import MartletGateway
import NIOCore
import NIOHTTP1
package import NIOPosix
import Synchronization

/// The mocks of this process, each behind a Unix socket in a private folder, so that the gateway reaches them as it
/// does any other upstream. Only what a configuration names is ever started.
package final class MockHost: Sendable {
    private struct State {
        var folder: SocketFolder?
        var channels: [any Channel] = []
    }

    private let group: MultiThreadedEventLoopGroup
    private let home: String
    private let state = Mutex(State())

    package init(group: MultiThreadedEventLoopGroup, home: String) {
        self.group = group
        self.home = home
    }

    /// Starts a mock.
    /// - Returns: where it listens.
    /// - Throws: `AppError` when no folder or socket can be made.
    package func start(_ settings: MockSettings) async throws(AppError) -> Origin {
        let path = try socketPath()
        do {
            let channel = try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(MockHandler(settings))
                    }
                }
                .bind(unixDomainSocketPath: path).get()
            state.withLock { $0.channels.append(channel) }
        } catch {
            throw AppError("the mock cannot listen on its socket: \(error)")
        }
        return Origin(address: .unix(path: path))
    }

    private func socketPath() throws(AppError) -> String {
        do throws(EngineError) {
            return try state.withLock { state throws(EngineError) in
                let folder: SocketFolder
                if let made = state.folder { folder = made } else { folder = try SocketFolder(home: home) }
                state.folder = folder
                return folder.socketPath(UInt64(state.channels.count))
            }
        } catch {
            throw AppError(error.message)
        }
    }

    /// Ends the mocks and removes their folder.
    package func close() {
        let ended = state.withLock { state in
            defer { state = State() }
            return state
        }
        for channel in ended.channels { channel.close(promise: nil) }
    }
}
