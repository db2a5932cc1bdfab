import NIOCore

/// Room for bytes that are written one after another; whoever sets it aside measures them first.
struct ByteRoom {
    private let room: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

    mutating func add(_ text: StaticString) {
        add(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    mutating func add(_ buffer: ByteBuffer) { buffer.withUnsafeReadableBytes { add($0) } }

    private mutating func add(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= room.count - count, "more bytes than were measured")
        UnsafeMutableRawBufferPointer(rebasing: room[count...]).copyMemory(from: bytes)
        count += bytes.count
    }
}

extension ByteBuffer {
    /// Writes several pieces in one step.
    /// - Parameter room: bytes that all pieces have together, or more.
    mutating func write(room: Int, _ pieces: (inout ByteRoom) -> Void) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: room) { bytes in
            var room = ByteRoom(bytes)
            pieces(&room)
            return room.count
        }
    }
}
