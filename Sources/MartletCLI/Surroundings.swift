import FoundationEssentials

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

    static var path: String { variable("PATH") ?? "/usr/bin:/bin" }

    /// A line on stdout, at once, also into a pipe.
    @Sendable static func say(_ line: String) {
        print(line)
        fflush(nil)
    }

    /// A line on stderr.
    @Sendable static func complain(_ line: String) {
        let text = line + "\n"
        _ = text.withCString { write(2, $0, strlen($0)) }
    }

    /// Text on stdout as it is, at once.
    static func put(_ text: String) {
        print(text, terminator: "")
        fflush(nil)
    }

    static func putAside(_ text: String) {
        _ = text.withCString { write(2, $0, strlen($0)) }
    }

    /// Whether a descriptor is a terminal: 0, 1 or 2.
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) != 0 }

    /// Of the terminal that stderr is; 80 where it does not say.
    static var columns: Int {
        var size = winsize()
        guard ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// A line that the user types in answer to a question on stderr; nil at the end of the input.
    static func answer(to question: String) -> String? {
        putAside(question)
        return readLine()
    }

    /// On SIGINT ends the process at once, and with it its connections, which cancels what they ask for; says so first.
    static func sayWhenInterrupted() {
        signal(SIGINT) { _ in
            // In a signal's handler nothing may be allocated.
            let words: StaticString = "\nmartlet: cancelled\n"
            _ = write(2, words.utf8Start, words.utf8CodeUnitCount)
            _exit(ExitCodes.interrupted)
        }
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
