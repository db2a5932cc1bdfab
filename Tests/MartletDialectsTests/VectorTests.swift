import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

/// A task's request as it is prepared for an upstream.
private func prepare(
    _ task: VectorTask, _ request: String, _ flags: Capabilities = Capabilities(), repairs: Bool = true
) throws -> PreparedTask {
    let document = try JSONDocument(checking: ByteBuffer(json: request))
    return try task.prepare(document, edit: JSONEdit(), for: flags, repairs: repairs)
}

extension PreparedTask {
    fileprivate var sent: String { body.map(\.string).joined() }

    /// The reply for the client; `'` is `"`.
    fileprivate func answer(_ reply: String) throws -> String {
        try self.reply(ByteBuffer(json: reply), model: "local").pieces.map(\.string).joined()
    }
}

@Suite("Embeddings")
struct EmbeddingsTests {
    private static let usage = "'usage':{'prompt_tokens':3,'total_tokens':3}"

    private func list(_ entries: String..., more: String = usage) -> String {
        let data = entries.enumerated().map { "{'object':'embedding','index':\($0),'embedding':\($1)}" }
        return "{'object':'list','data':[\(data.joined(separator: ","))],'model':'up',\(more)}"
    }

    @Test("a reply in the form that was asked for keeps its bytes but for the model")
    func untouched() throws {
        let floats = list("[0.10,-1e-05]", "[1,2]")
        let asked = try prepare(.embeddings, "{'model':'m','input':['a','b']}")
        #expect(try asked.answer(floats) == json(floats.replacing("'up'", with: "'local'")))
        let base64 = list("'AACAPw=='")
        let wanted = try prepare(.embeddings, "{'model':'m','input':'a','encoding_format':'base64'}")
        #expect(try wanted.answer(base64) == json(base64.replacing("'up'", with: "'local'")))
    }

    @Test("of several texts the longest is named where one is too long")
    func longest() throws {
        let refusal = GatewayError.contextOverflow(prompt: 300, maximum: 128)
        func words(_ input: String) throws -> String {
            ChatErrors.message(try prepare(.embeddings, "{'model':'m','input':\(input)}").refusal(refusal))
        }
        #expect(try words("['a','long one','b']").hasSuffix("Please shorten it. The longest text is input[1]."))
        #expect(try words("'long one'").hasSuffix("your prompt has 300 tokens. Please shorten it."))
    }

    @Test("C15: floats become the base64 that was asked for, and base64 the floats")
    func converted() throws {
        let base64 = try prepare(.embeddings, "{'model':'m','input':'a','encoding_format':'base64'}")
        #expect(
            try base64.answer(list("[1.0, -2, 0.5]"))
                == json(list("'AACAPwAAAMAAAAA/'").replacing("'up'", with: "'local'")))
        for format in ["", ",'encoding_format':'float'", ",'encoding_format':null"] {
            let floats = try prepare(.embeddings, "{'model':'m','input':'a'\(format)}")
            #expect(
                try floats.answer(list("'AACAPwAAAMAAAAA\\/zcxMPQ=='"))
                    == json(list("[1.0,-2.0,0.5,0.05]").replacing("'up'", with: "'local'")))
        }
    }

    @Test("vectors stand in the order of the inputs")
    func order() throws {
        let asked = try prepare(.embeddings, "{'model':'m','input':['a','b']}")
        let answered = try JSON(
            parsing: asked.answer(
                "{'data':[{'index':1,'embedding':[1]},{'index':0,'embedding':[0],'x':1}],\(Self.usage)}"))
        #expect(answered["object"] == "list" && answered["model"] == "local")
        #expect(
            answered["data"]
                == (try JSON(
                    parsing: json(
                        "[{'index':0,'embedding':[0],'x':1,'object':'embedding'},"
                            + "{'index':1,'embedding':[1],'object':'embedding'}]"))))
    }

    static let wrong = [
        "{'data':[{'index':0,'embedding':[1]}]}",
        "{'data':[{'index':0,'embedding':[1]},{'index':0,'embedding':[1]}]}",
        "{'data':[{'index':0,'embedding':[1]},{'index':2,'embedding':[1]}]}",
        "{'data':[{'index':0,'embedding':[1]},{'index':1}]}",
        "{'data':[{'embedding':[1,null]},{'embedding':[1]}]}", "{'data':[{'embedding':[1e39]},{'embedding':[1]}]}",
        "{'data':[{'embedding':'AACA'},{'embedding':[1]}]}", "{'data':[1,2]}", "{'data':{}}", "{}", "[]", "nothing",
        "{'data':[{'embedding':{}},{'embedding':[1]}]}",
    ]

    @Test("what does not answer the request is the upstream's failure", arguments: wrong)
    func refused(reply: String) throws {
        let asked = try prepare(.embeddings, "{'model':'m','input':['a','b'],'encoding_format':'base64'}")
        let error = #expect(throws: GatewayError.self) { try asked.answer(reply) }
        #expect(error.map { ErrorTable.status($0, for: .chat) } ?? 0 >= 500)
    }

    @Test("an infinite or broken number is none")
    func infinite() throws {
        let asked = try prepare(.embeddings, "{'model':'m','input':'a'}")
        for text in ["AACAfw==", "AADAfw==", "AAA", "A+!=", "AAAAAA=="] {
            let result = Result { try asked.answer(list("'\(text)'")) }
            if text == "AAAAAA==" {
                #expect(try result.get() == json(list("[0.0]").replacing("'up'", with: "'local'")))
            } else {
                #expect(throws: GatewayError.self, "\(text)") { try result.get() }
            }
        }
    }

    @Test("the upstream's error in a 200 is one, in its own words")
    func error() throws {
        let asked = try prepare(.embeddings, "{'model':'m','input':'a'}")
        for reply in ["{'error':'no such model: m'}", "{'error':{'message':'no such model: m','code':404}}"] {
            let error = #expect(throws: GatewayError.self) { try asked.answer(reply) }
            #expect(error?.message == "no such model: m")
        }
    }

    @Test("a length that the model does not have is refused, and never cut to")
    func dimensions() throws {
        let asked = try prepare(.embeddings, "{'model':'m','input':'a','dimensions':2}")
        #expect(asked.sent.contains("\"dimensions\":2"))
        #expect(try asked.answer(list("[1,2]")) == json(list("[1,2]").replacing("'up'", with: "'local'")))
        let error = #expect(throws: GatewayError.self) { try asked.answer(list("[1,2,3]")) }
        #expect(error?.code == .unsupportedParameter && error?.param == "dimensions")
    }

    @Test("usage that is missing or zero is counted, or estimated")
    func usage() throws {
        for more in ["'usage':{'prompt_tokens':0,'total_tokens':0}", "'x':1"] {
            let tokens = try prepare(.embeddings, "{'model':'m','input':[[1,2],[3]]}")
            let counted = try JSON(parsing: tokens.answer(list("[1]", "[1]", more: more)))
            #expect(counted["usage"] == ["prompt_tokens": 3, "total_tokens": 3])
            let text = try prepare(.embeddings, "{'model':'m','input':'sixteen letters.'}")
            let reply = try text.reply(ByteBuffer(json: list("[1]", more: more)), model: "local")
            #expect((reply.summary.usage.input ?? 0) > 3)
        }
    }

    static let requests: [(members: String, param: String?)] = [
        ("'input':'a'", nil), ("'input':['a']", nil), ("'input':[1,2]", nil), ("'input':[[1],[2,3]]", nil),
        ("'x':1", "input"), ("'input':''", "input"), ("'input':[]", "input"), ("'input':['a','']", "input[1]"),
        ("'input':['a',1]", "input[1]"), ("'input':[[1],[]]", "input[1]"), ("'input':[[1,'a']]", "input[0][1]"),
        ("'input':[-1]", "input[0]"), ("'input':[1.5]", "input[0]"), ("'input':{}", "input"),
        ("'input':[{}]", "input[0]"),
        ("'input':'a','encoding_format':'int8'", "encoding_format"), ("'input':'a','dimensions':0", "dimensions"),
        ("'input':'a','dimensions':'2'", "dimensions"), ("'input':'a','input':'b'", "input"),
    ]

    @Test("requests are checked, and say what is wrong with which member", arguments: requests)
    func checked(members: String, param: String?) throws {
        guard let param else {
            #expect(try prepare(.embeddings, "{'model':'m',\(members)}").sent == json("{'model':'m',\(members)}"))
            return
        }
        let error = #expect(throws: GatewayError.self) { try prepare(.embeddings, "{'model':'m',\(members)}") }
        #expect(error?.code == .invalidRequest && error?.param == param)
    }

    @Test("an exact relay checks and changes nothing but the model's name")
    func exact() throws {
        let asked = try prepare(.embeddings, "{'model':'m','input':''}", repairs: false)
        #expect(asked.sent == json("{'model':'m','input':''}"))
        let reply = "{'data':[ {'index':7}],'model':'up' }"
        #expect(try asked.answer(reply) == json(reply.replacing("'up'", with: "'local'")))
    }

    @Test("upstreams without the route, or without tokens, are not asked")
    func incapable() throws {
        var flags = Capabilities()
        flags.embeddings = .text
        let error = #expect(throws: GatewayError.self) { try prepare(.embeddings, "{'input':[[1]]}", flags) }
        #expect(error?.code == .unsupportedParameter && error?.param == "input")
        flags.embeddings = .none
        for repairs in [true, false] {
            let none = #expect(throws: GatewayError.self) {
                try prepare(.embeddings, "{'input':'a'}", flags, repairs: repairs)
            }
            #expect(none?.code == .invalidRequest && none?.param == "model")
        }
    }
}

@Suite("Numbers of vectors")
struct VectorNumberTests {
    /// The floats of a list, through the reply of a request for base64, and back.
    private func converted(_ numbers: [String]) throws -> (bits: [UInt32], back: [String]) {
        let asked = try prepare(.embeddings, "{'input':'a','encoding_format':'base64'}")
        let list = "{'data':[{'embedding':[\(numbers.joined(separator: ","))]}]}"
        let base64 = try #require(try JSON(parsing: asked.answer(list))["data"]?[0]?["embedding"]?.string)
        let floats = try prepare(.embeddings, "{'input':'a'}")
        let back = try JSON(parsing: floats.answer("{'data':[{'embedding':'\(base64)'}]}"))
        let texts = try #require(back["data"]?[0]?["embedding"]?.array).map(\.text)
        return (texts.compactMap { Float($0)?.bitPattern }, texts)
    }

    static let edges = [
        "0", "-0.0", "1", "-1", "0.1", "16777217", "16777219", "33554435", "1.00000005960464477539062500001",
        "1.0000000596046448", "1.00000005960464477", "3.4028234663852886e38", "1.17549435e-38", "1.1754942e-38",
        "1e-45",
        "7e-46", "1E2", "1e+2", "123456789012345678901234567890", "0.000000000000000000000000000000000000001",
        "9007199254740993", "0.30000001192092896", "8.589973e9", "-0.02345678901234567",
    ]

    @Test("a number goes to the nearest 32-bit float, whatever its spelling")
    func nearest() throws {
        let (bits, _) = try converted(Self.edges)
        #expect(bits == Self.edges.map { Float($0)?.bitPattern ?? 1 })
    }

    @Test(
        "the short way and the long give the same, and the shortest text leads back", arguments: 0..<8 as Range<UInt64>)
    func random(seed: UInt64) throws {
        var random = Seeded(seed)
        var numbers: [String] = []
        for _ in 0..<2000 {
            let float = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))
            guard float.isFinite else { continue }
            switch Int.random(in: 0...3, using: &random) {
            case 0: numbers.append(float.description)
            case 1: numbers.append(Double(float).description)
            case 2: numbers.append(((Double(float) + Double(float.nextUp)) / 2).description)
            default: numbers.append(Double.random(in: -1...1, using: &random).description)
            }
        }
        numbers.removeAll { Float($0)?.isFinite != true }
        let (bits, texts) = try converted(numbers)
        for (number, bits) in zip(numbers, bits) {
            #expect(Float(number)?.bitPattern == bits, "\(number), seed \(seed)")
        }
        #expect(texts == numbers.compactMap { Float($0)?.description }, "seed \(seed)")
    }
}

@Suite("Rankings of documents")
struct RerankTests {
    private static let request = "{'model':'m','query':'q','documents':['a','b','c']"

    @Test("results stand best first, no more than wanted, and the rest of the reply stays")
    func ranked() throws {
        let reply =
            "{'model':'up','object':'list','usage':{'total_tokens':9},'results':[{'index':0,'relevance_score':-1.50},"
            + "{'index':1,'relevance_score':2e1},{'index':2,'relevance_score':0.5,'x':1}]}"
        #expect(
            try prepare(.rerank, Self.request + "}").answer(reply)
                == json(
                    "{'model':'local','object':'list','usage':{'total_tokens':9},'results':["
                        + "{'index':1,'relevance_score':2e1},{'index':2,'relevance_score':0.5,'x':1},"
                        + "{'index':0,'relevance_score':-1.50}]}"))
        let two = try JSON(parsing: prepare(.rerank, Self.request + ",'top_n':2}").answer(reply))
        #expect(two["results"]?.array?.compactMap { $0["index"]?.int } == [1, 2])
    }

    @Test("documents go up as texts, and come back when they are asked for")
    func documents() throws {
        let asked = try prepare(
            .rerank,
            "{'model':'m','query':'q','documents':[{'title':'t','text':'\\u00e9'},'b'],'return_documents':true,'top_n':1}"
        )
        #expect(
            asked.sent
                == json("{'model':'m','query':'q','documents':['\\u00e9','b'],'return_documents':true,'top_n':1}"))
        let reply = "{'results':[{'index':0,'score':1},{'index':1,'score':0}]}"
        #expect(
            try asked.answer(reply)
                == json("{'results':[{'index':0,'relevance_score':1,'document':{'text':'\\u00e9'}}],'model':'local'}"))
        let without = try prepare(.rerank, Self.request + ",'return_documents':false,'top_n':1}")
        let shown = "{'results':[{'index':2,'relevance_score':1,'document':{'text':'c'}}]}"
        #expect(try !without.answer(shown).contains("document"))
        let unsaid = try prepare(.rerank, Self.request + ",'top_n':1}")
        #expect(try unsaid.answer(shown).contains("document"))
    }

    static let wrong = [
        "{'results':[]}", "{'results':[{'index':0,'relevance_score':1}]}", "{'results':{}}", "{}",
        "{'results':[{'index':0,'relevance_score':1},{'index':0,'relevance_score':1}]}",
        "{'results':[{'index':0,'relevance_score':1},{'index':3,'relevance_score':1}]}",
        "{'results':[{'index':0,'relevance_score':1},{'index':1}]}",
        "{'results':[{'index':0,'relevance_score':1},{'index':1,'relevance_score':'high'}]}",
    ]

    @Test("what does not rank the documents is the upstream's failure", arguments: wrong)
    func refused(reply: String) throws {
        let asked = try prepare(.rerank, Self.request + ",'top_n':2}")
        let error = #expect(throws: GatewayError.self) { try asked.answer(reply) }
        #expect(error?.code == .upstreamBadReply)
    }

    static let requests: [(members: String, param: String)] = [
        ("'documents':['a']", "query"), ("'query':'','documents':['a']", "query"), ("'query':'q'", "documents"),
        ("'query':'q','documents':[]", "documents"), ("'query':'q','documents':[1]", "documents[0]"),
        ("'query':'q','documents':['a',{'title':'t'}]", "documents[1].text"),
        ("'query':'q','documents':['a'],'top_n':0", "top_n"),
        ("'query':'q','documents':['a'],'return_documents':'yes'", "return_documents"),
    ]

    @Test("requests are checked, and say what is wrong with which member", arguments: requests)
    func checked(members: String, param: String) {
        let error = #expect(throws: GatewayError.self) { try prepare(.rerank, "{\(members)}") }
        #expect(error?.code == .invalidRequest && error?.param == param)
    }

    @Test("an upstream without the route is not asked")
    func incapable() {
        var flags = Capabilities()
        flags.rerank = false
        let error = #expect(throws: GatewayError.self) { try prepare(.rerank, Self.request + "}", flags) }
        #expect(error?.code == .invalidRequest && error?.param == "model")
    }
}
