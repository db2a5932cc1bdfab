import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("Images in data URLs, of every client")
struct DataURLImageTests {
    static let clients: [DialectID] = [.chat, .anthropic, .responses]

    /// A request with one image at this address.
    static func body(_ address: String, of client: DialectID) -> String {
        let address = JSON.string(address).text
        return switch client {
        case .anthropic:
            #"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":\#(address)}}]}]}"#
        case .responses:
            #"{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":\#(address)}]}]}"#
        case .lmstudio: #"{"model":"m","input":[{"type":"image","data_url":\#(address)}]}"#
        case .chat, .completions:
            #"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":\#(address)}}]}]}"#
        }
    }

    static func translated(_ address: String, of client: DialectID, to upstream: UpstreamDialect) throws -> Translation
    {
        var flags = upstream == .anthropic ? Capabilities.anthropic : Capabilities()
        flags.images = .data
        let document = try JSONDocument(checking: ByteBuffer(string: body(address, of: client)))
        return try Translation(
            try Dialects.translateRequest(
                document, from: client, to: upstream,
                for: WriteTarget(model: "m", capabilities: flags, streams: false)))
    }

    @Test("letters of either case name the scheme, the type and the encoding", arguments: clients)
    func anyCase(client: DialectID) throws {
        for address in [
            "data:image/png;base64,\(pixel)", "DATA:IMAGE/PNG;BASE64,\(pixel)", "Data:image/Png;Base64,\(pixel)",
        ] {
            let jpeg = try Self.translated(
                "data:image/jpg;base64,\(pixel)", of: client, to: client == .anthropic ? .chat : .anthropic)
            #expect(jpeg.text.contains("image/jpeg") && jpeg.request.dropped == [])
            let part = try Self.translated(address, of: client, to: client == .anthropic ? .chat : .anthropic)
            let text = part.text
            #expect(text.contains(client == .anthropic ? "data:image/png;base64,\(pixel)" : "\"data\":\"\(pixel)\""))
            #expect(!text.contains("omitted") && part.request.dropped == [], "\(address): \(text)")
        }
    }

    @Test("what is no base64 is refused, and another type has words in its place", arguments: clients)
    func checked(client: DialectID) throws {
        let upstream: UpstreamDialect = client == .anthropic ? .chat : .anthropic
        for broken in ["data:image/png;base64,%%%", "data:image/png,abc", "DATA:,"] {
            #expect(refusal { try Self.translated(broken, of: client, to: upstream) }?.code == .invalidRequest)
        }
        let svg = try Self.translated("data:image/svg+xml;base64,PHN2Zy8+", of: client, to: upstream)
        #expect(svg.text.contains("[image omitted: its type is not supported]") && !svg.text.contains("PHN2"))
        #expect(svg.request.dropped == [upstream == .chat ? "content.image" : "content.image_url"])
    }
}
