import MartletEngine
import MartletTestSupport
import Testing

@Suite("Several instances of a model")
struct ResidencyInstanceTests {
    @Test("Of several instances the one with the fewest users is given; a name gets that instance only")
    func fewestUsers() {
        var line = Line()
        line.use("a", 10, 1)
        #expect(line(load("a", 10, 2)) == ["launch a:2"])
        #expect(line(load("a", 10, 3, as: "mine")) == ["launch mine"])
        #expect(line(.ready("a:2", bytes: nil)) == ["2 gets a:2"])
        #expect(line(.ready("mine", bytes: nil)) == ["3 gets mine"])
        #expect(line(ask("a", 10, 4)) == ["4 gets a:2"])
        #expect(line(.released("a")) == [])
        #expect(line(ask("a", 10, 5)) == ["5 gets a"])
        #expect(line(ask("a", 10, 6)) == ["6 gets a"])
        #expect(line(.requestedInstance("mine", .init(7))) == ["7 gets mine"])
        #expect(line(.requestedInstance("a:3", .init(8))) == ["8 refused: engine_no_such_model"])
        #expect(line(load("b", 10, 9, as: "mine")) == ["9 refused: engine_name_taken"])
        #expect(line(load("a", 10, 10)) == ["launch a:3"])
    }

    /// Of the model `a`, with such a window.
    private func demands() throws -> (Int, TensorType?) -> Residency.Demand {
        let facts = try Scratch().facts(.model("llama", layers: 8, [("ARCH.context_length", .uint32(131_072))]))
        return { context, keys in
            var load = MemoryEstimate.Load(context: 0)
            load.slots = 1
            var settings = EffectiveLoad()
            settings.keyCache = keys.map { Chosen($0, .command) }
            return .init("a", size: LoadSize(facts, load, context: context), settings: settings)
        }
    }

    @Test("Who waited for a small instance gets a larger one that has become ready before it")
    func largerMeanwhile() throws {
        let demand = try demands()
        var line = Line(budget: .max)
        #expect(
            line(.load(demand(2048, nil), .init(1), as: nil)) + line(.load(demand(512, nil), .init(2), as: nil)) == [
                "launch a", "launch a:2",
            ])
        #expect(line(.cancelled(.init(1))) + line(.requested(demand(512, nil), .init(3))) == ["stop a"])
        #expect(line(.requestedInstance("a:2", .init(4))) + line(.exited("a", nil)) == [])
        #expect(line(.load(demand(4096, nil), .init(5), as: "a")) == ["launch a"])
        #expect(line(.ready("a", bytes: nil)) == ["5 gets a"])
        #expect(line(.ready("a:2", bytes: nil)) == ["2 gets a:2", "3 gets a", "4 gets a:2"])
    }

    @Test("A request for a model gets no instance with a smaller window than the first of that model")
    func smallerOne() throws {
        let all = try demands()
        func demand(_ context: Int, _ keys: TensorType? = nil) -> Residency.Demand { all(context, keys) }
        var line = Line(budget: .max)
        _ = line(.requested(demand(2048), .init(1))) + line(.ready("a", bytes: nil))
        for (ticket, other) in [demand(512), demand(2048, .q8_0), demand(4096)].enumerated() {
            let id = "a:\(ticket + 2)"
            _ = line(.load(other, .init(UInt64(ticket) + 10), as: nil)) + line(.ready(id, bytes: nil))
        }
        #expect(line(.requested(demand(512), .init(2))) == ["2 gets a:4"], "which has more")
        #expect(line(.requested(demand(512), .init(3))) == ["3 gets a"])
        #expect(line(.requestedInstance("a:2", .init(4))) == ["4 gets a:2"])
        for id in ["a", "a:4"] { _ = line(.unload(id, .now)) + line(.exited(id, nil)) }
        #expect(line(.requested(demand(2048), .init(5))) == ["5 gets a:2"], "it is the first now")
    }

    @Test("An instance with a name of its own takes no request for its model, which is loaded beside it")
    func named() throws {
        var line = Line()
        #expect(line(load("a", 40, 1, as: "mine")) + line(ask("a", 40, 2)) == ["launch mine", "launch a"])
        #expect(line(.ready("mine", bytes: nil)) + line(.ready("a", bytes: nil)) == ["1 gets mine", "2 gets a"])
        #expect(line(.released("a")) + line(.unload("a", .now)) + line(.exited("a", nil)) == ["stop a"])
        #expect(line(.ensured(.init("a", size: LoadSize(bytes: 40)), .init(3))) == ["launch a"])
        #expect(
            line(.ready("a", bytes: nil)) + line(.unload("a", .now)) + line(.exited("a", nil)) == [
                "3 gets a", "stop a",
            ])
        #expect(line(.unload("mine", .now)) + line(.exited("mine", nil)) == ["stop mine"])
        _ = line(load("a", 70, 4, as: "large")) + line(.ready("large", bytes: nil))
        let refusal = line.refusal(ask("a", 40, 5))
        #expect(
            try #require(refusal).message.hasSuffix(
                "Ask for large, which is an instance of it, unload large, or raise engine.memory."))
        #expect(line(load("a", 10, 6, as: "a")) == ["launch a"], "the model's own name is none of its own")
        #expect(line(.ready("a", bytes: nil)) + line(ask("a", 10, 7)) == ["6 gets a", "7 gets a"])
    }
}
