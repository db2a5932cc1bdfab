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
}
