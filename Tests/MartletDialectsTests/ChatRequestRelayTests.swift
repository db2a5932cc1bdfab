import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Words of a relayed Chat request that its upstream does not know.
@Suite("Relayed requests, in their upstream's words")
struct ChatRequestRelayTests {
    func fitted(_ body: String, _ change: (inout Capabilities) -> Void = { _ in }) throws -> String? {
        var flags = Capabilities()
        change(&flags)
        return try ChatRequest.fitted(JSONDocument(checking: ByteBuffer(json: body)), flags)?.bytes.string
    }

    static let tools = "{'type':'function','function':{'name':'f'}}, {'type':'function','function':{'name':'g'}}"

    @Test("a developer speaks as the system; every other byte stays")
    func developer() throws {
        let body =
            "{'messages': [{'role':'user','content':'developer'} , {'content':'x','role':'developer'},{'role' : 'developer','content':[]}]}"
        let expected =
            "{'messages': [{'role':'user','content':'developer'} , {'content':'x','role':'system'},{'role' : 'system','content':[]}]}"
        #expect(try fitted(body) == json(expected))
        #expect(try fitted(body) { $0.developerRole = true } == nil)
        #expect(try fitted("{'messages':[{'role':'user','content':'developer'}]}") == nil)
    }

    @Test("a choice that names a tool becomes that tool alone, which must be called")
    func namedChoice() throws {
        let body = "{'tools':[\(Self.tools)],'tool_choice':{'type':'function','function':{'name':'g'}},'top_p':1.0}"
        let expected =
            "{'tools':[{'type':'function','function':{'name':'g'}}],'tool_choice':'required','top_p':1.0}"
        #expect(try fitted(body) == json(expected))
        #expect(try fitted(body) { $0.toolChoice = .full } == nil)
        #expect(try fitted(body) { $0.toolChoice = .none } == nil)
    }

    @Test(
        "other choices stay",
        arguments: [
            "'auto'", "'required'", "{'type':'function','function':{'name':'h'}}", "{'type':'allowed_tools'}", "null",
        ])
    func otherChoices(choice: String) throws {
        #expect(try fitted("{'tools':[\(Self.tools)],'tool_choice':\(choice)}") == nil)
    }

    @Test(
        "an effort becomes the nearest the upstream knows",
        arguments: [("minimal", "low"), ("xhigh", "high"), ("max", "high")])
    func effort(asked: String, sent: String) throws {
        let body = "{'reasoning_effort':'\(asked)'}"
        #expect(try fitted(body) { $0.thinkingControl = .effort } == json("{'reasoning_effort':'\(sent)'}"))
        #expect(try fitted(body) == nil)
    }

    @Test("efforts it knows stay, and words nobody knows", arguments: ["low", "medium", "high", "none", "some"])
    func sameEffort(word: String) throws {
        #expect(try fitted("{'reasoning_effort':'\(word)'}") { $0.thinkingControl = .effort } == nil)
    }
}
