/// One reading of a header, from its first byte to its last.
struct GGUFParser: ~Copyable {
    /// What is being read, for the sentence that says where a fault is.
    private enum Place {
        case beginning
        case key(UInt64)
        case value(String)
        case tensor(UInt64)
        case named(String)

        var words: String {
            switch self {
            case .beginning: "its beginning"
            case .key(let number): "its key \(number)"
            case .value(let key): "the value of \"\(Shown.text(key))\""
            case .tensor(let number): "the name of tensor \(number)"
            case .named(let name): "the description of tensor \"\(Shown.text(name))\""
            }
        }
    }

    private var cursor: GGUFCursor
    private var place = Place.beginning
    /// Bytes of what is kept of values so far.
    private var kept = 0

    init(_ cursor: consuming GGUFCursor) { self.cursor = cursor }

    mutating func header() throws(GGUFFault) -> GGUFHeader {
        let version = try version()
        let tensorCount = try cursor.number(UInt64.self)
        let keyCount = try cursor.number(UInt64.self)
        guard tensorCount <= GGUFLimits.tensors else {
            throw .wrong("it says that it has \(tensorCount) tensors; \(GGUFLimits.tensors) are the most")
        }
        guard keyCount <= GGUFLimits.keys else {
            throw .wrong("it says that it has \(keyCount) keys; \(GGUFLimits.keys) are the most")
        }
        let values = try values(keyCount)
        let alignment = try Self.alignment(values)
        var tensors = try tensors(tensorCount)
        place = .beginning
        let dataStart = try Self.padded(cursor.position, to: alignment)
        try TensorLayout.settle(&tensors, dataStart: dataStart, fileBytes: cursor.size, alignment: alignment)
        return GGUFHeader(
            version: version, values: values, tensors: tensors, dataStart: dataStart, fileBytes: cursor.size)
    }

    /// - Parameter name: the file's, fit for a sentence.
    func error(_ fault: GGUFFault, _ name: String) -> EngineError {
        fault.error(in: name, at: place.words, cursor.position, of: cursor.size)
    }

    private mutating func version() throws(GGUFFault) -> UInt32 {
        guard try cursor.number(UInt32.self) == 0x4655_4747 else { throw .wrong("it does not begin with \"GGUF\"") }
        let version = try cursor.number(UInt32.self)
        // A version in the other byte order is at least 2^24; so llama.cpp tells them, too.
        guard version & 0xFFFF != 0 || version == 0 else {
            throw .wrong("it is big-endian; convert it to little-endian")
        }
        guard version == 2 || version == 3 else {
            throw .wrong("it is of version \(version) of the format; versions 2 and 3 can be read")
        }
        return version
    }

    // MARK: - Keys and values

    private mutating func values(_ count: UInt64) throws(GGUFFault) -> [String: GGUFValue] {
        var values: [String: GGUFValue] = [:]
        for number in 0..<count {
            place = .key(number)
            let length = try cursor.number(UInt64.self)
            guard length > 0, length <= GGUFLimits.keyBytes else {
                throw .wrong("its key \(number) has \(length) bytes; 1 to \(GGUFLimits.keyBytes) are allowed")
            }
            let key = String(decoding: try cursor.bytes(Int(length)), as: UTF8.self)
            place = .value(key)
            let value = try value(key)
            guard values.updateValue(value, forKey: key) == nil else {
                throw .wrong("the key \"\(Shown.text(key))\" stands there twice")
            }
        }
        return values
    }

    private mutating func value(_ key: String) throws(GGUFFault) -> GGUFValue {
        let kind = try kind(key)
        guard kind == .array else { return try scalar(kind) }
        let element = try self.kind(key)
        let count = try cursor.number(UInt64.self)
        let room = element == .string ? GGUFLimits.texts : GGUFLimits.numbers
        // A vocabulary is counted, however small.
        guard element != .array, count <= room, !key.hasPrefix("tokenizer.ggml.") else {
            if element == .array { try skipLists(count, key) } else { try skip(count, of: element) }
            return .list(GGUFList(count: count, elements: nil))
        }
        var elements: [GGUFValue] = []
        for _ in 0..<count { elements.append(try scalar(element)) }
        kept += elements.count * MemoryLayout<GGUFValue>.stride
        return .list(GGUFList(count: count, elements: kept <= GGUFLimits.keptBytes ? elements : nil))
    }

    private mutating func kind(_ key: String) throws(GGUFFault) -> GGUFKind {
        let number = try cursor.number(UInt32.self)
        guard let kind = GGUFKind(rawValue: number) else {
            throw .wrong(
                "the value of \"\(Shown.text(key))\" is of the unknown kind \(number), before byte \(cursor.position)")
        }
        return kind
    }

    private mutating func scalar(_ kind: GGUFKind) throws(GGUFFault) -> GGUFValue {
        switch kind {
        case .uint8: return .integer(Int64(try cursor.number(UInt8.self)))
        case .int8: return .integer(Int64(try cursor.number(Int8.self)))
        case .uint16: return .integer(Int64(try cursor.number(UInt16.self)))
        case .int16: return .integer(Int64(try cursor.number(Int16.self)))
        case .uint32: return .integer(Int64(try cursor.number(UInt32.self)))
        case .int32: return .integer(Int64(try cursor.number(Int32.self)))
        case .int64: return .integer(try cursor.number(Int64.self))
        case .uint64:
            let number = try cursor.number(UInt64.self)
            return Int64(exactly: number).map { .integer($0) } ?? .unsigned(number)
        case .float32: return .real(Double(Float(bitPattern: try cursor.number(UInt32.self))))
        case .float64: return .real(Double(bitPattern: try cursor.number(UInt64.self)))
        case .bool: return .flag(try cursor.number(UInt8.self) != 0)
        case .string, .array: return try text()
        }
    }

    private mutating func text() throws(GGUFFault) -> GGUFValue {
        let length = try cursor.number(UInt64.self)
        guard length <= GGUFLimits.textBytes, kept + Int(length) <= GGUFLimits.keptBytes else {
            try cursor.skip(length)
            return .longText(bytes: length)
        }
        kept += Int(length)
        return .text(String(decoding: try cursor.bytes(Int(length)), as: UTF8.self))
    }

    /// Passes over elements of one kind, no lists.
    private mutating func skip(_ count: UInt64, of kind: GGUFKind) throws(GGUFFault) {
        if let width = kind.width {
            let (bytes, overflow) = count.multipliedReportingOverflow(by: width)
            guard !overflow else { throw .tooLong }
            return try cursor.skip(bytes)
        }
        // Every text takes eight bytes at least, so this ends with the file.
        var left = count
        while left > 0 {
            try cursor.skip(try cursor.number(UInt64.self))
            left -= 1
        }
    }

    /// Passes over lists of lists; every one takes twelve bytes at least.
    private mutating func skipLists(_ count: UInt64, _ key: String) throws(GGUFFault) {
        /// What each list that we are in has still to come, the outermost first.
        var open = [count]
        while let left = open.popLast() {
            guard left > 0 else { continue }
            open.append(left - 1)
            let element = try kind(key)
            let count = try cursor.number(UInt64.self)
            guard element == .array else {
                try skip(count, of: element)
                continue
            }
            guard open.count < GGUFLimits.depth else {
                throw .wrong("the value of \"\(Shown.text(key))\" nests lists more than \(GGUFLimits.depth) deep")
            }
            open.append(count)
        }
    }

    private static func alignment(_ values: [String: GGUFValue]) throws(GGUFFault) -> UInt64 {
        guard let value = values["general.alignment"] else { return 32 }
        guard case .integer(let number) = value, let alignment = UInt32(exactly: number), alignment.nonzeroBitCount == 1
        else { throw .wrong("its general.alignment is not a power of two") }
        return UInt64(alignment)
    }

    // MARK: - Tensors

    private mutating func tensors(_ count: UInt64) throws(GGUFFault) -> [GGUFHeader.Tensor] {
        var tensors: [GGUFHeader.Tensor] = []
        var names: Set<String> = []
        for number in 0..<count {
            place = .tensor(number)
            let length = try cursor.number(UInt64.self)
            guard length <= GGUFLimits.tensorNameBytes else {
                throw .wrong(
                    "the name of tensor \(number) has \(length) bytes; \(GGUFLimits.tensorNameBytes) are the most")
            }
            let name = String(decoding: try cursor.bytes(Int(length)), as: UTF8.self)
            place = .named(name)
            guard names.insert(name).inserted else {
                throw .wrong("the tensor \"\(Shown.text(name))\" stands there twice")
            }
            let dimensions = try dimensions(name)
            let type = try cursor.number(UInt32.self)
            tensors.append(
                GGUFHeader.Tensor(
                    name: name, type: type, dimensions: dimensions,
                    elements: try TensorLayout.elements(dimensions, name), offset: try cursor.number(UInt64.self),
                    bytes: 0))
        }
        return tensors
    }

    private mutating func dimensions(_ name: String) throws(GGUFFault) -> [UInt64] {
        let count = try cursor.number(UInt32.self)
        guard count <= GGUFLimits.dimensions else {
            throw .wrong(
                "the tensor \"\(Shown.text(name))\" has \(count) dimensions; \(GGUFLimits.dimensions) are the most")
        }
        var dimensions: [UInt64] = []
        for _ in 0..<count { dimensions.append(try cursor.number(UInt64.self)) }
        return dimensions
    }

    static func padded(_ position: UInt64, to alignment: UInt64) throws(GGUFFault) -> UInt64 {
        let rest = position % alignment
        guard rest > 0 else { return position }
        let (padded, overflow) = position.addingReportingOverflow(alignment - rest)
        guard !overflow else { throw .tooLong }
        return padded
    }
}
