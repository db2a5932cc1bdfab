import MartletDialects
import MartletWire
import NIOCore
import Testing

/// A reply in several rounds, as an exchange carries it out, without an exchange.
struct Rounds {
    /// What the client got.
    var text = ""
    var finding = Finding.nothing
    /// What went up, round by round.
    var bodies: [JSON] = []
    /// `name arguments`, or the reason why it could not be run.
    var calls: [String] = []
    /// What the client had got when the calls of each round were run.
    var before: [String] = []
    var tally = ReplyTally()
    /// That the rounds with calls took.
    var tokens: [Int] = []

    static let weather = tool("wiki", "lookup")

    static func tool(_ server: String, _ name: String, schema: String? = nil) -> ServedTool {
        let schema = schema ?? "{'type':'object','properties':{'q':{'type':'string'}},'required':['q']}"
        return ServedTool(
            Integration(.installed(label: server)), name: name, description: EscapedText(escaping: "Looks things up."),
            schema: ByteBuffer(json: schema))
    }

    /// The stream of a Chat upstream that calls tools; each call is `name|arguments`.
    static func calling(_ calls: String..., saying text: String = "", id: String = "up") -> String {
        var stream = text.isEmpty ? "" : chunk("{'role':'assistant','content':'\(text)'}")
        for (index, call) in calls.enumerated() {
            let parts = call.split(separator: "|", maxSplits: 1).map(String.init)
            let arguments = json(parts[1]).replacing("\"", with: "\\\\\"")
            stream += chunk(
                "{'tool_calls':[{'index':\(index),'id':'\(id)\(index)','type':'function',"
                    + "'function':{'name':'\(parts[0])','arguments':''}}]}")
            stream += chunk("{'tool_calls':[{'index':\(index),'function':{'arguments':'\(arguments)'}}]}")
                .replacing("\\\\\"", with: "\\\"")
        }
        return stream + chunk("{}", finish: "'tool_calls'", more: usage) + "data: [DONE]\n\n"
    }

    static func answering(_ text: String) -> String {
        chunk("{'role':'assistant','content':'\(text)'}") + chunk("{}", finish: "'stop'", more: usage)
            + "data: [DONE]\n\n"
    }

    private static let usage = ",'usage':{'prompt_tokens':10,'completion_tokens':2,'total_tokens':12}"

    /// - Parameter run: what becomes of a call that can be run.
    static func play(
        _ body: String, from client: DialectID, tools: [ServedTool] = [weather], hidden: Bool = false,
        streams: Bool = true, cut: Int = 0, _ streamsUp: [String],
        run: (ServedTool, ByteBuffer) -> ToolRun = { tool, _ in
            ToolRun(.output(json("[{'type':'text','text':'paper'}]")), by: tool.integration.provider)
        }
    ) throws -> Rounds {
        var rounds = Rounds()
        var served = ServedTools(tools, isHidden: hidden)
        let document = try JSONDocument(checking: ByteBuffer(json: body))
        var target = client == .responses ? responsesTarget() : replyTarget(client)
        target.folds = !streams
        var pipe: ReplyPipe?
        var out = ByteBuffer()
        for stream in streamsUp {
            let request = try Dialects.translateRequest(
                document, from: client, to: .chat,
                for: WriteTarget(model: "local", capabilities: Capabilities(), streams: true), serving: served)
            rounds.bodies.append(try JSON(parsing: request.body))
            if pipe == nil {
                pipe = Dialects.pipe(from: .chat, to: target, context: request.context)
            } else {
                pipe?.beginRound(from: .chat, context: request.context)
            }
            guard var current = pipe else { break }
            for read in reads(stream, of: cut) { rounds.finding = current.pass(read, into: &out) }
            if case .complete = rounds.finding {
            } else if case .calls = rounds.finding {
            } else {
                rounds.finding = current.finish(into: &out)
            }
            if case .calls(let endsReply, let tokens) = rounds.finding {
                rounds.tokens.append(tokens)
                rounds.before.append(out.string)
                for call in current.hostedCalls {
                    switch call.checked {
                    case .fault(let fault):
                        rounds.calls.append(fault.reason ?? "")
                        current.tell(fault, of: call.place, into: &out)
                    case .run(let tool, let arguments):
                        rounds.calls.append("\(tool.name) \(arguments.string)")
                        current.tell(run(tool, arguments), of: call.place, into: &out)
                    }
                }
                if endsReply {
                    rounds.finding = current.endRounds(into: &out)
                } else {
                    served.add(current.endRound())
                }
            }
            pipe = current
        }
        rounds.text = out.string
        if let pipe { rounds.tally = pipe.tally }
        return rounds
    }
}

extension String {
    /// The names of a stream's events.
    var events: [String] {
        split(separator: "\n").filter { $0.hasPrefix("event: ") }.map { String($0.dropFirst(7)) }
    }
}
