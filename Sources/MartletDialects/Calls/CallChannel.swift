import MartletWire
import NIOCore

/// A block of the upstream's, and what is to become of its deltas.
struct CallChannel: Sendable {
    var block: BlockID
    var scanner: CallScanner
    /// The upstream has closed the block.
    var isClosed = false
    /// Deltas that wait, in the order of their coming; with the bytes of each, unescaped.
    private var queue: [(text: EscapedText, count: Int)] = []

    init(block: BlockID, scanner: CallScanner) {
        self.block = block
        self.scanner = scanner
    }

    /// Behind a marker deltas are joined: there may be many, and each keeps what was read with it.
    mutating func add(_ text: EscapedText, _ count: Int) {
        guard scanner.isCollecting, let last = queue.indices.last else { return queue.append((text, count)) }
        queue[last].text.append(text)
        queue[last].count += count
    }

    /// Takes so many bytes of text from the front of the queue.
    mutating func take(_ count: Int, _ give: (EscapedText) -> Void) {
        var left = count
        var whole = 0
        while whole < queue.count, queue[whole].count <= left {
            left -= queue[whole].count
            give(queue[whole].text)
            whole += 1
        }
        queue.removeFirst(whole)
        guard left > 0, let first = queue.first else { return }
        let bytes = Array(first.text.unescaped().utf8)
        give(EscapedText(escaping: String(decoding: bytes[..<left], as: UTF8.self)))
        queue[0] = (EscapedText(escaping: String(decoding: bytes[left...], as: UTF8.self)), bytes.count - left)
    }
}
