import Foundation

/// Writes GGUF files as models have them, and as nobody should; the weights are holes in the file.
package struct GGUFWriter: Sendable {
    package enum Value: Sendable {
        case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32)
        case uint64(UInt64), int64(Int64), float32(Float), float64(Double)
        case flag(Bool)
        case text(String)
        /// The kind of the elements, as the format numbers it, and the elements.
        case list(UInt32, [Value])
        /// A kind, known or not, and what stands behind it.
        case raw(UInt32, [UInt8])
    }

    package struct Tensor: Sendable {
        package var name: String
        package var type: UInt32
        package var dimensions: [UInt64]
        /// Of its data.
        package var bytes: UInt64
        /// Nil: behind the one before.
        package var offset: UInt64?

        package init(
            _ name: String, type: UInt32, _ dimensions: [UInt64], bytes: UInt64, offset: UInt64? = nil
        ) {
            self.name = name
            self.type = type
            self.dimensions = dimensions
            self.bytes = bytes
            self.offset = offset
        }
    }

    package var version: UInt32 = 3
    package var keys: [(String, Value)]
    package var tensors: [Tensor]
    package var alignment: UInt64 = 32
    /// In place of the true ones.
    package var keyCount: UInt64?
    package var tensorCount: UInt64?

    package init(_ keys: [(String, Value)] = [], tensors: [Tensor] = []) {
        self.keys = keys
        self.tensors = tensors
    }

    /// All up to the tensors' data.
    package var header: [UInt8] {
        var bytes = Array("GGUF".utf8) + Self.little(version)
        bytes += Self.little(tensorCount ?? UInt64(tensors.count)) + Self.little(keyCount ?? UInt64(keys.count))
        for (key, value) in keys { bytes += Self.text(key) + Self.little(Self.kind(value)) + Self.bytes(value) }
        var end: UInt64 = 0
        for tensor in tensors {
            let offset = tensor.offset ?? end
            bytes += Self.text(tensor.name) + Self.little(UInt32(tensor.dimensions.count))
            for dimension in tensor.dimensions { bytes += Self.little(dimension) }
            bytes += Self.little(tensor.type) + Self.little(offset)
            end = padded(offset &+ tensor.bytes)
        }
        return bytes
    }

    /// The whole file, weights included.
    package var file: [UInt8] {
        let header = header
        return header + [UInt8](repeating: 0, count: Int(size(header)) - header.count)
    }

    /// Writes the file without taking room for its weights.
    package func write(to path: String) throws {
        let header = header
        try Data(header).write(to: URL(filePath: path))
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? handle.close() }
        try handle.truncate(atOffset: size(header))
    }

    private func size(_ header: [UInt8]) -> UInt64 {
        guard !tensors.isEmpty else { return UInt64(header.count) }
        return tensors.reduce(padded(UInt64(header.count))) { padded($0) + $1.bytes }
    }

    private func padded(_ count: UInt64) -> UInt64 { (count &+ alignment &- 1) / alignment &* alignment }

    package static func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }

    package static func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private static func kind(_ value: Value) -> UInt32 {
        switch value {
        case .uint8: 0
        case .int8: 1
        case .uint16: 2
        case .int16: 3
        case .uint32: 4
        case .int32: 5
        case .float32: 6
        case .flag: 7
        case .text: 8
        case .list: 9
        case .uint64: 10
        case .int64: 11
        case .float64: 12
        case .raw(let kind, _): kind
        }
    }

    private static func bytes(_ value: Value) -> [UInt8] {
        switch value {
        case .uint8(let number): little(number)
        case .int8(let number): little(number)
        case .uint16(let number): little(number)
        case .int16(let number): little(number)
        case .uint32(let number): little(number)
        case .int32(let number): little(number)
        case .uint64(let number): little(number)
        case .int64(let number): little(number)
        case .float32(let number): little(number.bitPattern)
        case .float64(let number): little(number.bitPattern)
        case .flag(let flag): [flag ? 1 : 0]
        case .text(let text): Self.text(text)
        case .list(let kind, let elements): little(kind) + little(UInt64(elements.count)) + elements.flatMap(bytes)
        case .raw(_, let bytes): bytes
        }
    }
}
