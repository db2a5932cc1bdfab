import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Images that a request names by their addresses, in each dialect.
@Suite("Images at addresses")
struct ImageAddressTests {
    static let png = ByteBuffer(bytes: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    static let a = "https://a.example/a.png"

    static let bodies: [(DialectID, String, String)] = [
        (
            .chat,
            "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'see'},{'type':'image_url','image_url':{'url':'\(a)','detail':'low'}}]}],'top_p':0.70}",
            "{'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'see'},{'type':'image_url','image_url':{'url':'data:image/png;base64,iVBORw0KGgo=','detail':'low'}}]}],'top_p':0.70}"
        ),
        (
            .chat, "{'messages':[{'role':'user','content':[{'type':'image_url','image_url':'\(a)'}]}]}",
            "{'messages':[{'role':'user','content':[{'type':'image_url','image_url':'data:image/png;base64,iVBORw0KGgo='}]}]}"
        ),
        (
            .anthropic,
            "{'messages':[{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','content':[{'type':'image','source':{'type':'url','url':'\(a)'}}]}]}]}",
            "{'messages':[{'role':'user','content':[{'type':'tool_result','tool_use_id':'t','content':[{'type':'image','source':{'type':'base64','media_type':'image/png','data':'iVBORw0KGgo='}}]}]}]}"
        ),
        (
            .responses,
            "{'input':[{'role':'user','content':[{'type':'input_image','image_url':'\(a)'}]},{'type':'function_call_output','call_id':'c','output':[{'type':'input_image','image_url':'\(a)'}]}]}",
            "{'input':[{'role':'user','content':[{'type':'input_image','image_url':'data:image/png;base64,iVBORw0KGgo='}]},{'type':'function_call_output','call_id':'c','output':[{'type':'input_image','image_url':'data:image/png;base64,iVBORw0KGgo='}]}]}"
        ),
    ]

    @Test("are found, each once, and replaced; nothing else changes", arguments: bodies)
    func replaced(client: DialectID, body: String, expected: String) throws {
        let document = try JSONDocument(checking: ByteBuffer(json: body))
        #expect(try ImageAddresses.find(in: document, of: client) == [Self.a])
        let image = try #require(InlineImage(Self.png))
        let changed = try ImageAddresses.replaced(in: document, of: client, by: [Self.a: image])
        #expect(changed.bytes.string == json(expected))
        #expect(try ImageAddresses.find(in: changed, of: client) == [])
    }

    @Test(
        "what only looks like one is left alone",
        arguments: [
            "{'messages':[{'role':'user','content':'https://a.example/a.png'}]}",
            "{'messages':[{'role':'user','content':[{'type':'text','text':'https://a.example/a.png'}]}]}",
            "{'messages':[{'role':'user','content':[{'type':'image_url','image_url':{'url':'data:image/png;base64,AAAA'}}]}]}",
            "{'messages':[{'role':'assistant','tool_calls':[{'function':{'arguments':'{\\\"type\\\":\\\"image_url\\\"}'}}]}]}",
            "{'messages':[{'role':'assistant','content':[{'type':'tool_use','id':'t','name':'f','input':{'type':'image','source':{'type':'url','url':'\(a)'}}}]}]}",
            "{'messages':[{'role':'user','content':'x','metadata':[{'type':'image_url','image_url':'\(a)'}]}]}",
            "{'input':[{'type':'mcp_call','tools':[{'type':'input_image','image_url':'\(a)'}]}]}",
            "{'input':'https://a.example/a.png'}", "{}",
        ])
    func none(body: String) throws {
        let document = try JSONDocument(checking: ByteBuffer(json: body))
        for client in DialectID.allCases { #expect(try ImageAddresses.find(in: document, of: client) == []) }
    }

    @Test(
        "an image is what its bytes are",
        arguments: [
            ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 1] as [UInt8], "image/png"),
            ([0xFF, 0xD8, 0xFF, 0xE0], "image/jpeg"), (Array("GIF87a!".utf8), "image/gif"),
            (Array("GIF89a!".utf8), "image/gif"),
            (Array("RIFF1234WEBPVP8 ".utf8), "image/webp"), (Array("RIFF1234WAVEfmt ".utf8), ""),
            (Array("RIFF1234WEB".utf8), ""), (Array("<svg xmlns=".utf8), ""), (Array("<!doctype html>".utf8), ""),
            ([], ""),
        ])
    func types(bytes: [UInt8], type: String) {
        #expect(InlineImage(ByteBuffer(bytes: bytes))?.mediaType ?? "" == type)
    }
}
