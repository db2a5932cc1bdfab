import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// Mutated schemas, answers, vectors, stored responses and images; see `Fuzz` for how long.
@Suite("Fuzzing what is checked and kept", .serialized)
struct AnswerFuzzTests {
    /// Where a schema, or a pattern, ends and what is held against it begins.
    private static let seam: UInt8 = 0x1E

    private static func joined(_ first: String, _ second: String) -> [UInt8] {
        Array(first.utf8) + [seam] + Array(second.utf8)
    }

    private static func parted(_ bytes: [UInt8]) -> (String, String) {
        let parts = bytes.split(separator: seam, maxSplits: 1, omittingEmptySubsequences: false)
        return (
            String(decoding: parts[0], as: UTF8.self), parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : ""
        )
    }

    static let schemas: [[UInt8]] = [
        joined(
            ##"{"type":"object","properties":{"name":{"type":"string","pattern":"^[A-Z][a-z]{1,9}$","maxLength":10},"age":{"type":["integer","null"],"minimum":0,"exclusiveMaximum":1.5e2,"multipleOf":1}},"required":["name"],"additionalProperties":false}"##,
            #"{"name":"Ada","age":36}"#),
        joined(
            ##"{"$defs":{"n":{"anyOf":[{"type":"null"},{"type":"object","properties":{"next":{"$ref":"#/$defs/n"},"v":{"enum":["a",1,null]}}}]}},"oneOf":[{"$ref":"#/$defs/n"},{"type":"array","prefixItems":[{"const":[1]}],"items":{"not":{"type":"string"}},"minItems":1,"uniqueItems":true}]}"##,
            "```json\n{\"next\":{\"next\":null,\"v\":1.0}}\n```"),
        joined(
            ##"{"allOf":[{"$ref":"#"},{"patternProperties":{"^x":{}},"minProperties":1}]}"##,
            #"I think {"x":[{}]} fits."#),
    ]

    @Test("an answer fits its schema or not, the same each time, and soon")
    func answers() {
        let fault = Fuzz(.answers).run(Self.schemas, count: 300) { bytes, _ in
            let (schema, answer) = Self.parted(bytes)
            guard let asked = try? FormAsked(.anthropic, .chat, schema: schema) else { return nil }
            var first: WholeReply?
            let took = ContinuousClock().measure { first = try? asked.reply(answer) }
            if took > .seconds(3) { return "took \(took)" }
            guard let first else { return "no reply" }
            let again = try? asked.reply(answer)
            if again?.misfit != first.misfit { return "twice, it differs" }
            if (first.misfit?.violation.utf8.count ?? 0) > 2000 { return "a violation of many words" }
            return nil
        }
        #expect(fault == nil)
    }

    static let patterns: [[UInt8]] = [
        ("^[A-Za-z0-9_-]{3,16}$", "user_42"), (#"^\d{4}-(0[1-9]|1[0-2])-\d{2}T?.*$"#, "2026-11-21T10:00"),
        ("(?:ab|a)+?c{2,}", "abaabcc"), (#"^[^\]\[a-c\\]*$"#, "xyz"), ("[a]\u{301}{3}]", "a\u{301}\u{301}\u{301}]"),
        ("^(((x{2}){3})?){0,4}$", "xxxxxx"), (#"\w+@\w+\.[a-z]{2,}"#, "a@b.example"),
    ].map { joined($0, $1) }

    @Test("a pattern matches or not, soon, whatever its counts say")
    func matching() {
        let fault = Fuzz(.patterns).run(Self.patterns, count: 1000) { bytes, random in
            var (pattern, text) = Self.parted(bytes)
            if random.below(4) == 0 { text = String(repeating: text, count: 1 + random.below(200)) }
            let schema = #"{"type":"string","pattern":\#(JSON.string(pattern).text)}"#
            guard let asked = try? FormAsked(.responses, .chat, schema: schema) else { return nil }
            let answer = JSON.string(text).text
            var first: WholeReply?
            let took = ContinuousClock().measure { first = try? asked.reply(answer) }
            if took > .seconds(3) { return "took \(took)" }
            return first == nil ? "no reply" : nil
        }
        #expect(fault == nil)
    }

    static let vectors: [[UInt8]] = [
        joined(
            #"{"model":"m","input":["a",""],"encoding_format":"base64","dimensions":2,"user":"u"}"#,
            #"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]},{"object":"embedding","index":1,"embedding":[1,0]}],"model":"x","usage":{"prompt_tokens":3,"total_tokens":3}}"#
        ),
        joined(
            #"{"model":"m","input":[[1,2],[3]],"encoding_format":"float"}"#,
            #"{"data":[{"index":1,"embedding":"AACAPwAAAEA="},{"index":0,"embedding":"AAAAAAAAAAA="}],"usage":{}}"#),
        joined(
            #"{"model":"m","query":"q","documents":["a",{"text":"b","n":1}],"top_n":1,"return_documents":true}"#,
            #"{"results":[{"index":1,"relevance_score":0.25},{"index":0,"relevance_score":-1e-3}],"usage":{"total_tokens":9}}"#
        ),
    ]

    @Test("vectors and rankings are asked for and answered in JSON, or refused")
    func tasks() {
        var flags = Capabilities()
        (flags.embeddings, flags.rerank) = (.tokens, true)
        let capabilities = flags
        let fault = Fuzz(.vectors).run(Self.vectors, count: 500) { bytes, random in
            let (request, reply) = Self.parted(bytes)
            guard let document = try? JSONDocument(checking: ByteBuffer(string: request)) else { return nil }
            let task: VectorTask = random.below(2) == 0 ? .embeddings : .rerank
            let prepared: PreparedTask
            do throws(GatewayError) {
                prepared = try task.prepare(
                    document, edit: JSONEdit(), for: capabilities, repairs: random.below(4) > 0)
            } catch {
                return FuzzCheck.refusal(error, .chat)
            }
            let body = prepared.body.map(\.string).joined()
            if !ByteBuffer(string: body).isJSON { return "no JSON: \(body)" }
            do throws(GatewayError) {
                let text = try prepared.reply(ByteBuffer(string: reply), model: "m").pieces.map(\.string).joined()
                if text.utf8.count > FuzzCheck.most(bytes.count) { return "\(text.utf8.count) bytes" }
                return ByteBuffer(string: text).isJSON ? nil : "reply: no JSON: \(text)"
            } catch {
                return error.message.isEmpty ? "no words for \(error.code)" : nil
            }
        }
        #expect(fault == nil)
    }

    @Test("a stored response, however damaged, is told from any place")
    func stored() {
        let corpus = FuzzCorpus.wholes(.responses) + FuzzCorpus.streams(.responses)
        let fault = Fuzz(.storedResponses).run(corpus, count: 200) { bytes, random in
            let object = ByteBuffer(bytes: bytes)
            let events = ResponsesDraft.events(object)
            if events.reduce(0, { $0 + $1.readableBytes }) > FuzzCheck.most(bytes.count) { return "too many events" }
            if object.isJSON {
                for draft in [ResponsesDraft.begun(object), ResponsesDraft.ended(object, .failed, .closedEarly)]
                where !draft.isJSON {
                    return "no JSON: \(draft.string)"
                }
            }
            _ = ResponsesDraft.ending(object)
            let whole = ResponsesDraft.cut(object)
            var cutter = ResponsesEventCutter()
            let pieces = FuzzCheck.cut(bytes, &random).flatMap { cutter.take($0) ?? [] }
            return pieces == whole ? nil : "cut, it differs"
        }
        #expect(fault == nil)
    }

    static let pictures: [[UInt8]] =
        ImageAddressTests.bodies.map { Array(json($0.1).utf8) }
        + [
            "data:image/PNG;charset=x;base64,iVBORw0KGgo=", "DATA:image/svg+xml;base64,AAAA", "data:,x",
        ].map { Array($0.utf8) }

    @Test("images are found where they stand, and put there once")
    func images() throws {
        let image = try #require(InlineImage(ImageAddressTests.png))
        let fault = Fuzz(.images).run(Self.pictures, count: 500) { bytes, random in
            let text = ByteBuffer(bytes: bytes)
            _ = InlineImage(text)
            if let data = DataURL(String(decoding: bytes, as: UTF8.self)) {
                if data.payload.readableBytes > bytes.count || data.decodedBytes < 0 { return "a payload of its own" }
            }
            guard let document = try? JSONDocument(checking: text) else { return nil }
            let client = random.pick(DialectID.allCases)
            guard let found = try? ImageAddresses.find(in: document, of: client) else { return nil }
            let images = Dictionary(uniqueKeysWithValues: found.map { ($0, image) })
            guard let changed = try? ImageAddresses.replaced(in: document, of: client, by: images) else {
                return "found and not replaced"
            }
            return (try? ImageAddresses.find(in: changed, of: client)) == [] ? nil : "found again"
        }
        #expect(fault == nil)
    }
}
