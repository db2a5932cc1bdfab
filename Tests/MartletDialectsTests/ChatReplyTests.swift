import MartletDialects
import MartletTestSupport
import MartletWire
import NIOCore
import Testing

@Suite("Whole Chat Completions replies")
struct ChatReplyTests {
    static func reply(_ message: String, finish: String = "'stop'", more: String = "", model: String = "m") -> String {
        "{'id':'c','object':'chat.completion','created':1,'model':'\(model)','choices':[{'index':0,"
            + "'message':\(message),'logprobs':null,'finish_reason':\(finish)}]\(more)}"
    }

    static func call(_ call: String) -> String { "{'role':'assistant','content':null,'tool_calls':[\(call)]}" }

    func edit(_ body: String, _ mode: ChatFrameEdit.Mode) throws -> String {
        var ids = IDSource(seed: 1)
        let reply = try ChatReply.read(ByteBuffer(json: body))
        return reply.edit(mode: mode, model: "m", created: 7, ids: &ids).map(\.string).joined()
    }

    static let minted: String = {
        var ids = IDSource(seed: 1)
        return ids.chatCall()
    }()

    static let repairs: [(name: String, from: String, to: String)] = [
        (
            "nothingToRepair", reply("{'role':'assistant','content':'a', 'x':1.0}"),
            reply("{'role':'assistant','content':'a', 'x':1.0}")
        ),
        ("model", reply("{'content':'a'}", model: "up"), reply("{'content':'a'}")),
        ("C10 emptyToolCalls", reply("{'content':'a','tool_calls':[]}"), reply("{'content':'a'}")),
        (
            "C13 reasoning", reply("{'content':'a','reasoning':'x'}"),
            reply("{'content':'a','reasoning_content':'x'}")
        ),
        (
            "A5 finishStopWithACall",
            reply(call("{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}")),
            reply(
                call("{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}"),
                finish: "'tool_calls'")
        ),
        (
            "C2 oneIDForTwo",
            reply(
                call(
                    "{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}},"
                        + "{'id':'a','type':'function','function':{'name':'f','arguments':'[]'}}"),
                finish: "'tool_calls'"),
            reply(
                call(
                    "{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}},"
                        + "{'id':'\(minted)','type':'function','function':{'name':'f','arguments':'[]'}}"),
                finish: "'tool_calls'")
        ),
        (
            "C2 idMissing",
            reply(
                call("{'type':'function','function':{'name':'f','arguments':'{}'}}"),
                finish: "'tool_calls'"),
            reply(
                call("{'type':'function','function':{'name':'f','arguments':'{}'},'id':'\(minted)'}"),
                finish: "'tool_calls'")
        ),
        (
            "C8 emptyArguments",
            reply(
                call("{'id':'a','type':'function','function':{'name':'f','arguments':''}}"),
                finish: "'tool_calls'"),
            reply(
                call("{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}"),
                finish: "'tool_calls'")
        ),
        (
            "argumentsAsObject",
            reply(
                call("{'id':'a','type':'function','function':{'name':'f','arguments':{}}}"),
                finish: "'tool_calls'"),
            reply(
                call("{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}"),
                finish: "'tool_calls'")
        ),
        (
            "twoCallsWithOneId",
            reply(
                call(
                    "{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':'{}'}},{'index':1,'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}"
                ), finish: "'tool_calls'"),
            reply(
                call(
                    "{'index':0,'id':'a','type':'function','function':{'name':'f','arguments':'{}'}},{'index':1,'id':'\(minted)','type':'function','function':{'name':'f','arguments':'{}'}}"
                ), finish: "'tool_calls'")
        ),
        ("finishNull", reply("{'content':'a'}", finish: "null"), reply("{'content':'a'}")),
        ("finishOdd", reply("{'content':'a'}", finish: "'eos'"), reply("{'content':'a'}")),
        (
            "usageStays", reply("{'content':'a'}", more: ",'usage':{'prompt_tokens':1}"),
            reply("{'content':'a'}", more: ",'usage':{'prompt_tokens':1}")
        ),
    ]

    @Test("a repaired reply is what its table row says", arguments: repairs.map { ($0.name, $0.from, $0.to) })
    func table(name: String, from: String, to: String) throws {
        #expect(try edit(from, .repair) == json(to))
        #expect(try edit(to, .repair) == json(to))
    }

    @Test("exact mode changes the model and nothing else", arguments: repairs.map(\.from))
    func exact(body: String) throws {
        let renamed = body.with("'model':'m'", "'model' : 'up'")
        let expected = renamed.with("'model' : 'up'", "'model' : 'm'").with("'model':'up'", "'model':'m'")
        #expect(try edit(renamed, .exact) == expected)
    }

    @Test("the summary has what the record needs")
    func summary() throws {
        let body = Self.reply(
            Self.call("{'id':'a','function':{'name':'f','arguments':'{}'}}"),
            more:
                ",'usage':{'prompt_tokens':9,'completion_tokens':2,'prompt_tokens_details':{'cached_tokens':4}}"
        )
        let summary = try ChatReply.read(ByteBuffer(json: body)).summary
        #expect(
            summary
                == ReplySummary(
                    id: "c", model: "m", usage: Usage(input: 9, cacheRead: 4, output: 2), finishes: [.toolCalls],
                    toolCalls: 1))
    }

    /// Replies of members that are most often as they should be, and sometimes odd, double or missing.
    static func madeUp(_ random: inout some RandomNumberGenerator) -> String {
        func one(_ usual: String, _ odd: [String]) -> String {
            Int.random(in: 0..<8, using: &random) == 0 ? odd.randomElement(using: &random) ?? usual : usual
        }
        let message = [
            one("'role':'assistant'", ["'role':null"]), one("'content':'a b'", ["'content':null", "'content':[]"]),
            one("'x':1.0", ["'tool_calls':[]", "'tool_calls':null", "'tool_calls':[{'function':{'name':'f'}}]"]),
            one("'y':2", ["'reasoning':'r'", "'thinking':'r'", "'reasoning_content':'r'", "'reasoning_details':[]"]),
            one("'z':3", ["'function_call':{'name':'f'}", "'function_call':null", "'reason\\u0069ng':'r'"]),
        ].joined(separator: ",")
        let choice = [
            one("'index':0", ["'index':null", "'index':'0'", "'i':0", "'index':0,'index':1"]),
            one("'message':{\(message)}", ["'delta':{\(message)}", "'message':{\(message)},'message':{}", "'m':{}"]),
            one("'finish_reason':'stop'", ["'finish_reason':'length'", "'finish_reason':'eos'", "'finish_reason':''"]),
        ].joined(separator: ", ")
        let top = [
            one("'id':'c'", ["'id':''", "'id':null", "'i':1", "'id':'c','id':'d'"]),
            one("'object':'chat.completion'", ["'object':'text_completion'", "'object':null", "'o':1"]),
            one("'created':1", ["'created':null", "'created':'1'", "'c':1"]),
            one("'model':'up'", ["'model':null", "'m':1", "'model':'up','model':'m'", "'model':'m'"]),
            one("'choices':[{\(choice)}]", ["'choices':[{\(choice)},{\(choice)}]", "'choices':[{\(choice)},7]"]),
            one("'usage':{'prompt_tokens':1}", ["'usage':null", "'error':null"]),
        ].shuffled(using: &random)
        return "{\(top.joined(separator: " ,"))}"
    }

    @Test(
        "a reply that is taken for usual reads as if it had been repaired from scratch", arguments: [UInt64(1), 2, 3])
    func shortWay(seed: UInt64) throws {
        var random = Seeded(seed)
        var untouched = 0
        for _ in 0..<400 {
            let text = Self.madeUp(&random)
            guard let reply = try? ChatReply.read(ByteBuffer(json: text)) else { continue }
            func edited(trustsScan: Bool) -> String {
                var ids = IDSource(seed: 1)
                return reply.edit(mode: .repair, model: "m", created: 7, ids: &ids, trustsScan: trustsScan)
                    .map(\.string).joined()
            }
            let short = edited(trustsScan: true)
            let full = edited(trustsScan: false)
            // Repaired from scratch, a reply loses the white space between its members.
            guard short != full else { continue }
            untouched += 1
            let (shortReply, fullReply) = (ByteBuffer(string: short), ByteBuffer(string: full))
            #expect(try JSON(parsing: shortReply) == JSON(parsing: fullReply), "seed \(seed): \(text)")
        }
        #expect(untouched > 50, "seed \(seed): the short way is hardly ever taken")
    }

    static let failures: [(String, ErrorCode)] = [
        ("{'error':{'message':'boom','code':500}}", .upstreamFailed),
        ("{'error':'Unexpected endpoint or method. (POST /v1/chat/completions)'}", .notFound),
        ("{'id':'c','choices':[]}", .upstreamBadReply),
        ("{}", .upstreamBadReply),
        ("{'id':", .upstreamBadReply),
        ("'boom'", .upstreamFailed),
        ("oops", .upstreamBadReply),
        ("", .upstreamBadReply),
        (reply("{'content':'a'}", finish: "'error'"), .upstreamFailed),
    ]

    @Test("C17: a 200 that is no reply is an error", arguments: failures)
    func notAReply(body: String, code: ErrorCode) {
        let error = #expect(throws: GatewayError.self) { _ = try ChatReply.read(ByteBuffer(json: body)) }
        #expect(error?.code == code)
    }
}
