#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif
import MartletProcess

/// The memory of this machine, and how much of it an engine takes.
package enum EngineMemory {
    /// Bytes of RAM, as the system counts them; nil when it does not say. Inside a container that may use less, that.
    package static func total() -> Int64? {
        #if os(Linux)
            guard let total = Disk.read("/proc/meminfo").flatMap({ kilobytes("MemTotal:", in: $0) }) else { return nil }
            return cgroupLimit().map { min($0, total) } ?? total
        #else
            var bytes: Int64 = 0
            var size = MemoryLayout<Int64>.size
            return sysctlbyname("hw.memsize", &bytes, &size, nil, 0) == 0 ? bytes : nil
        #endif
    }

    /// Resident bytes of a process group, pages of mapped weights included; nil when nobody can say.
    package static func resident(group: Int32) -> Int64? {
        #if os(Linux)
            let sum = ProcessGroup.members(of: group).reduce(Int64(0)) { sum, process in
                sum + (Disk.read("/proc/\(process)/status").flatMap { kilobytes("VmRSS:", in: $0) } ?? 0)
            }
            return sum > 0 ? sum : nil
        #else
            var usage = proc_taskinfo()
            let size = Int32(MemoryLayout<proc_taskinfo>.size)
            guard proc_pidinfo(group, PROC_PIDTASKINFO, 0, &usage, size) == size else { return nil }
            return Int64(clamping: usage.pti_resident_size)
        #endif
    }

    #if os(Linux)
        /// What the control group of this process may use (cgroup-v2's `memory.max`), as a container sees its own.
        private static func cgroupLimit() -> Int64? {
            Disk.read("/sys/fs/cgroup/memory.max").flatMap { bytes in
                Int64(String(decoding: bytes, as: UTF8.self).prefix { $0.isNumber })
            }
        }

        /// Bytes of a line such as `MemTotal:  16384 kB` (proc_meminfo(5)).
        static func kilobytes(_ name: String, in file: [UInt8]) -> Int64? {
            for line in String(decoding: file, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
                let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
                return words.dropFirst().first.flatMap { Int64($0) }.map { $0 * 1024 }
            }
            return nil
        }
    #endif
}
