import ArgumentParser
import Martlet
import MartletCommands
import MartletWire

struct LMSServer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Starts, stops and shows the server.",
        subcommands: [Start.self, Stop.self, Status.self])

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Starts a server that runs on by itself, unless one answers already.")

        @OptionGroup var voice: LMSVoice
        @Option(name: .shortAndLong, help: "1 to 65535; the last one, else 1234, when not given.") var port: Int?
        @Option(name: [.long, .customLong("host")], help: "The address to listen on: LMS_SERVER_HOST, else 127.0.0.1.")
        var bind: String?
        @Flag(help: "Let pages of every web site call it.") var cors = false

        func validate() throws {
            if let port, !(1...65_535).contains(port) { throw ValidationError("--port takes 1 to 65535") }
        }

        func run() async throws {
            let server = DetachedServer()
            let port = port ?? server.lastPort ?? LMSAddress.usualPort
            try await server.ensure(bind: bind, port: port, allowsAllOrigins: cors)
            voice.tell("Success! Server is now running on port \(port)")
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops the server that lms server start started.")

        @OptionGroup var voice: LMSVoice

        func run() async throws {
            let server = DetachedServer()
            let port = server.lastPort ?? LMSAddress.usualPort
            if try await server.stop() { return voice.tell("Stopped the server on port \(port).") }
            guard await LMSGreeting.answers(at: LMSAddress(host: LMSAddress.usualHost, port: port)) else {
                throw LMSRefusal("The server is not running.")
            }
            throw LMSRefusal(
                "the server on port \(port) was not started by lms server start, and is left alone: "
                    + "end it where it was started"
            )
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Says whether a server answers, and at which port.")

        @OptionGroup var place: LMSPlace
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let address = try place.address()
            let isRunning = await LMSGreeting.answers(at: address)
            if json { return Surroundings.say(LMSReport.server(port: isRunning ? address.port : nil).text) }
            place.voice.tell(
                isRunning ? "The server is running on port \(address.port)." : "The server is not running.")
        }
    }
}

struct LMSDaemon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon", abstract: "The same server, as headless set-ups start and stop it.",
        subcommands: [Up.self, Down.self, Status.self, Update.self])

    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Starts the server, unless it runs.")

        @OptionGroup var voice: LMSVoice
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let server = DetachedServer()
            try await server.ensure(
                bind: nil, port: server.lastPort ?? LMSAddress.usualPort, allowsAllOrigins: false)
            if json {
                Surroundings.say(LMSReport.daemonUp(process: server.process, version: Martlet.version).text)
            } else {
                voice.tell("The server is running\(server.process.map { " (process \($0))" } ?? "").")
            }
        }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops the server that lms started.")

        @OptionGroup var voice: LMSVoice
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let hasRun = try await DetachedServer().stop()
            if json { return Surroundings.say(LMSReport.daemon(process: nil, isRunning: false).text) }
            voice.tell(hasRun ? "The server has stopped." : "The server was not running.")
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Says whether the server runs.")

        @OptionGroup var place: LMSPlace
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let process = DetachedServer().process
            var isRunning = process != nil
            if !isRunning { isRunning = await LMSGreeting.answers(at: try place.address()) }
            if json { return Surroundings.say(LMSReport.daemon(process: process, isRunning: isRunning).text) }
            place.voice.tell(isRunning ? "The server is running." : "The server is not running.")
        }
    }

    struct Update: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Is not there.", shouldDisplay: false)

        @Argument(parsing: .captureForPassthrough) var rest: [String] = []

        func run() throws {
            throw LMSRefusal("Martlet does not update itself: put a newer program in the place of this one")
        }
    }
}

extension DetachedServer {
    /// Starts it where no server answers yet.
    /// - Parameter bind: nil: `LMS_SERVER_HOST`, else where it runs, else the usual address.
    /// - Throws: `LMSRefusal` when there is none afterwards.
    func ensure(bind: String?, port: Int, allowsAllOrigins: Bool) async throws {
        let wanted = bind ?? Surroundings.variable("LMS_SERVER_HOST")
        let bind = wanted ?? self.bind ?? LMSAddress.usualHost
        if let process, lastPort != port || (self.bind ?? LMSAddress.usualHost) != bind {
            throw LMSRefusal(
                "the server runs already, on port \(lastPort ?? port)\(self.bind.map { " of \($0)" } ?? "") "
                    + "(process \(process)): stop it first, with: lms server stop")
        }
        if await LMSGreeting.answers(at: LMSAddress(host: Self.reached(bind), port: port)) {
            guard allowsAllOrigins else { return }
            throw LMSRefusal("the server on port \(port) runs already, and --cors is for its start: stop it first")
        }
        if let process {
            throw LMSRefusal(
                "the server runs (process \(process)) and does not answer: stop it first, with: lms server stop")
        }
        try await start(bind: bind, port: port, allowsAllOrigins: allowsAllOrigins)
    }
}

struct LMSStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows whether the server is on, and what it has loaded.")

    @OptionGroup var place: LMSPlace

    func run() async throws {
        let address = try place.address()
        var (residents, sizes): ([Resident], [String: Int]) = ([], [:])
        let isOn = await LMSGreeting.answers(at: address)
        if isOn {
            let client = LMSPlace.client(address)
            residents = try await ResidentList.read(client).filter(\.isLoaded)
            for model in try await LMSModels.served(client) { sizes[model.key] = model.size }
        }
        for line in LMSListing.status(port: isOn ? address.port : nil, residents, sizes: sizes) {
            Surroundings.say(TerminalText.safe(line))
        }
    }
}
