import MartletWire
import NIOCore

/// Puts the client's spelling of the model in place of the upstream's, and touches nothing else.
///
/// Chunks of one stream begin with the same bytes, and `model` is most often among them: once found, a frame that
/// begins like the last one is spliced without a look at the rest.
struct ModelSplice: Sendable {
    /// As a JSON string, with its quotes.
    private let model: ByteBuffer
    /// A frame's beginning, through the value of `model`.
    private var head: ByteBuffer?
    /// What stands there for the client; nil when that is the same.
    private var spliced: ByteBuffer?

    init(model: String) { self.model = .rawString(model) }

    /// False: the frame goes on as it is.
    mutating func edit(_ frame: SSEFrame, into out: inout ByteBuffer) -> Bool {
        if let head, frame.bytes.begins(with: head) {
            guard let spliced else { return false }
            out.write(spliced, frame.bytes, from: head.readableBytes)
            return true
        }
        guard let data = frame.event?.data, let value = Self.find(in: data) else { return false }
        let isSame = data.part(value) == model
        guard let range = frame.dataRange else {
            guard !isSame else { return false }
            var edited = data.copy(0..<value.lowerBound)
            edited.writeImmutableBuffer(model)
            edited.writeImmutableBuffer(data.part(value.upperBound..<data.readableBytes))
            out.writeFrame(frame, data: edited)
            return true
        }
        let end = range.lowerBound + value.upperBound
        head = frame.bytes.copy(0..<end)
        spliced = nil
        guard !isSame else { return false }
        var replaced = frame.bytes.copy(0..<range.lowerBound + value.lowerBound)
        replaced.writeImmutableBuffer(model)
        out.write(replaced, frame.bytes, from: end)
        spliced = replaced
        return true
    }

    /// The top-level `model`, with its quotes; nil when there is none or the text is no object.
    static func find(in text: ByteBuffer) -> Range<Int>? {
        try? text.walkJSON(loneSurrogates: true) { (walk: inout JSONWalk) throws(JSONError) -> Range<Int>? in
            try walk.enterObject()
            while let key = try walk.nextKey() {
                let value = try walk.skip()
                if walk.key(key, is: "model") { return value }
            }
            return nil
        }
    }
}

extension ByteBuffer {
    /// Writes a beginning and the other's bytes from an offset on, in one step.
    fileprivate mutating func write(_ beginning: ByteBuffer, _ other: ByteBuffer, from offset: Int) {
        let count = beginning.readableBytes + other.readableBytes - offset
        beginning.withUnsafeReadableBytes { beginning in
            other.withUnsafeReadableBytes { other in
                _ = writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
                    room.copyMemory(from: beginning)
                    let rest = UnsafeRawBufferPointer(rebasing: other[offset...])
                    UnsafeMutableRawBufferPointer(rebasing: room[beginning.count...]).copyMemory(from: rest)
                    return count
                }
            }
        }
    }

    func begins(with head: ByteBuffer) -> Bool {
        withUnsafeReadableBytes { bytes in
            head.withUnsafeReadableBytes { $0.count <= bytes.count && $0.begins(bytes, at: 0) }
        }
    }
}
