import MartletDialects
import MartletGateway
import MartletLedger
import MartletServer
import MartletWire
import NIOCore
import Synchronization
import Testing

@Suite("A response that is made in the background")
struct BackgroundJobTests {
    final class Ends: Sendable {
        private let count = Atomic<Int>(0)
        var all: Int { count.load(ordering: .sequentiallyConsistent) }
        func note() { count.add(1, ordering: .sequentiallyConsistent) }
    }

    let ends = Ends()
    let job: BackgroundJob

    init() {
        let object = ResponsesDraft.queued(
            ResponseLabel(id: "resp_1", isBackground: true), model: "m", created: 5, echo: nil)
        let queued = StoredResponse(id: "resp_1", object: [UInt8](buffer: object))
        job = BackgroundJob(queued, of: [1], previous: nil) { [ends] _ in ends.note() }
    }

    static func event(_ number: Int) -> ByteBuffer {
        ByteBuffer(string: "event: response.zz\ndata: {\"type\":\"response.zz\",\"sequence_number\":\(number)}\n\n")
    }

    var status: String? { (try? JSON(parsing: job.object))?["status"]?.string }

    static let done = "data: [DONE]\n\n"

    @Test("its events are cut from whatever pieces come, without comments and end marks, and read from any place")
    func pieces() async throws {
        #expect(status == "queued")
        let stream = String(buffer: Self.event(0)) + ": keepalive\n\n" + String(buffer: Self.event(1)) + Self.done
        for byte in stream.utf8 { #expect(job.append(ByteBuffer(bytes: [byte]))) }
        #expect(status == "in_progress")
        #expect(job.settle(ByteBuffer(string: "{\"status\":\"completed\"}")))
        #expect(!job.settle(ByteBuffer(string: "{}")), "once")
        #expect(status == "in_progress", "an ending counts once it is stored")
        job.settled(isStored: true)
        job.end()
        #expect(status == "completed" && job.isEnded && ends.all == 1)
        #expect(job.events == [UInt8](buffer: Self.event(0)) + [UInt8](buffer: Self.event(1)))
        let whole = await job.events(from: 0)
        let told = String(decoding: try #require(job.events), as: UTF8.self)
        #expect(String(buffer: whole.bytes) == told + Self.done && whole.rest == nil)
        #expect(String(buffer: await job.events(from: 1).bytes) == String(buffer: Self.event(1)) + Self.done)
        #expect(String(buffer: await job.events(from: 9).bytes) == Self.done)
    }

    @Test("who reads along gets each event once, in order, however reading and making interleave")
    func readers() async throws {
        let job = job
        let count = 2000
        let readers = (0..<4).map { _ in
            Task {
                var text = ""
                var place = Following(source: job, place: 0) as Following?
                while let next = place {
                    let batch = await next.source.events(from: next.place)
                    #expect(batch.bytes.readableBytes < Limits.followedBatch + 200)
                    text += String(buffer: batch.bytes)
                    place = batch.rest
                }
                return text
            }
        }
        for number in 0..<count {
            #expect(job.append(Self.event(number)))
            if number % 100 == 0 { await Task.yield() }
        }
        job.end()
        let wanted = (0..<count).map { String(buffer: Self.event($0)) }.joined() + Self.done
        for reader in readers { #expect(await reader.value == wanted) }
    }

    @Test("a reader that is cancelled is let go, before and after it began to wait")
    func cancelledReaders() async throws {
        let job = job
        for isEarly in [true, false] {
            let reader = Task { await job.events(from: 0) }
            if !isEarly { for _ in 0..<100 { await Task.yield() } }
            reader.cancel()
            #expect(await reader.value.rest == nil)
        }
    }

    @Test("cancelling stops what makes it, also before that has begun, and ends its events", arguments: [true, false])
    func cancel(hasBegun: Bool) async throws {
        let stops = Ends()
        if hasBegun {
            job.began(stop: stops.note)
            #expect(job.append(Self.event(0)))
        }
        #expect(job.cancel())
        if !hasBegun { job.began(stop: stops.note) }
        #expect(stops.all == 1 && status == "cancelled")
        #expect(!job.settle(ByteBuffer(string: "{}")), "what comes too late is not taken")
        #expect(job.append(Self.event(1)))
        #expect(!job.cancel())
        let events = ResponsesDraft.cut(await job.events(from: 0).bytes)
        #expect(events.count == (hasBegun ? 2 : 3), "nothing follows the last word")
        #expect(events.last.flatMap(ResponsesDraft.ending).map { String(buffer: $0) } == String(buffer: job.object))
        #expect(String(buffer: try #require(events.last)).contains("\"sequence_number\":\(events.count - 1),"))
    }

    @Test("a failure before the first word is told as a stream of its own")
    func failure() async throws {
        job.fail(GatewayError(code: .upstreamUnreachable, message: "nobody there"))
        job.end()
        #expect(status == "failed")
        #expect(ResponsesDraft.cut(await job.events(from: 0).bytes).count == 3)
    }

    @Test("its events have a bound")
    func bound() throws {
        let text = String(repeating: "x", count: 1 << 20)
        let big = ByteBuffer(string: "data: {\"delta\":\"\(text)\"}\n\n")
        var taken = 0
        while job.append(big) { taken += 1 }
        #expect(taken == 15)
        #expect(try #require(job.events).count <= Limits.backgroundEvents)
    }

    @Test(
        "what was kept before its events were too many, or one too long, ends with an event that says so",
        arguments: [1, 16])
    func keptBeforeTheBound(pieces: Int) async throws {
        let text = String(repeating: "x", count: (16 << 20) / pieces)
        let object = ByteBuffer(string: "{\"id\":\"resp_1\",\"status\":\"incomplete\",\"output\":[]}")
        #expect(job.append(Self.event(0)))
        #expect(job.settle(object))
        job.settled(isStored: true)
        for _ in 0..<pieces { #expect(job.append(ByteBuffer(string: "data: {\"delta\":\"\(text)\"}\n\n"))) }
        #expect(job.append(Self.event(1)), "nothing follows")
        job.end()
        #expect(job.events == nil, "they are no whole stream")
        var all = ""
        var place = Following(source: job, place: 0) as Following?
        while let next = place {
            let batch = await next.source.events(from: next.place)
            all += String(buffer: batch.bytes)
            place = batch.rest
        }
        let number = pieces == 1 ? 1 : 16
        let last = String(buffer: ResponsesDraft.lastEvent(object, number: number))
        #expect(all.hasSuffix(last + Self.done) && last.hasPrefix("event: response.incomplete\n"))
    }
}
