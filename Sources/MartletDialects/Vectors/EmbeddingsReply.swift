import MartletWire
import NIOCore

/// A reply with embeddings, in the form its client asked for: whatever form the upstream's
/// vectors have, the numbers stay.
enum EmbeddingsReply {
    /// The body; it stays as it is where nothing is to be set right, the model's name included.
    /// - Throws: `upstreamBadReply` when it does not hold a vector for each input; `unsupportedParameter` when the
    ///   vectors have not the length that was asked for.
    static func edit(
        _ body: ByteBuffer, _ request: EmbeddingsRequest, model: String
    ) throws(GatewayError) -> ByteBuffer {
        guard var top = try? RawObject(body), let data = top["data"], let elements = try? data.rawElements() else {
            throw .badReply("no list of embeddings")
        }
        guard elements.count == request.count else {
            throw .badReply("\(elements.count) embeddings for \(request.count) inputs")
        }
        var ordered = [ByteBuffer?](repeating: nil, count: request.count)
        var isChanged = false
        for (position, element) in elements.enumerated() {
            guard var entry = try? RawObject(element) else { throw .badReply("an embedding that is no object") }
            let index = entry["index"]?.rawInt ?? position
            guard ordered.indices.contains(index), ordered[index] == nil else {
                throw .badReply("embeddings whose indices are not those of the inputs")
            }
            entry.set("object", .rawString("embedding"))
            entry.set("index", ByteBuffer(string: "\(index)"))
            try convert(&entry, request)
            isChanged = isChanged || entry.isChanged || index != position
            ordered[index] = entry.isChanged ? entry.text : element
        }
        if isChanged { top.set("data", .rawArray(ordered.compactMap(\.self))) }
        top.set("object", .rawString("list"))
        top.set("model", .rawString(model))
        let usage = top["usage"].flatMap { try? RawObject($0) }
        if (usage?["prompt_tokens"]?.rawInt ?? 0) <= 0 {
            let count = request.tokens
            top.set("usage", ByteBuffer(string: "{\"prompt_tokens\":\(count),\"total_tokens\":\(count)}"))
        }
        return top.isChanged ? top.text : body
    }

    /// Puts a vector into the form that was asked for.
    private static func convert(_ entry: inout RawObject, _ request: EmbeddingsRequest) throws(GatewayError) {
        guard let value = entry["embedding"] else { throw .badReply("an entry without its embedding") }
        let length: Int
        switch value.rawKind {
        case .array:
            guard request.isBase64 || request.dimensions != nil else { return }
            guard let floats = Float32Text.floats(value) else {
                throw .badReply("an embedding with something else than numbers in it")
            }
            length = floats.readableBytes / 4
            if request.isBase64 {
                var text = ByteBuffer()
                text.writeEscaped(EscapedText(Base64.encoded(floats)))
                entry.set("embedding", text)
            }
        case .string:
            guard let bytes = value.rawString.flatMap(Base64.bytes), bytes.count.isMultiple(of: 4),
                let list = Float32Text.list(bytes)
            else { throw .badReply("an embedding that is no base64 of numbers") }
            length = bytes.count / 4
            if !request.isBase64 { entry.set("embedding", list) }
        case .object, .number, .bool, .null, nil: throw .badReply("an embedding that is no list of numbers")
        }
        if let dimensions = request.dimensions, dimensions != length {
            throw .unsupported(
                "dimensions", "this model's vectors have \(length) numbers and not \(dimensions); leave it out")
        }
    }
}

extension GatewayError {
    /// A reply that does not answer the request.
    static func badReply(_ what: String) -> GatewayError {
        GatewayError(code: .upstreamBadReply, message: "the upstream sent \(what)")
    }
}
