import MartletWire
import NIOCore

/// Frames whose only event was a delta, and what the edit made of what stood before and behind its text.
///
/// The reader has found a delta at that very place, so the text between is a string's content, and the edit, which
/// never looks at it, would do the same again. As with the reader's templates, any other frame makes all forgotten.
struct FrameTemplates: Sendable {
    private static let limit = 4
    /// So many in vain, and learning pauses: this upstream's chunks differ in more than their text.
    private static let patience = 8
    private static let pause = 64

    struct Template: Sendable {
        var head: ByteBuffer
        var tail: ByteBuffer
        /// Nil when the frame goes on as it is.
        var replacement: (head: ByteBuffer, tail: ByteBuffer)?
        var call: ChunkTemplates.CallPlace?
    }

    private var templates: [Template] = []
    private var inVain = 0

    var wantsMore: Bool { inVain < Self.patience || inVain.isMultiple(of: Self.pause) }

    /// - Parameter text: of the only delta of the frame.
    mutating func match(_ frame: ByteBuffer, _ text: ByteBuffer) -> Template? {
        guard !templates.isEmpty, let offset = frame.offset(of: text) else { return nil }
        for template in templates where template.head.readableBytes == offset {
            guard let range = frame.between(template.head, template.tail), range.count == text.readableBytes else {
                continue
            }
            inVain = 0
            return template
        }
        return nil
    }

    mutating func learn(_ template: Template) {
        inVain += 1
        if templates.count == Self.limit { templates.removeLast() }
        templates.insert(template, at: 0)
    }

    mutating func skipLearning() { inVain += 1 }

    mutating func forget() { templates.removeAll(keepingCapacity: true) }
}
