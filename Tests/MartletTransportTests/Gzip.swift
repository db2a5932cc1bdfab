/// Just enough of gzip (RFC 1952) for the tests.
enum Gzip {
    private static let head: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]

    /// The bytes in a stored block, as they are; at most 65535 of them.
    static func stored(_ bytes: [UInt8]) -> [UInt8] {
        let count = UInt16(bytes.count)
        return head + [1] + little(count) + little(~count) + bytes + little(crc(bytes)) + little(UInt32(bytes.count))
    }

    /// One space repeated by a fixed-Huffman block: 98 KB that unpack to 15 MB.
    static let bomb: [UInt8] = {
        var bits = Bits()
        bits.add(1, 1)
        bits.add(1, 2)
        bits.addReversed(0x30 + 0x20, 8)
        // Length 258 is code 285, 8 bits 11000101; distance 1 is code 0, 5 bits.
        for _ in 0..<60_000 {
            bits.addReversed(0b1100_0101, 8)
            bits.addReversed(0, 5)
        }
        bits.addReversed(0, 7)
        return head + bits.bytes + [0, 0, 0, 0] + [0, 0, 0, 0]
    }()

    private static func little<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
        (0..<(T.bitWidth / 8)).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }

    private static func crc(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = .max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }

    private struct Bits {
        var bytes: [UInt8] = []
        var count = 0

        mutating func add(_ bit: Int) {
            if count % 8 == 0 { bytes.append(0) }
            bytes[bytes.count - 1] |= UInt8(bit) << UInt8(count % 8)
            count += 1
        }

        mutating func add(_ value: Int, _ width: Int) { for at in 0..<width { add(value >> at & 1) } }
        mutating func addReversed(_ value: Int, _ width: Int) {
            for at in (0..<width).reversed() { add(value >> at & 1) }
        }
    }
}
