import MartletDialects
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
