import MartletDialects
import MartletWire
import NIOCore
import Synchronization
import Testing

@Suite("How long a reply took")
struct TimingsTests {
    static let llama =
        "'timings':{'cache_n':8,'prompt_n':2,'prompt_ms':250,'prompt_per_second':8.0,'predicted_n':3,"
        + "'predicted_ms':60.0,'predicted_per_second':50,'draft_n':9,'draft_n_accepted':4}"
    static let legacy =
        "'stats':{'tokens_per_second':60.1,'time_to_first_token':0.08,'generation_time':0.05,'stop_reason':'eosFound'}"
    static let told = Timings(
        timeToFirstToken: 0.25, generationTime: 0.06, tokensPerSecond: 50, promptTokensPerSecond: 8,
        draft: Timings.Draft(total: 9, accepted: 4))
    static let counted = Timings(timeToFirstToken: 0.08, generationTime: 0.05, tokensPerSecond: 60.1)

    @Test(
        "what the upstream tells beside a Chat reply is read, streamed and whole",
        arguments: [(llama, told), (legacy, counted)])
    func chat(_ member: String, _ timings: Timings) throws {
        let head = "{'id':'c','object':'chat.completion','created':1,'model':'m','choices':[{'index':0,"
        let whole = ByteBuffer(
            json: head + "'message':{'role':'assistant','content':'a'},'finish_reason':'stop'}],\(member)}")
        let reply = try Dialects.translateWhole(whole, from: .chat, to: replyTarget(.chat))
        #expect(reply.summary.usage.timings == timings)

        var pipe = Dialects.pipe(from: .chat, to: replyTarget(.chat))
        var out = ByteBuffer()
        let stream =
            "data: " + json(head + "'delta':{'content':'a'},'finish_reason':null}]}") + "\n\ndata: "
            + json(head + "'delta':{},'finish_reason':'stop'}],\(member)}") + "\n\ndata: [DONE]\n\n"
        #expect(pipe.pass(ByteBuffer(string: stream), into: &out) == .complete)
        #expect(pipe.tally.usage.timings == timings)
    }

    @Test("LM Studio's own API tells rate, first token and load")
    func native() throws {
        let body = ByteBuffer(
            json:
                "{'model_instance_id':'m','output':[{'type':'message','content':'a'}],'stats':{'input_tokens':2,'total_output_tokens':1,'tokens_per_second':48.2,'time_to_first_token_seconds':0.41,'model_load_time_seconds':3.2}}"
        )
        let reply = try Dialects.translateWhole(body, from: .lmstudio, to: replyTarget(.chat))
        #expect(
            reply.summary.usage.timings
                == Timings(timeToFirstToken: 0.41, tokensPerSecond: 48.2, modelLoadTime: 3.2))
    }

    @Test("nothing is told where nothing that can be meant was said", arguments: ["{}", "'x'", "{'prompt_ms':-1}"])
    func nothing(_ value: String) throws {
        let body = ByteBuffer(
            json:
                "{'id':'c','object':'chat.completion','created':1,'model':'m','choices':[{'index':0,'message':{'role':'assistant','content':'a'},'finish_reason':'stop'}],'timings':\(value)}"
        )
        let reply = try Dialects.translateWhole(body, from: .chat, to: replyTarget(.chat))
        #expect(reply.summary.usage.timings == nil)
        #expect(reply.summary.usage.isEmpty)
    }

    @Test("a later report adds to an earlier one")
    func updates() {
        var usage = Usage(input: 3, timings: Timings(timeToFirstToken: 1, generationTime: 1))
        usage.update(with: Usage(output: 4, timings: Timings(generationTime: 2, tokensPerSecond: 2)))
        #expect(
            usage
                == Usage(
                    input: 3, output: 4,
                    timings: Timings(timeToFirstToken: 1, generationTime: 2, tokensPerSecond: 2)))
    }

    // MARK: The stopwatch

    static let second: UInt64 = 1_000_000_000

    /// Started at 1 s, the first token at 3 s unless it came whole, the end at 7 s.
    func timings(_ usage: Usage, comesWhole: Bool = false) -> Timings {
        let box = Box(comesWhole ? [7 * Self.second] : [3 * Self.second, 7 * Self.second])
        var stopwatch = Stopwatch(since: { Self.second }, now: { box.next() })
        if !comesWhole {
            stopwatch.noteToken()
            stopwatch.noteToken()  // must not look at the clock once more
        }
        return stopwatch.timings(of: usage)
    }

    @Test("what the upstream does not tell is measured")
    func measured() {
        let expected = Timings(timeToFirstToken: 2, generationTime: 4, tokensPerSecond: 2)
        #expect(timings(Usage(output: 8)) == expected)
    }

    @Test("what was no time of the model's, as between rounds with tools, is no time of generating")
    func pauses() {
        func timings(paused: UInt64) -> Timings {
            let (box, pauses) = (Box([3 * Self.second, 7 * Self.second]), Box([paused, 3 * Self.second]))
            var stopwatch = Stopwatch(since: { Self.second }, without: { pauses.next() }, now: { box.next() })
            stopwatch.noteToken()
            return stopwatch.timings(of: Usage(output: 8))
        }
        #expect(timings(paused: 0) == Timings(timeToFirstToken: 2, generationTime: 1, tokensPerSecond: 8))
        // Tokens before the first that its client gets were generated as well.
        let expected = Timings(timeToFirstToken: 2, generationTime: 3, tokensPerSecond: 8.0 / 3)
        #expect(timings(paused: Self.second) == expected)
    }

    @Test("of rounds that tell their times, the first token is the first round's, and generating is all of them")
    func rounds() {
        let first = Usage(
            output: 2, timings: Timings(timeToFirstToken: 1, generationTime: 1, tokensPerSecond: 2, modelLoadTime: 9))
        let second = Usage(
            output: 6, timings: Timings(timeToFirstToken: 5, generationTime: 3, tokensPerSecond: 7))
        #expect(
            first.followed(by: second).timings
                == Timings(timeToFirstToken: 1, generationTime: 4, tokensPerSecond: 2, modelLoadTime: 9))
        #expect(Usage().followed(by: second) == second)
        #expect(first.followed(by: Usage()) == first)
    }

    @Test("what it tells counts more")
    func toldFirst() {
        let usage = Usage(output: 8, timings: Timings(timeToFirstToken: 0.5, tokensPerSecond: 9))
        #expect(timings(usage) == Timings(timeToFirstToken: 0.5, generationTime: 4, tokensPerSecond: 9))
    }

    @Test("of a reply that comes whole, all of the time is both; of one that nobody counted there is no rate")
    func whole() {
        #expect(
            timings(Usage(output: 12), comesWhole: true)
                == Timings(timeToFirstToken: 6, generationTime: 6, tokensPerSecond: 2))
        #expect(timings(Usage(), comesWhole: true) == Timings(timeToFirstToken: 6, generationTime: 6))
    }
}

/// A clock that says what it was told to, in order.
private final class Box: Sendable {
    private let times: Mutex<[UInt64]>
    init(_ times: [UInt64]) { self.times = Mutex(times) }
    func next() -> UInt64 { times.withLock { $0.removeFirst() } }
}
