#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Process identifiers and groups, by the system's own calls.
package enum ProcessGroup {
    /// How long to wait for killed processes to vanish, which takes them milliseconds.
    static let vanishing: Duration = .seconds(2)
    /// Between two looks.
    private static let interval: Duration = .milliseconds(5)

    /// Whether any process of the group lives. The dead whom their parent has not collected yet do not count: they hold
    /// neither memory nor files, and process 1 takes its time.
    package static func isAlive(_ group: Int32) -> Bool {
        guard kill(-group, 0) == 0 else { return false }
        #if os(Linux)
            return !members(of: group).isEmpty
        #else
            return true
        #endif
    }

    /// Waits until no process of the group is left; the leader has been collected already.
    ///
    /// Orphans of the group are handed to process 1, which may be this very process (in a container): then nobody else
    /// collects them, so we do.
    package static func vanish(_ group: Int32) async {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < vanishing {
            while waitpid(-group, nil, WNOHANG) > 0 {}
            guard isAlive(group) else { return }
            try? await Task.sleep(for: interval)
        }
    }

    #if os(Linux)
        /// The group's processes that live, as `/proc/<pid>/stat` has them (proc_pid_stat(5), fields 3 and 5).
        package static func members(of group: Int32) -> [Int32] {
            names(in: "/proc").compactMap { name in
                guard let process = Int32(name), let stat = firstBytes(of: "/proc/\(name)/stat"),
                    let end = stat.lastIndex(of: ")")
                else { return nil }
                let fields = stat[end...].split(separator: " ").dropFirst()
                guard fields.count > 2, fields[fields.startIndex + 2] == String(group) else { return nil }
                return ["Z", "X"].contains(fields[fields.startIndex]) ? nil : process
            }
        }

        private static func names(in folder: String) -> [String] {
            guard let entries = opendir(folder) else { return [] }
            defer { closedir(entries) }
            var names: [String] = []
            while let entry = readdir(entries) {
                names.append(
                    withUnsafeBytes(of: &entry.pointee.d_name) { name in
                        String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
                    })
            }
            return names
        }

        private static func firstBytes(of path: String) -> String? {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
        }
    #endif
}
