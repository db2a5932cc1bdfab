import FoundationEssentials
import Logging
import MartletDialects
import MartletGateway
import MartletLedger
import MartletServer
import MartletWire
import NIOCore
import Testing

@Suite("Stored responses of several servers on one home")
struct ResponseLedgerTests {
    @Test(
        "what another server is making is not cancelled, deleted or continued here, and its client is told where",
        arguments: [
            "queued", "in_progress",
        ])
    func another(status: String) async throws {
        let home = FileManager.default.temporaryDirectory.path + "martlet-ledger-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: home) }
        let claim = try ServerClaim(in: home)
        let there = ResponseStore(
            try Ledger(path: home + "/martlet.db"), retention: nil, server: claim.number, now: { 5 })
        let object = "{\"id\":\"resp_1\",\"background\":true,\"status\":\"\(status)\",\"output\":[]}"
        try await there.put(StoredResponse(id: "resp_1", object: Array(object.utf8)), of: [1], isUnfinished: true)
        let here = ResponseLedger(home: home, retention: .seconds(60), logger: Logger(label: "test"))
        let error = await #expect(throws: GatewayError.self) { try await here.cancel("resp_1", of: [1]) }
        #expect(error?.status == 409 && error?.message.contains("another server") == true)
        #expect(try await here.cancel("resp_1", of: [2]) == nil, "to others there is none")
        let deleted = await #expect(throws: GatewayError.self) { try await here.delete("resp_1", of: [1]) }
        #expect(deleted?.status == 409 && deleted?.message.hasSuffix("delete it there") == true)
        let next = try JSONDocument(checking: ByteBuffer(string: #"{"previous_response_id":"resp_1","input":"x"}"#))
        let continued = await #expect(throws: GatewayError.self) {
            try await here.continued(next, from: "resp_1", of: [1])
        }
        #expect(continued?.status == 409 && continued?.message.hasSuffix("wait for its end") == true)
        withExtendedLifetime(claim) {}
    }
}
