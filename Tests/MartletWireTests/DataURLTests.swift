import MartletWire
import NIOCore
import Testing

@Suite("Data URLs")
struct DataURLTests {
    @Test(
        "well-formed ones are taken",
        arguments: [
            ("data:image/png;base64,aGk=", "image/png", "aGk=", 2),
            ("DATA:Image/PNG;BASE64,aGkh", "image/png", "aGkh", 3),
            ("data:application/vnd.a+b.c-d;charset=utf-8;base64,AA==", "application/vnd.a+b.c-d", "AA==", 1),
            ("data:audio/x;base64,ab+/", "audio/x", "ab+/", 3),
        ])
    func taken(_ text: String, _ type: String, _ payload: String, _ count: Int) throws {
        let url = try #require(DataURL(text))
        #expect(url.mediaType == type)
        #expect(url.payload.shown == payload)
        #expect(url.decodedBytes == count)
        #expect(DataURL(EscapedText(escaping: text)) == url)
    }

    @Test("escaped slashes are understood")
    func escaped() {
        let url = DataURL(EscapedText(#"data:image\/png;base64,ab+\/"#.buffer))
        #expect(url?.mediaType == "image/png")
        #expect(url?.payload.shown == "ab+/")
    }

    @Test(
        "others are not",
        arguments: [
            "", "data:", "data:,", "data:image/png,aGk=", "data:image/png;base64", "data:image/png;base64,",
            "data:;base64,aGk=",
            "data:image;base64,aGk=", "data:image/;base64,aGk=", "data:/png;base64,aGk=", "data:a/b/c;base64,aGk=",
            "data:image/p ng;base64,aGk=", "data:image/png;base64,aGk", "data:image/png;base64,aG k=",
            "data:image/png;base64,a===",
            "data:image/png;base64,=aGk", "data:image/png;base64,aG=k", "data:image/png;base64,aGk=\n\n\n\n",
            "data:image/png;base64,aG-_",
            "https://example.com/a.png", "xdata:image/png;base64,aGk=", "data:image/png;base64;x,aGk=",
            "data:image/png;" + String(repeating: "a", count: 300) + ";base64,aGk=",
        ])
    func refused(_ text: String) {
        #expect(DataURL(text) == nil)
        #expect(DataURL(EscapedText(escaping: text)) == nil)
    }

    @Test("of all bytes just the alphabet is taken, wherever in a block it stands")
    func alphabet() {
        let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for byte in UInt8.min ... .max where byte != UInt8(ascii: "\\") {
            for place in [0, 1, 15, 16, 63, 64, 65] {
                var payload = [UInt8](repeating: 0x41, count: 68)
                payload[place] = byte
                let text = EscapedText(ByteBuffer(bytes: "data:a/b;base64,".bytes + payload))
                #expect((DataURL(text) != nil) == alphabet.contains(byte))
            }
        }
    }
}
