import MartletDialects
import MartletGateway
import NIOCore
import Testing

@Suite("Where two turns of a conversation part")
struct PrefixMemoryTests {
    static let first = #"{"role":"user","content":"hi"}"#
    static let reply = #"{"role":"assistant","content":"yes"}"#

    static func body(_ messages: String..., tools: String = #"[{"name":"f"}]"#, system: String = #""s""#) -> ByteBuffer
    {
        ByteBuffer(
            string:
                #"{"model":"m","messages":[\#(messages.joined(separator: ","))],"system":\#(system),"tools":\#(tools)}"#
        )
    }

    /// Part, index, kind and offset of what the second of two requests parts in; nil when it goes on.
    static func parting(_ before: ByteBuffer, _ after: ByteBuffer) -> String? {
        var memory = PrefixMemory()
        #expect(memory.note(before, at: "a/m") == nil)
        return memory.note(after, at: "a/m").map { "\($0.part) \($0.index) \($0.kind ?? "-") \($0.offset)" }
    }

    @Test("A turn that goes on, one that is sent again and one that goes back are none")
    func goesOn() {
        let one = Self.body(Self.first, Self.reply)
        #expect(Self.parting(Self.body(Self.first), one) == nil)
        #expect(Self.parting(one, one) == nil)
        #expect(Self.parting(one, Self.body(Self.first)) == nil)
        #expect(Self.parting(ByteBuffer(string: #"{"input":"hi"}"#), ByteBuffer(string: #"{"input":"hi"}"#)) == nil)
    }

    @Test("The first byte that differs is told, with its message, and where it stands in the body")
    func differs() throws {
        let changed = #"{"role":"assistant","content":"yet"}"#
        let before = Self.body(Self.first, Self.reply, Self.first)
        #expect(Self.parting(before, Self.body(Self.first, changed, Self.first)) == "messages 1 assistant 33")
        var memory = PrefixMemory()
        _ = memory.note(before, at: "a/m")
        let after = Self.body(Self.first, changed)
        let parting = memory.note(after, at: "a/m")
        let found = try #require(parting)
        #expect(after.getString(at: found.position, length: 1) == "t")
        let item = #"{"input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"1"}]}"#
        #expect(
            Self.parting(ByteBuffer(string: item), ByteBuffer(string: item.replacing("\"1\"", with: "\"2\"")))
                == "messages 1 function_call 35")
        let own = #"{"messages":[{"role":"user"},{"role":"SECRET","x":1}]}"#
        #expect(
            Self.parting(ByteBuffer(string: own), ByteBuffer(string: own.replacing(":1", with: ":2")))
                == "messages 1 - 21")
    }

    @Test("Tools and system text come before messages, however the body orders them")
    func order() {
        let before = Self.body(Self.first, Self.reply)
        let changed = #"{"role":"assistant","content":"no"}"#
        #expect(Self.parting(before, Self.body(Self.first, changed, tools: #"[{"name":"g"}]"#)) == "tools 0 - 9")
        #expect(Self.parting(before, Self.body(Self.first, tools: #"[{"name":"f"},{"name":"g"}]"#)) == "tools 1 - 0")
        #expect(Self.parting(before, Self.body(Self.first, changed, system: #""t""#)) == "system 0 - 1")
    }

    @Test("A conversation is known by its first user turn, at one upstream and model")
    func conversations() {
        var memory = PrefixMemory()
        let other = #"{"role":"user","content":"ho"}"#
        #expect(memory.note(Self.body(Self.first), at: "a/m") == nil)
        #expect(memory.note(Self.body(other, system: #""t""#), at: "a/m") == nil)
        #expect(memory.note(Self.body(Self.first, system: #""t""#), at: "b/m") == nil)
        #expect(memory.note(Self.body(Self.first, system: #""t""#), at: "a/m") != nil)
        #expect(memory.note(ByteBuffer(string: #"{"input":[1],"model":"m"}"#), at: "a/m") == nil)
        #expect(memory.note(ByteBuffer(string: "x"), at: "a/m") == nil)
    }

    @Test("What is kept is bounded in number and in bytes; the oldest goes first")
    func bounded() {
        func turn(_ number: Int, _ system: String = #""s""#) -> ByteBuffer {
            Self.body(#"{"role":"user","content":"\#(number)"}"#, system: system)
        }
        var memory = PrefixMemory()
        for number in 0..<65 { _ = memory.note(turn(number), at: "a/m") }
        #expect(memory.note(turn(0, #""t""#), at: "a/m") == nil)
        #expect(memory.note(turn(64, #""t""#), at: "a/m") != nil)
        let large = "\"" + String(repeating: "x", count: 40 << 20) + "\""
        _ = memory.note(turn(100, large), at: "a/m")
        _ = memory.note(turn(101, large), at: "a/m")
        #expect(memory.note(turn(64), at: "a/m") == nil)
        #expect(memory.note(turn(100), at: "a/m") == nil)
        #expect(memory.note(turn(101), at: "a/m") != nil)
    }
}
