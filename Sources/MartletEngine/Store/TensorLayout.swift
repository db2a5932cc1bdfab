/// Where tensors lie in the file, by the rules of llama.cpp (`gguf_init_from_reader` in gguf.cpp): one behind the other
/// in the order of the header, each padded to the alignment, without gaps.
enum TensorLayout {
    /// The product of the dimensions.
    static func elements(_ dimensions: [UInt64], _ name: String) throws(GGUFFault) -> UInt64 {
        var elements: UInt64 = 1
        for dimension in dimensions {
            guard dimension > 0 else { throw .wrong("the tensor \"\(Shown.text(name))\" has a dimension of 0") }
            let (product, overflow) = elements.multipliedReportingOverflow(by: dimension)
            guard !overflow, product <= Int64.max else {
                throw .wrong("the tensor \"\(Shown.text(name))\" has more elements than can be counted")
            }
            elements = product
        }
        return elements
    }

    /// Gives each tensor its bytes and checks that they lie behind those of the one before, and within the file.
    ///
    /// A type that came after us has a size that only the next offset tells: the engine may know it.
    static func settle(
        _ tensors: inout [GGUFHeader.Tensor], dataStart: UInt64, fileBytes: UInt64, alignment: UInt64
    ) throws(GGUFFault) {
        var expected: UInt64 = 0
        var isKnown = true
        for index in tensors.indices {
            let tensor = tensors[index]
            let name = Shown.text(tensor.name)
            guard isKnown ? tensor.offset == expected : tensor.offset >= expected && tensor.offset % alignment == 0
            else {
                throw .wrong("the tensor \"\(name)\" begins at \(tensor.offset), where \(expected) is its place")
            }
            if !isKnown { tensors[index - 1].bytes = tensor.offset - expected }
            expected = tensor.offset
            isKnown = false
            var bytes: UInt64 = 0
            if let type = TensorType(rawValue: tensor.type) {
                bytes = try size(of: tensor, type, name)
                isKnown = true
            }
            let (end, overflow) = tensor.offset.addingReportingOverflow(bytes)
            let (last, beyond) = end.addingReportingOverflow(dataStart)
            guard !overflow, !beyond else { throw .wrong("the tensor \"\(name)\" lies beyond what a file can have") }
            guard last <= fileBytes else { throw .cut(tensor: tensor.name, end: last) }
            tensors[index].bytes = bytes
            if isKnown { expected = try GGUFParser.padded(end, to: alignment) }
        }
        if !isKnown, let last = tensors.indices.last { tensors[last].bytes = fileBytes - dataStart - expected }
    }

    private static func size(
        of tensor: GGUFHeader.Tensor, _ type: TensorType, _ name: String
    ) throws(GGUFFault) -> UInt64 {
        guard (tensor.dimensions.first ?? 1) % type.block.elements == 0 else {
            throw .wrong(
                "the tensor \"\(name)\" has rows of \(tensor.dimensions.first ?? 1) elements; "
                    + "\(type.name) needs a multiple of \(type.block.elements)")
        }
        guard let bytes = type.bytes(of: tensor.elements) else {
            throw .wrong("the tensor \"\(name)\" has more bytes than can be counted")
        }
        return bytes
    }
}
