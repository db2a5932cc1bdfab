import FoundationEssentials
import MartletCommands

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What commands take from the process they run in.
enum Surroundings {
    static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        return String(cString: value)
    }

    /// `MARTLET_HOME`, else `~/.martlet`.
    static var home: String {
        if let home = variable("MARTLET_HOME"), !home.isEmpty { return home }
        return (variable("HOME") ?? ".") + "/.martlet"
    }

    /// All variables.
    static var environment: [String: String] { ProcessInfo.processInfo.environment }

    /// The file of this program, also when it was called by a link's name.
    static var executable: String {
        #if os(Linux)
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink("/proc/self/exe", &buffer, buffer.count)
            guard count > 0 else { return CommandLine.arguments[0] }
            return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        #else
            var size = UInt32(PATH_MAX)
            var buffer = [CChar](repeating: 0, count: Int(size))
            guard _NSGetExecutablePath(&buffer, &size) == 0 else { return CommandLine.arguments[0] }
            return String(cString: buffer)
        #endif
    }

    static var path: String { variable("PATH") ?? "/usr/bin:/bin" }

    /// A line on stdout, at once, also into a pipe. Ends the program when nobody reads that any more.
    @Sendable static func say(_ line: String) { put(line + "\n") }

    /// The same of a server, which goes on all the same.
    @Sendable static func announce(_ line: String) {
        print(line)
        fflush(nil)
    }

    /// A sentence for people: on stdout, but under the name of `lms`, which keeps that for what programs read.
    @Sendable static func tell(_ line: String) { isLMS ? complain(line) : say(line) }

    /// The program was called by the name of LM Studio's own command.
    static let isLMS = LMSWords.isMeant(by: CommandLine.arguments.first ?? "")

    /// How the program calls itself in its complaints.
    static var program: String { isLMS ? "lms" : "martlet" }

    /// Escape sequences may be written to a descriptor (no-color.org).
    static func hasColour(_ descriptor: Int32) -> Bool {
        isTerminal(descriptor) && (variable("NO_COLOR") ?? "").isEmpty && variable("TERM") != "dumb"
    }

    /// Bars may move on stderr.
    static var movesBars: Bool { isTerminal(2) && variable("TERM") != "dumb" }

    /// Milliseconds since 1970.
    static var now: Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }

    /// A line on stderr.
    @Sendable static func complain(_ line: String) {
        let text = line + "\n"
        _ = text.withCString { write(2, $0, strlen($0)) }
    }

    /// Text on stdout as it is, at once. Ends the program when nobody reads that any more: the signal that would is
    /// ignored for the sake of connections.
    static func put(_ text: String) {
        print(text, terminator: "")
        if fflush(nil) != 0, errno == EPIPE { leave(ExitCodes.unread) }
    }

    /// Ends the program when nobody reads stdout any more, also while there is nothing to write. Until it is cancelled.
    static func endWhenUnread() async {
        repeat {
            var output = pollfd(fd: 1, events: 0, revents: 0)
            if poll(&output, 1, 0) > 0, output.revents & Int16(POLLERR | POLLHUP) != 0 { leave(ExitCodes.unread) }
        } while (try? await Task.sleep(for: .milliseconds(500))) != nil
    }

    /// Ends the program, whatever it does, with the terminal as it was.
    static func leave(_ code: Int32) -> Never {
        LineTerminal.restore()
        _exit(code)
    }

    static func putAside(_ text: String) {
        _ = text.withCString { write(2, $0, strlen($0)) }
    }

    /// Whether a descriptor is a terminal: 0, 1 or 2.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) != 0 }

    /// Of the terminal that stderr is; 80 where it does not say.
    static var columns: Int { size.columns }

    /// Of the terminal that stderr is; 24 rows of 80 columns where it does not say.
    static var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0 else { return (80, 24) }
        return (size.ws_col > 0 ? Int(size.ws_col) : 80, size.ws_row > 0 ? Int(size.ws_row) : 24)
    }

    /// A line that the user types in answer to a question on stderr; nil at the end of the input.
    static func answer(to question: String) -> String? {
        putAside(question)
        return readLine()
    }

    /// All of stdin when it is a pipe or a file; nil on a terminal, or when there is nothing. At most 32 MiB are read.
    static func pipedInput() -> String? {
        guard isatty(0) == 0 else { return nil }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count < 32 << 20 {
            let count = read(0, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.isEmpty ? nil : text
    }
}
