import MartletEngine
import MartletTestSupport
import Testing

/// A header that somebody made to break whoever reads it.
struct HostileHeader: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var bytes: [UInt8]
    var code: EngineError.Code
    /// What the message says.
    var says: String

    init(
        _ name: String, _ bytes: [UInt8], _ says: String, _ code: EngineError.Code = .unreadableModel
    ) {
        testDescription = name
        self.bytes = bytes
        self.code = code
        self.says = says
    }

    static let all: [HostileHeader] = [
        HostileHeader("another kind of file", Array("GGML".utf8) + zeros(100), "does not begin with \"GGUF\""),
        HostileHeader("version 0", versioned(0), "of version 0"),
        HostileHeader("version 1", versioned(1), "of version 1"),
        HostileHeader("version 4", versioned(4), "of version 4"),
        HostileHeader("big-endian", versioned(UInt32(3).byteSwapped), "big-endian"),
        HostileHeader("2^64-1 keys", counted(keys: .max), "it says that it has 18446744073709551615 keys"),
        HostileHeader("2^63 tensors", counted(tensors: 1 << 63), "it says that it has 9223372036854775808 tensors"),
        HostileHeader("more keys than there are", counted(keys: 16_000), "within its key 0", .incompleteModel),
        HostileHeader("an empty key", keyed(GGUFWriter.text("")), "its key 0 has 0 bytes"),
        HostileHeader(
            "a negative length of a key", keyed(GGUFWriter.little(Int64(-1))), "its key 0 has 18446744073709551615"),
        HostileHeader(
            "a long key", keyed(GGUFWriter.text(String(repeating: "k", count: 1025))), "its key 0 has 1025 bytes"),
        HostileHeader("an unknown kind", file([("a\u{1B}[2Jb", .raw(13, []))]), "\"a?[2Jb\" is of the unknown kind 13"),
        HostileHeader("a key twice", file([("a", .uint8(1)), ("a", .uint8(2))]), "the key \"a\" stands there twice"),
        HostileHeader(
            "a text past the end", file([("a", .raw(8, GGUFWriter.little(UInt64(1000))))]), "within the value of \"a\"",
            .incompleteModel),
        HostileHeader(
            "a negative length of a text", file([("a", .raw(8, GGUFWriter.little(Int64(-8))))]), "goes beyond 256 MiB"),
        HostileHeader("a list of 2^64-1", file([("a", .raw(9, list(0, .max)))]), "goes beyond 256 MiB"),
        HostileHeader("a list whose bytes overflow", file([("a", .raw(9, list(10, 1 << 61)))]), "goes beyond 256 MiB"),
        HostileHeader(
            "2^60 texts", file([("a", .raw(9, list(8, 1 << 60)))]), "within the value of \"a\"", .incompleteModel),
        HostileHeader(
            "2^60 lists", file([("a", .raw(9, list(9, 1 << 60)))]), "within the value of \"a\"", .incompleteModel),
        HostileHeader("a list of an unknown kind", file([("a", .raw(9, list(77, 1)))]), "unknown kind 77"),
        HostileHeader(
            "lists 10,000 deep", file([("a", .raw(9, GGUFWriter.nested(10_000)))]), "nests lists more than 8 deep"),
        HostileHeader("an alignment of 0", file([("general.alignment", .uint32(0))]), "not a power of two"),
        HostileHeader("an alignment of 24", file([("general.alignment", .uint32(24))]), "not a power of two"),
        HostileHeader("an alignment of 2^63", file([("general.alignment", .uint64(1 << 63))]), "not a power of two"),
        HostileHeader("an alignment in words", file([("general.alignment", .text("32"))]), "not a power of two"),
        HostileHeader(
            "a long name of a tensor", tensors(.init(String(repeating: "t", count: 64), .f32, [1])),
            "the name of tensor 0 has 64 bytes"),
        HostileHeader(
            "a tensor twice", tensors(.init("t", .f32, [8]), .init("t", .f32, [8])), "\"t\" stands there twice"),
        HostileHeader("five dimensions", tensors(.init("t", .f32, [1, 1, 1, 1, 1])), "\"t\" has 5 dimensions"),
        HostileHeader("2^32-1 dimensions", dimensioned(.max), "has 4294967295 dimensions"),
        HostileHeader("a dimension of 0", tensors(.init("t", .f32, [8, 0])), "\"t\" has a dimension of 0"),
        HostileHeader(
            "a negative dimension", tensors(sized([UInt64(bitPattern: -1)])), "more elements than can be counted"),
        HostileHeader("a product of 2^64", tensors(sized([1 << 32, 1 << 32])), "more elements than can be counted"),
        HostileHeader(
            "a product of 2^68", tensors(sized([1 << 17, 1 << 17, 1 << 17, 1 << 17])), "more elements than can"),
        HostileHeader("2^62 numbers of 4 bytes", tensors(sized([1 << 62])), "more bytes than can be counted"),
        HostileHeader(
            "rows that are no blocks", tensors(.init("t", .q4_k, [100, 256])), "Q4_K needs a multiple of 256"),
        HostileHeader(
            "overlapping tensors", tensors(.init("a", .f32, [64]), .init("b", .f32, [64], offset: 32)),
            "\"b\" begins at 32, where 256 is its place"),
        HostileHeader(
            "a gap between tensors", tensors(.init("a", .f32, [64]), .init("b", .f32, [64], offset: 512)),
            "\"b\" begins at 512, where 256 is its place"),
        HostileHeader(
            "the first one elsewhere", tensors(.init("a", .f32, [64], offset: 1 << 63)), "where 0 is its place"),
        HostileHeader(
            "an offset before one of an unknown type",
            tensors(.init("a", .f32, [64]), .init("b", type: 99, [1], bytes: 32), .init("c", .f32, [8], offset: 0)),
            "\"c\" begins at 0"),
        HostileHeader(
            "an offset that overflows behind one of an unknown type",
            tensors(.init("a", type: 99, [1], bytes: 0), .init("b", .f32, [8], offset: .max - 31)),
            "beyond what a file can have"),
        HostileHeader(
            "more than there is", tensors(sized([1 << 40])), "before the end of tensor \"t\"", .incompleteModel),
    ]

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    private static func versioned(_ version: UInt32) -> [UInt8] {
        var writer = GGUFWriter()
        writer.version = version
        return writer.file + zeros(100)
    }

    private static func counted(keys: UInt64? = nil, tensors: UInt64? = nil) -> [UInt8] {
        var writer = GGUFWriter()
        (writer.keyCount, writer.tensorCount) = (keys, tensors)
        return writer.file
    }

    private static func keyed(_ bytes: [UInt8]) -> [UInt8] { counted(keys: 1) + bytes + zeros(64) }

    private static func file(_ keys: [(String, GGUFWriter.Value)]) -> [UInt8] { GGUFWriter(keys).file }

    /// What stands behind a list's kind.
    private static func list(_ kind: UInt32, _ count: UInt64) -> [UInt8] {
        GGUFWriter.little(kind) + GGUFWriter.little(count)
    }

    private static func sized(_ dimensions: [UInt64]) -> GGUFWriter.Tensor {
        GGUFWriter.Tensor("t", type: 0, dimensions, bytes: 64)
    }

    private static func tensors(_ tensors: GGUFWriter.Tensor...) -> [UInt8] {
        var writer = GGUFWriter(tensors: tensors)
        for index in writer.tensors.indices { writer.tensors[index].bytes = min(writer.tensors[index].bytes, 4096) }
        return writer.file
    }

    private static func dimensioned(_ count: UInt32) -> [UInt8] {
        counted(tensors: 1) + GGUFWriter.text("t") + GGUFWriter.little(count) + zeros(64)
    }
}

@Suite("Hostile GGUF headers")
struct HostileGGUFTests {
    private let scratch = Scratch()

    @Test("Each is refused in a sentence that says what is wrong", arguments: HostileHeader.all)
    func refused(header: HostileHeader) throws {
        let path = try scratch.bytes(header.bytes)
        var error: EngineError?
        let took = ContinuousClock().measure {
            error = fault { () throws(EngineError) in try GGUFHeader.read(path) }
        }
        let found = try #require(error)
        #expect(found.code == header.code, "\(found)")
        #expect(found.message.contains(header.says), "\(found)")
        #expect(found.message.hasPrefix("model.gguf is "), "\(found)")
        #expect(!found.message.unicodeScalars.contains { $0.value < 0x20 })
        #expect(took < .seconds(10))
    }

    @Test("A million lists within a list are passed over")
    func wide() throws {
        var value = GGUFWriter.little(UInt32(9)) + GGUFWriter.little(UInt64(1_000_000))
        let inner = GGUFWriter.little(UInt32(0)) + GGUFWriter.little(UInt64(0))
        for _ in 0..<1_000_000 { value += inner }
        let header = try GGUFHeader.read(scratch.bytes(GGUFWriter([("a", .raw(9, value)), ("b", .uint8(1))]).file))
        #expect(header.values["a"]?.list == GGUFList(count: 1_000_000, elements: nil))
        #expect(header.values["b"] == .integer(1))
    }

    @Test(
        "Numbers beyond all models make no model",
        arguments: [
            "block_count", "embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv",
            "attention.key_length", "attention.value_length", "context_length", "expert_count", "expert_used_count",
            "attention.sliding_window", "ssm.inner_size",
        ])
    func numbers(key: String) throws {
        for value: GGUFWriter.Value in [
            .uint64(.max), .int32(-1), .float64(.nan), .float32(.infinity), .uint64(1 << 53),
        ] {
            var keys: [(String, GGUFWriter.Value)] = [("llama.\(key)", value)]
            if key == "expert_used_count" { keys.append(("llama.expert_count", .uint32(8))) }
            let writer = GGUFWriter.model("llama", keys)
            let header = try GGUFHeader.read(scratch.bytes(writer.file))
            let error = try #require(fault { () throws(EngineError) in try ModelFacts([header]) }, "\(value)")
            #expect(error.code == .unreadableModel)
            #expect(error.message.contains("its llama.\(key) is not a number from 0 to "), "\(error)")
        }
    }
}
