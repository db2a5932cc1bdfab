package import NIOCore

/// One server-sent event.
package struct SSEEvent: Sendable, Hashable {
    /// What the `event:` field says; nil when it is missing or empty.
    package var name: ByteBuffer?
    /// The `data:` lines joined by `\n`. One line is a slice of the read, not a copy.
    package var data: ByteBuffer

    package init(name: ByteBuffer? = nil, data: ByteBuffer) {
        self.name = name
        self.data = data
    }

    /// An event without a name is called `message`.
    package func isNamed(_ wanted: StaticString) -> Bool {
        wanted.withUTF8Buffer { wanted in
            guard let name else { return wanted.elementsEqual("message".utf8) }
            return name.withUnsafeReadableBytes { JSONText.same($0, UnsafeRawBufferPointer(wanted)) }
        }
    }

    /// The data is `[DONE]`, spaces around it aside: how the OpenAI dialects end a stream.
    package var isDone: Bool {
        let length = data.readableBytes
        guard length >= 6, length <= 64 else { return false }  // more white space than that nobody sends
        return data.withUnsafeReadableBytes { bytes in
            var low = 0
            var high = bytes.count
            while low < high, bytes[low] == 0x20 || bytes[low] == 0x09 { low += 1 }
            while high > low, bytes[high - 1] == 0x20 || bytes[high - 1] == 0x09 { high -= 1 }
            return bytes[low..<high].elementsEqual("[DONE]".utf8)
        }
    }
}
