import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Anthropic requests relayed to Anthropic")
struct RequestRepairTests {
    func repaired(_ messages: String) throws -> String? {
        let body = ByteBuffer(string: #"{"model":"m","messages":[\#(messages)],"max_tokens":9}"#)
        return try AnthropicRequest.repairedMessages(JSONDocument(checking: body)).map { $0.string }
    }

    let genuine = #"{"type":"thinking","thinking":"h","signature":"Eqk/="}"#
    let ours = #"{"type":"thinking","thinking":"h","signature":"gw1.abc"}"#

    @Test("a conversation Anthropic takes is not touched")
    func untouched() throws {
        #expect(try repaired(userHi) == nil)
        #expect(try repaired("\(userHi),\(calls("toolu_1")),\(user(result("toolu_1", "7")))") == nil)
        #expect(try repaired(#"\#(userHi),{"role":"assistant","content":[\#(genuine),\#(text("x"))]}"#) == nil)
        #expect(try repaired("7,{\"content\":7},{\"content\":[7]}") == nil)
    }

    @Test("B18: thinking of this gateway goes, with a turn it leaves empty; all else stays byte for byte")
    func gatewayThinking() throws {
        let made = try repaired(
            #"{"role" : "user", "content":"a\/b"},{"role":"assistant","content":[\#(ours), \#(genuine),\#(text("x"))],"zz":1.0},{"role":"assistant","content":[\#(ours)]}"#
        )
        #expect(
            made
                == #"[{"role" : "user", "content":"a\/b"},{"role":"assistant","content":[\#(genuine),\#(text("x"))],"zz":1.0}]"#
        )
    }

    @Test("B28: ids of other engines are fixed in call and result alike, always in the same way")
    func ids() throws {
        let turns = #"\#(userHi),\#(calls("functions.f:0", "toolu_1")),\#(user(result("functions.f:0", "\"x\"")))"#
        let made = try JSON(parsing: try #require(try repaired(turns)))
        let id = try #require(made[1]?["content"]?[0]?["id"]?.string)
        #expect(id.wholeMatch(of: /[a-zA-Z0-9_-]+/) != nil)
        #expect(made[2]?["content"]?[0]?["tool_use_id"]?.string == id)
        #expect(made[1]?["content"]?[1]?["id"] == "toolu_1")
        #expect(try repaired(turns) == made.text)
    }

    @Test("sealed blocks of other dialects go as those of this gateway do")
    func sealed() throws {
        let blocks =
            #"{"type":"thinking","thinking":"t","signature":"gw1.chat.encrypted.x"},{"type":"redacted_thinking","data":"gw1.chat.encrypted.x"},{"type":"redacted_thinking","data":"EmwK"}"#
        let body = #"{"messages":[{"role":"assistant","content":[\#(blocks),\#(text("a"))]}]}"#
        let repaired = try AnthropicRequest.repairedMessages(JSONDocument(checking: ByteBuffer(string: body)))
        #expect(
            repaired?.string
                == #"[{"role":"assistant","content":[{"type":"redacted_thinking","data":"EmwK"},\#(text("a"))]}]"#)
    }

    @Test("marks: any blob comes out as it went in, and nothing else is taken for one")
    func marks() {
        for origin in DialectID.allCases {
            for kind in [OpaqueBlob.Kind.signature, .encrypted, .redacted] {
                let blob = OpaqueBlob(origin: origin, kind: kind, text: EscapedText(escaping: "a.b\"\\"))
                #expect(OpaqueBlob(marked: blob.marked) == blob)
                #expect(
                    !Reasoning(blobs: [OpaqueBlob(origin: .anthropic, kind: .signature, text: blob.marked)]).isGenuine)
            }
        }
        for text in [
            "", "gw1.", "gw1.responses.", "gw1.responses.encrypted.", "gw1.AAAA", "xgw1.responses.encrypted.a",
        ] {
            #expect(OpaqueBlob(marked: EscapedText(escaping: text)) == nil, "\(text)")
        }
    }
}
