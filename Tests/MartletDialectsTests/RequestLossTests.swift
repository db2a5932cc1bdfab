import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Whatever a translated request says goes up, or is named.
@Suite("What a translation loses")
struct RequestLossTests {
    @Test(
        "what a request says goes up, or is named",
        arguments: LossCase.histories + LossCase.instructions + LossCase.files + LossCase.settings)
    func carriedOrNamed(given: LossCase) throws {
        let upstream = try #require(
            (DialectTableTests.upstreams + [DialectTableTests.native]).first { $0.name == given.upstream })
        let target = WriteTarget(model: "up", capabilities: upstream.capabilities, streams: false)
        let made = try Dialects.translateRequest(
            JSONDocument(checking: ByteBuffer(string: given.body)), from: given.client, to: upstream.dialect,
            for: target)
        #expect(made.dropped == given.dropped)
        for piece in given.carried { #expect(made.body.string.contains(piece), "\(made.body.string)") }
    }

    // MARK: - What has to be honoured

    static let tool = "{'type':'function','name':'f','parameters':{'type':'object'}}"
    static let forcedCalls: [(DialectID, String)] = [
        (.chat, "'tool_choice':'required'"), (.chat, "'tool_choice':'required','tools':[]"),
        (.chat, "'tool_choice':{'type':'function','function':{'name':'f'}}"),
        (.anthropic, "'tool_choice':{'type':'any'}"), (.anthropic, "'tool_choice':{'type':'tool','name':'f'}"),
        (.responses, "'tool_choice':'required'"),
        (
            .responses,
            "'tools':[\(tool)],'tool_choice':{'type':'allowed_tools','mode':'required','tools':[{'type':'mcp','server_label':'z'}]}"
        ),
    ]

    @Test("a call that is demanded where there is nothing to call is refused", arguments: forcedCalls)
    func noTool(client: DialectID, more: String) throws {
        for upstream in DialectTableTests.upstreams {
            let given = LossCase("", client, LossCase.hi, more, up: upstream.name)
            #expect(try DialectTableTests.translated(given.body, from: client, to: upstream) == .refused(400))
        }
    }

    static let unfit: [(DialectID, String, String)] = [
        (.responses, LossCase.hi, "'temperature':9"), (.responses, LossCase.hi, "'top_p':1.5"),
        (.responses, "{'role':'user'}", ""),
        (.responses, "{'role':'user','content':''}", ""), (.responses, "{'role':'user','content':[]}", ""),
        (.responses, LossCase.hi, "'instructions':7"),
    ]

    @Test("a Responses request is refused where the other dialects refuse theirs", arguments: unfit)
    func outOfRange(client: DialectID, messages: String, more: String) throws {
        for upstream in DialectTableTests.upstreams.filter({ $0.dialect != .responses }) {
            let given = LossCase("", client, messages, more, up: upstream.name)
            #expect(try DialectTableTests.translated(given.body, from: client, to: upstream) == .refused(400))
        }
    }

    @Test(
        "a limit of no tokens is answered here for clients of every dialect",
        arguments: ["max_tokens", "max_completion_tokens"])
    func noTokens(member: String) throws {
        let made = try translatedToAnthropic(userHi, #""\#(member)":0"#)
        #expect(made.request.answer == .nothing)
    }

    @Test("stop strings of white space, which Anthropic refuses, are looked for here")
    func blankStops() throws {
        let made = try translatedToAnthropic(userHi, #""stop":["END","\n"]"#)
        #expect(made.json["stop_sequences"] == ["END"])
        #expect(made.request.context.stops == ["\n"] && made.request.context.clientStops == ["END", "\n"])
        let few = try translatedToAnthropic(userHi, #""stop":["END","FIN","\n"]"#) { $0.stopLimit = 1 }
        #expect(few.request.context.stops == ["END", "FIN", "\n"] && few.json["stop_sequences"] == nil)
    }
}
