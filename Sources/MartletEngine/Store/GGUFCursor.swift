#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Goes through the beginning of a file from front to back, reading blocks of it: never more than one block beyond what
/// was asked for, never further than ``GGUFLimits/headerBytes``, and nothing at all of what is skipped.
struct GGUFCursor: ~Copyable {
    /// Bytes of the file when it was opened.
    let size: UInt64
    /// How far we have come; at most `size` and ``GGUFLimits/headerBytes``.
    private(set) var position: UInt64 = 0

    private let descriptor: Int32
    private var block: [UInt8]
    /// Where `block` begins in the file, and how many of its bytes are the file's.
    private var start: UInt64 = 0
    private var filled = 0

    /// - Throws: `.unreadable` when there is no regular file that we may read. A pipe does not make us wait.
    init(_ path: String) throws(GGUFFault) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable(String(cString: strerror(errno))) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .unreadable("it is not a regular file")
        }
        self.descriptor = descriptor
        size = UInt64(clamping: status.st_size)
        block = [UInt8](repeating: 0, count: GGUFLimits.blockBytes)
    }

    deinit { close(descriptor) }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws(GGUFFault) -> Number {
        let width = MemoryLayout<Number>.size
        try load(width)
        let at = Int(position - start)
        position += UInt64(width)
        return block.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: Number.self)) }
    }

    /// - Parameter count: bounded by the caller, since as many are allocated.
    mutating func bytes(_ count: Int) throws(GGUFFault) -> [UInt8] {
        try check(UInt64(count))
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let wanted = min(count - bytes.count, block.count)
            try load(wanted)
            let at = Int(position - start)
            bytes += block[at..<at + wanted]
            position += UInt64(wanted)
        }
        return bytes
    }

    mutating func skip(_ count: UInt64) throws(GGUFFault) {
        try check(count)
        position += count
    }

    /// Sees to it that the next `count` bytes, at most a block, are in `block`.
    private mutating func load(_ count: Int) throws(GGUFFault) {
        try check(UInt64(count))
        if position >= start, position - start <= UInt64(filled), UInt64(filled) - (position - start) >= UInt64(count) {
            return
        }
        start = position
        filled = 0
        while filled < count {
            let read = block.withUnsafeMutableBytes { buffer in
                pread(
                    descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled,
                    off_t(start) + off_t(filled))
            }
            if read < 0 {
                if errno == EINTR { continue }
                throw .unreadable(String(cString: strerror(errno)))
            }
            guard read > 0 else { throw .ends }
            filled += read
        }
    }

    private func check(_ count: UInt64) throws(GGUFFault) {
        guard count <= GGUFLimits.headerBytes - position else { throw .tooLong }
        guard count <= size - position else { throw .ends }
    }
}
