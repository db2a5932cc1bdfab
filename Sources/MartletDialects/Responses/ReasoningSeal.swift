package import MartletWire
package import NIOCore

/// How reasoning is guarded on its way through a client, which gives it back as `encrypted_content`.
///
/// What a client holds is `gw1.` and base64 of what `close` returns. Without a key (`plain`) nothing is hidden and
/// nothing is proved; with one, `close` encrypts with authentication and `open` refuses all else.
package struct ReasoningSeal: Sendable {
    package var close: @Sendable (ByteBuffer) -> ByteBuffer
    /// Nil for what this gateway has not sealed.
    package var open: @Sendable (ByteBuffer) -> ByteBuffer?

    package init(
        close: @escaping @Sendable (ByteBuffer) -> ByteBuffer, open: @escaping @Sendable (ByteBuffer) -> ByteBuffer?
    ) {
        self.close = close
        self.open = open
    }

    package static var plain: ReasoningSeal { ReasoningSeal(close: { $0 }, open: { $0 }) }

    /// What stands in `encrypted_content`.
    /// - Parameter kept: of a summary: how many of the user's messages before it go on beside it.
    package func sealed(_ reasoning: Reasoning, keeping kept: Int? = nil) -> EscapedText {
        var text = EscapedText(escaping: "\(Reasoning.gatewayMark)")
        text.append(EscapedText(Base64.encoded(close(Self.payload(reasoning, kept)))))
        return text
    }

    /// Nil for what another has encrypted.
    package func opened(_ content: EscapedText) -> Reasoning? { payload(content).flatMap(Self.reasoning) }

    /// A summary, and how many of the user's messages before it go on beside it; nil for all of them.
    func openedSummary(_ content: EscapedText) -> (text: EscapedText, kept: Int?)? {
        guard let payload = payload(content), let text = Self.reasoning(payload)?.text, !text.isEmpty else {
            return nil
        }
        return (text, (try? RawObject(payload))?["k"]?.rawInt)
    }

    private func payload(_ content: EscapedText) -> ByteBuffer? {
        guard content.starts(with: Reasoning.gatewayMark) else { return nil }
        let mark = Reasoning.gatewayMark.utf8CodeUnitCount
        let coded = EscapedText(content.bytes.part(mark..<content.bytes.readableBytes))
        return Base64.bytes(coded).flatMap { open(ByteBuffer(bytes: $0)) }
    }

    // MARK: - What is sealed

    /// `{"t":text,"s":signature,"r":redacted,"k":kept}`, of which what there is. The blobs are Anthropic's.
    private static func payload(_ reasoning: Reasoning, _ kept: Int?) -> ByteBuffer {
        var out = JSONOut(capacity: reasoning.text.bytes.readableBytes + 64)
        out.openObject()
        if !reasoning.text.isEmpty {
            out.key("t")
            out.value(reasoning.text)
        }
        for (kind, key) in blobKeys {
            guard let blob = reasoning.blobs.last(where: { $0.origin == .anthropic && $0.kind == kind }) else {
                continue
            }
            out.key(named: key)
            out.value(blob.text)
        }
        if let kept {
            out.key("k")
            out.value(kept)
        }
        out.closeObject()
        return out.bytes
    }

    private static let blobKeys: [(OpaqueBlob.Kind, String)] = [(.signature, "s"), (.redacted, "r")]

    private static func reasoning(_ payload: ByteBuffer) -> Reasoning? {
        guard let document = try? JSONDocument(checking: payload), document.root == .object,
            let members = try? RawObject(payload)
        else { return nil }
        var reasoning = Reasoning(text: members["t"]?.rawString ?? EscapedText())
        for (kind, key) in blobKeys {
            guard let text = members[key]?.rawString, !text.isEmpty else { continue }
            reasoning.blobs.append(OpaqueBlob(origin: .anthropic, kind: kind, text: text))
        }
        return reasoning
    }
}
