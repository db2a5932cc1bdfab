import MartletEngine
import MartletTestSupport
import Testing

/// Headers made by changing good ones, bytes anywhere and numbers where they hurt.
@Suite("Fuzzing the reading of model files", .serialized)
struct GGUFFuzzTests {
    private let scratch = Scratch()

    @Test("A header is read or refused in a sentence, and what was read can be counted with")
    func headers() throws {
        let corpus =
            [GGUFWriter.sample.file]
            + LayersCase.all.map {
                var model = $0.model
                model.tensors = [.init("blk.0.attn_q.weight", .q4_k, [256, 4]), .init("output.weight", .f16, [8, 8])]
                return model.file
            }
        let fault = Fuzz(.gguf).run(corpus, count: 1500) { bytes, random in
            var bytes = bytes
            for _ in 0..<random.below(3) { Self.spoil(&bytes, &random) }
            return check(bytes)
        }
        #expect(fault == nil, "\(fault ?? "")")
    }

    /// Puts a number that is hard to hold in place of 4 or 8 bytes.
    private static func spoil(_ bytes: inout [UInt8], _ random: inout Seeded) {
        let numbers: [UInt64] = [
            0, 1, 3, 8, 9, 31, 1 << 31, .max >> 32, 1 << 32, 1 << 60, 1 << 61, 1 << 63, .max >> 1, .max, .max - 31,
        ]
        let number = GGUFWriter.little(random.pick(numbers)).prefix(random.pick([4, 8]))
        guard bytes.count >= number.count else { return }
        let at = random.below(bytes.count - number.count + 1)
        bytes.replaceSubrange(at..<at + number.count, with: number)
    }

    private func check(_ bytes: [UInt8]) -> String? {
        guard let path = try? scratch.bytes(bytes) else { return "the file cannot be written" }
        do throws(EngineError) {
            let header = try GGUFHeader.read(path)
            for tensor in header.tensors where header.dataStart + tensor.offset + tensor.bytes > UInt64(bytes.count) {
                return "the tensor \(tensor.name) lies outside the file"
            }
            let facts = try ModelFacts([header], projector: header)
            guard facts.layers.count <= 512, facts.weightBytes <= bytes.count else { return "more than the file has" }
            var load = MemoryEstimate.Load(context: 4096)
            load.slots = 4
            let estimate = MemoryEstimate(facts, load)
            guard estimate.total >= facts.weightBytes, estimate.cache >= 0, estimate.states >= 0, estimate.compute > 0
            else {
                return "an estimate of \(estimate)"
            }
            let most = MemoryEstimate.largestContext(facts, fitting: 8 << 30, load)
            if let most, most < 1 || most > facts.trainedContext ?? 0 { return "a largest context of \(most)" }
            return nil
        } catch {
            guard error.code == .incompleteModel || error.code == .unreadableModel else {
                return "the error \(error.code)"
            }
            guard error.message.utf8.count < 600 else { return "a long sentence: \(error.message)" }
            return error.message.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }
                ? "control characters in: \(error.message.debugDescription)" : nil
        }
    }
}
