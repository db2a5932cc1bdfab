#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif
import MartletEngine
import MartletTestSupport
import Testing

@Suite("The header of a GGUF file")
struct GGUFHeaderTests {
    private let scratch = Scratch()

    private func read(_ bytes: [UInt8]) throws -> GGUFHeader { try GGUFHeader.read(scratch.bytes(bytes)) }

    @Test("Every kind of value is read as it was written, in versions 2 and 3", arguments: [2, 3] as [UInt32])
    func values(version: UInt32) throws {
        var writer = GGUFWriter.sample
        writer.version = version
        let header = try read(writer.file)
        #expect(header.version == version)
        #expect(header.values.count == writer.keys.count)
        let expected: [String: GGUFValue] = [
            "general.name": .text("Sample"), "llama.block_count": .integer(2),
            "llama.attention.head_count": .integer(4),
            "llama.attention.head_count_kv": .integer(2), "llama.rope.freq_base": .real(10000),
            "llama.feed_forward_length": .list(GGUFList(count: 2, elements: [.integer(96), .integer(128)])),
            "some.deep": .list(GGUFList(count: 1, elements: nil)), "some.none": .list(GGUFList(count: 0, elements: [])),
            "some.bytes": .list(GGUFList(count: 2, elements: [.integer(1), .integer(255)])), "some.real": .real(0.5),
            "some.negative": .integer(-5), "some.int8": .integer(-1), "some.int16": .integer(-300),
            "some.flag": .flag(true), "some.most": .unsigned(.max),
            "tokenizer.ggml.tokens": .list(GGUFList(count: 3, elements: nil)),
        ]
        for (key, value) in expected { #expect(header.values[key] == value, "\(key)") }
    }

    @Test("Tensors lie one behind the other, padded")
    func tensors() throws {
        let writer = GGUFWriter.sample
        let header = try read(writer.file)
        #expect(header.tensors.map(\.name) == writer.tensors.map(\.name))
        #expect(header.tensors.map(\.bytes) == [384, 256, 1088, 4, 384])
        #expect(header.tensors.map(\.offset) == [0, 384, 640, 1728, 1760])
        #expect(header.tensors.map(\.elements) == [192, 64, 1024, 1, 192])
        #expect(header.dataStart % 32 == 0 && header.dataStart >= UInt64(writer.header.count))
        #expect(header.fileBytes == header.dataStart + 1760 + 384)
    }

    @Test("The tiny model that our tests run has the header its maker wrote")
    func tinyModel() throws {
        let header = try GGUFHeader.read(Fixture.path("tiny-chat.gguf"))
        #expect(header.values["general.architecture"]?.text == "llama")
        #expect(header.values["tokenizer.ggml.tokens"]?.list?.count == 1024)
        #expect(header.tensors.count == 38)
        #expect(header.tensors.reduce(0) { $0 + $1.elements } == 918_656)
        let last = try #require(header.tensors.last)
        #expect(header.dataStart + last.offset + last.bytes <= header.fileBytes)
        #expect(header.fileBytes - (header.dataStart + last.offset + last.bytes) < 32)
    }

    @Test("Long texts and long lists are counted, not kept")
    func notKept() throws {
        let long = String(repeating: "x", count: 1 << 20) + "y"
        let header = try read(
            GGUFWriter([
                ("long", .text(long)), ("many", .list(4, Array(repeating: .uint32(1), count: 513))),
                ("most", .list(4, Array(repeating: .uint32(1), count: 512))),
                ("words", .list(8, Array(repeating: .text("word"), count: 65))),
            ]).file)
        #expect(header.values["long"] == .longText(bytes: 1 << 20 + 1))
        #expect(header.values["many"] == .list(GGUFList(count: 513, elements: nil)))
        #expect(header.values["most"]?.list?.elements?.count == 512)
        #expect(header.values["words"] == .list(GGUFList(count: 65, elements: nil)))
    }

    @Test("What is kept of values has a bound")
    func bound() throws {
        let text = String(repeating: "x", count: 1 << 20)
        let header = try read(GGUFWriter((0..<20).map { ("key\($0)", .text(text)) }).file)
        #expect(header.values.values.filter { $0.text != nil }.count == 16)
        #expect(header.values["key19"] == .longText(bytes: 1 << 20))
    }

    @Test("A type that came after us takes what lies between it and the next tensor")
    func unknownType() throws {
        let writer = GGUFWriter(tensors: [
            GGUFWriter.Tensor("a", type: 99, [7, 3], bytes: 64), GGUFWriter.Tensor("b", .f32, [8]),
            GGUFWriter.Tensor("c", type: 98, [1], bytes: 20),
        ])
        let header = try read(writer.file)
        #expect(header.tensors.map(\.bytes) == [64, 32, 20])
        #expect(header.tensors.map(\.offset) == [0, 64, 96])
    }

    @Test("Every beginning of a file is cut short, and is said to be", arguments: [2, 3] as [UInt32])
    func prefixes(version: UInt32) throws {
        var writer = GGUFWriter.sample
        writer.version = version
        let file = writer.file
        let header = writer.header.count
        _ = try read(file)
        for length in 0..<file.count {
            let error = try #require(fault { () throws(EngineError) in try GGUFHeader.read(prefix(file, length)) })
            #expect(error.code == .incompleteModel, "\(length): \(error)")
            #expect(error.message.hasPrefix("model.gguf is cut short: the file ends at \(length) bytes, "), "\(error)")
            #expect(error.message.contains("before the end of tensor") == (length >= header), "\(error)")
            #expect(error.message.hasSuffix(": download it again"), "\(error)")
        }
    }

    private func prefix(_ file: [UInt8], _ length: Int) -> String {
        (try? scratch.bytes(Array(file.prefix(length)))) ?? ""
    }

    @Test("What is cut is named")
    func cutNames() throws {
        let file = GGUFWriter.sample.file
        func message(_ length: Int) -> String? {
            fault { () throws(EngineError) in try GGUFHeader.read(prefix(file, length)) }?.message
        }
        #expect(message(10)?.contains("within its beginning") == true)
        #expect(message(26)?.contains("within its key 0") == true)
        #expect(message(62)?.contains("within the value of \"general.architecture\"") == true)
        #expect(message(file.count - 1)?.contains("tensor \"output.weight\" at \(file.count)") == true)
    }

    @Test("A folder, a pipe and nothing at all are refused, and none is waited for")
    func noFile() throws {
        let folder = scratch.path
        #expect(mkfifo("\(folder)/pipe.gguf", 0o600) == 0)
        for path in [folder, "\(folder)/pipe.gguf", "\(folder)/none.gguf"] {
            let error = try #require(fault { () throws(EngineError) in try GGUFHeader.read(path) })
            #expect(error.code == .unreadableModel)
            #expect(error.message.contains("cannot be read: "), "\(error)")
            #expect(!error.message.contains(folder), "\(error)")
        }
    }
}
