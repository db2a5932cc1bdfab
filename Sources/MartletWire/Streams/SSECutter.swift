internal import CScan
internal import NIOCore

/// Finds where a frame ends: behind its first blank line. Fed the frame's bytes read by read.
///
/// A line ends with CR LF, LF or CR. When a CR makes a blank line, an LF belongs to it only if the line before ended
/// with both: so a stream of bare CRs is never held back for a byte that does not come, and a CR LF is not torn apart
/// when a read ends inside it. An LF left over is a blank line more, which means nothing.
struct SSECutter {
    private var isAtLineStart = true
    /// The last line ended with CR, and LF may follow.
    private var isBehindCR = false
    /// The last line ended with CR LF.
    private var endsAreCRLF = false
    /// The blank line's CR has been seen, and its LF is awaited.
    private(set) var isAtBlankLine = false

    /// The length of the frame's part of these bytes; nil when all of them are of the frame and it has not ended.
    mutating func end(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return nil }
        var at = 0
        while at < bytes.count {
            let byte = start[at]
            if isAtBlankLine { return byte == UInt8(ascii: "\n") ? at + 1 : at }
            if isBehindCR {
                isBehindCR = false
                endsAreCRLF = byte == UInt8(ascii: "\n")
                if endsAreCRLF {
                    at += 1
                    continue
                }
            }
            if isAtLineStart {
                if byte == UInt8(ascii: "\n") { return at + 1 }
                if byte == UInt8(ascii: "\r") {
                    if !endsAreCRLF { return at + 1 }
                    isAtBlankLine = true
                    at += 1
                    continue
                }
                isAtLineStart = false
            }
            at = cscan_line_end(start, bytes.count, at)
            guard at < bytes.count else { return nil }
            isBehindCR = start[at] == UInt8(ascii: "\r")
            endsAreCRLF = false
            isAtLineStart = true
            at += 1
        }
        return nil
    }
}
