import Foundation
import MartletEngine
import MartletTestSupport
import Testing

@Suite("Residency holds its rules whatever happens")
struct ResidencySimulationTests {
    /// `MARTLET_SIMULATIONS`: how many sequences; `MARTLET_SIMULATION_SEED`: the first one's seed.
    private static func variable(_ name: String) -> UInt64? {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
    }

    @Test("Random sequences of events: memory, users, answers, TTLs and the end")
    func simulation() async {
        let count = Self.variable("MARTLET_SIMULATIONS") ?? 10_000
        let first = Self.variable("MARTLET_SIMULATION_SEED") ?? UInt64.random(in: 0 ... .max / 2)
        print("residency simulation: \(count) sequences from seed \(first)")
        let lanes: UInt64 = 2
        await withDiscardingTaskGroup { group in
            for lane in 0..<lanes {
                group.addTask {
                    for number in stride(from: lane, to: count, by: Int(lanes)) {
                        var world = ResidencyWorld(seed: first &+ number)
                        do {
                            try world.run()
                        } catch {
                            Issue.record("seed \(first &+ number): \(error)")
                            return
                        }
                    }
                }
            }
        }
    }
}
