import MartletDialects
import Testing

@Suite("Minted ids")
struct IDSourceTests {
    @Test("ids have their prefix and 24 base62 characters")
    func form() {
        var ids = IDSource(seed: 1)
        let minted = [
            ("chatcmpl-", ids.chatCompletion()), ("call_", ids.chatCall()), ("msg_", ids.message()),
            ("toolu_", ids.toolUse()), ("req_", ids.request()),
        ]
        for (prefix, id) in minted {
            #expect(id.hasPrefix(prefix))
            let rest = id.dropFirst(prefix.count)
            #expect(rest.count == 24)
            #expect(rest.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) })
        }
    }

    @Test("the same seed gives the same ids, another seed others, and none twice")
    func seeds() {
        var first = IDSource(seed: 1)
        var same = IDSource(seed: 1)
        var other = IDSource(seed: 2)
        let ids = (0..<1000).map { _ in first.chatCall() }
        #expect(ids == (0..<1000).map { _ in same.chatCall() })
        #expect(Set(ids).union((0..<1000).map { _ in other.chatCall() }).count == 2000)
    }
}
