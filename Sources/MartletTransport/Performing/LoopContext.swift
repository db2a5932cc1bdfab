import Logging
import MartletDialects
package import MartletGateway
package import NIOCore
package import NIOSSL

/// What all loops share: the rest of the program, behind protocols.
package struct Services: Sendable {
    package var control: any ControlRoutes
    package var models: any ModelHost
    package var records: any RecordSink
    package var responses: any ResponseKeeper
    package var tools: any ToolHost
    package var gates: [String: UpstreamGate]
    /// Nil unless somebody wants to see what breaks prefix caches.
    package var prompts: (any PromptWatch)?

    package init(
        control: any ControlRoutes, models: any ModelHost, records: any RecordSink, gates: [String: UpstreamGate],
        responses: any ResponseKeeper = NoResponses(), tools: any ToolHost = NoTools(),
        prompts: (any PromptWatch)? = nil
    ) {
        self.tools = tools
        self.prompts = prompts
        self.responses = responses
        self.control = control
        self.models = models
        self.records = records
        self.gates = gates
    }
}

/// A client's connection, as its loop sees it.
protocol ClientConnection: AnyObject {
    /// Index among its loop's connections.
    var place: Int { get set }
    func tick(at now: NIODeadline)
    /// Takes no further requests; closes when what is under way has ended.
    func closeWhenIdle()
    /// Tells a reply under way that it ends here, and closes once that is written.
    func shutDown()
}

/// What one event loop owns: its copy of the snapshot, its connections, its clock. Only ever touched on that loop.
package final class LoopContext {
    package let loop: any EventLoop
    package let services: Services
    package var snapshot: Snapshot
    package let pool: UpstreamPool
    var ids: IDSource
    /// Schemas that upstreams have refused.
    var rungs = RungMemory()
    private var fronts: [any ClientConnection] = []
    private var background: [BackgroundRun] = []
    private var isTicking = false
    /// Whether the server is shutting down: no further request is begun.
    package private(set) var isClosing = false
    private var dateLine = ""
    private var dateSecond: Int64 = 0

    /// How often deadlines are looked at, and so their precision.
    static let tick = TimeAmount.milliseconds(100)

    package init(loop: any EventLoop, services: Services, snapshot: Snapshot, tls: NIOSSLContext?, seed: UInt64) {
        self.loop = loop
        self.services = services
        self.snapshot = snapshot
        self.pool = UpstreamPool(loop: loop, tls: tls)
        self.ids = IDSource(seed: seed)
    }

    func add(_ front: any ClientConnection) {
        front.place = fronts.count
        fronts.append(front)
        startTicking()
    }

    func remove(_ front: any ClientConnection) {
        guard front.place < fronts.count, fronts[front.place] === front, let last = fronts.popLast() else { return }
        if last !== front {
            last.place = front.place
            fronts[front.place] = last
        }
    }

    package var openFronts: Int { fronts.count }

    /// Begins a response that is made in the background. Once the server shuts down none is begun: what is queued then
    /// is said to have failed by the next start.
    func run(_ queued: QueuedResponse, _ request: InboundRequest, _ plan: Plan) {
        guard !isClosing else { return }
        let run = BackgroundRun(self, queued)
        background.append(run)
        startTicking()
        run.start(request, plan.inBackground(queued))
    }

    func remove(_ run: BackgroundRun) { background.removeAll { $0 === run } }

    /// Stops taking requests; connections close as their replies end.
    package func drain() {
        isClosing = true
        for front in fronts { front.closeWhenIdle() }
    }

    /// Ends everything at once.
    package func closeAll() {
        isClosing = true
        for front in fronts { front.shutDown() }
        for run in background { run.stop() }
        pool.closeAll()
    }

    private func startTicking() {
        guard !isTicking else { return }
        isTicking = true
        scheduleTick()
    }

    private func scheduleTick() {
        loop.assumeIsolated().scheduleTask(in: LoopContext.tick) { self.onTick() }
    }

    private func onTick() {
        let now = NIODeadline.now()
        for front in fronts { front.tick(at: now) }
        for run in background { run.tick(at: now) }
        pool.expire(at: now)
        if fronts.isEmpty, background.isEmpty, pool.isEmpty {
            isTicking = false
        } else {
            scheduleTick()
        }
    }

    /// `date: …\r\n`, made once a second.
    func currentDateLine() -> String {
        let second = HTTPDate.now()
        if second != dateSecond {
            dateSecond = second
            dateLine = "date: \(HTTPDate.text(second))\r\n"
        }
        return dateLine
    }
}
