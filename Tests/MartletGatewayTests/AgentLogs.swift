import MartletDialects
import MartletTestSupport
import MartletWire

/// Conversations of agents as they grow: each step is what a further turn of the client adds, in its dialect's words. In the
/// shapes that Claude Code, Codex and LangChain send, with parallel calls, thinking, images and instructions on the way.
struct AgentLog {
    let dialect: DialectID
    /// What the first request holds, and what each later one adds.
    let steps: [[String]]
    /// Members beside the conversation. The accounting line of an Anthropic client changes from request to request.
    private let head: @Sendable (Int) -> String

    /// The request of a turn, from 0.
    func body(turn: Int) -> String {
        let items = steps[...turn].flatMap { $0 }.joined(separator: ",")
        return
            #"{"model":"m",\#(head(turn)),"\#(dialect == .responses || dialect == .lmstudio ? "input" : "messages")":[\#(items)],"stream":true}"#
    }

    /// - Parameter images: a Chat client sends one; one that cannot be seen would be refused.
    init(_ dialect: DialectID, turns: Int, seed: UInt64, images: Bool = true) {
        self.dialect = dialect
        var random = Seeded(seed)
        switch dialect {
        case .anthropic:
            steps = [Self.anthropicFirst] + (1..<turns).map { Self.anthropic($0, &random) }
            head = { turn in
                let system =
                    #"[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1; cch=\#(turn * 7919);"},{"type":"text","text":"You code.","cache_control":{"type":"ephemeral"}}]"#
                return #""max_tokens":32000,"system":\#(system),"tools":[\#(Self.anthropicTools)]"#
            }
        case .chat, .completions:
            steps = [Self.chatFirst(images)] + (1..<turns).map { Self.chat($0, &random) }
            head = { _ in #""tools":[\#(Self.chatTools)]"# }
        case .responses, .lmstudio:
            steps = [Self.responsesFirst] + (1..<turns).map { Self.responses($0, &random) }
            head = { _ in #""instructions":"You code.","store":false,"tools":[\#(Self.responsesTools)]"# }
        }
    }

    private static let parameters = #"{"type":"object","properties":{"command":{"type":"string","pattern":"^\\d+$"}}}"#
    private static let pixel = "iVBORw0KGgo="

    /// JSON text, quotes included.
    private static func words(_ random: inout Seeded) -> String {
        random.pick([
            #""done""#, #""a\nb \"c\" \\d""#, #""\u00e9\ud83d\ude00 é""#, #""{\"x\": 1.0}""#, #""<system-reminder>""#,
        ])
    }

    private static func arguments(_ random: inout Seeded) -> String {
        random.pick(["{}", #"{"command":"ls -la"}"#, #"{ "b": 1.50, "a": [1e2, null] }"#, #"{"p":"\u00e9\/"}"#])
    }

    // MARK: - Anthropic

    private static let anthropicTools =
        #"{"name":"Bash","input_schema":\#(parameters)},{"name":"mcp.x/Read","description":"reads","input_schema":{"type":"object","properties":{}}}"#
    private static let anthropicFirst = [
        #"{"role":"user","content":[{"type":"text","text":"<system-reminder>today is some day</system-reminder>"},{"type":"text","text":"do it"}]}"#,
        ##"{"role":"system","content":[{"type":"text","text":"# Environment"}]}"##,
    ]

    private static func anthropic(_ turn: Int, _ random: inout Seeded) -> [String] {
        let calls = random.below(3)
        var said: [String] = []
        if random.below(2) == 0 {
            said.append(
                #"{"type":"thinking","thinking":\#(words(&random)),"signature":"\#(random.pick(["gw1.x", "c2ln"]))"}"#)
        }
        if calls == 0 || random.below(2) == 0 { said.append(#"{"type":"text","text":\#(words(&random))}"#) }
        var results: [String] = []
        for call in 0..<calls {
            let id = "toolu_\(turn)_\(call)"
            said.append(
                #"{"type":"tool_use","id":"\#(id)","name":"\#(random.pick(["Bash", "mcp.x/Read"]))","input":\#(arguments(&random))}"#
            )
            let image =
                #"[{"type":"text","text":"shot"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"\#(pixel)"}}]"#
            let content = random.below(4) == 0 ? image : words(&random)
            results.append(
                #"{"type":"tool_result","tool_use_id":"\#(id)","content":\#(content),"is_error":\#(random.below(5) == 0)}"#
            )
        }
        if random.below(2) == 0 { results.reverse() }
        if calls == 0 || random.below(3) == 0 { results.append(#"{"type":"text","text":\#(words(&random))}"#) }
        var step = [
            #"{"role":"assistant","content":[\#(said.joined(separator: ","))]}"#,
            #"{"role":"user","content":[\#(results.joined(separator: ","))]}"#,
        ]
        if random.below(4) == 0 { step.append(#"{"role":"system","content":\#(words(&random))}"#) }
        return step
    }

    // MARK: - Chat

    private static let chatTools =
        #"{"type":"function","function":{"name":"Bash","parameters":\#(parameters)}},{"type":"function","function":{"name":"mcp.x/Read"}}"#
    private static func chatFirst(_ images: Bool) -> [String] {
        let image = #",{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(pixel)"}}"#
        return [
            #"{"role":"system","content":"You code."}"#, #"{"role":"developer","content":"Be brief."}"#,
            #"{"role":"user","content":[{"type":"text","text":"do it"}\#(images ? image : "")]}"#,
        ]
    }

    private static func chat(_ turn: Int, _ random: inout Seeded) -> [String] {
        let calls = random.below(3)
        let text = calls == 0 || random.below(2) == 0 ? words(&random) : "null"
        let thinking = random.below(2) == 0 ? #","reasoning_content":\#(words(&random))"# : ""
        var made: [String] = []
        var step: [String] = []
        for call in 0..<calls {
            let id = random.pick(["functions.Bash:\(turn)\(call)", "call_\(turn)\(call)"])
            let arguments = JSON.string(arguments(&random)).text
            made.append(
                #"{"id":"\#(id)","type":"function","function":{"name":"\#(random.pick(["Bash", "mcp.x/Read"]))","arguments":\#(arguments)}}"#
            )
            step.append(#"{"role":"tool","tool_call_id":"\#(id)","content":\#(words(&random))}"#)
        }
        if random.below(2) == 0 { step.reverse() }
        if calls == 0 || random.below(3) == 0 { step.append(#"{"role":"user","content":\#(words(&random))}"#) }
        if random.below(5) == 0 { step.append(#"{"role":"system","content":\#(words(&random))}"#) }
        let list = made.isEmpty ? "" : #","tool_calls":[\#(made.joined(separator: ","))]"#
        return [#"{"role":"assistant","content":\#(text)\#(thinking)\#(list)}"#] + step
    }

    // MARK: - Responses

    private static let responsesTools =
        #"{"type":"function","name":"Bash","parameters":\#(parameters),"strict":false},{"type":"custom","name":"apply_patch","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},{"type":"namespace","name":"agents","tools":[{"type":"function","name":"spawn","parameters":{"type":"object","properties":{}}}]}"#
    private static let responsesFirst = [
        #"{"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>"}]}"#,
        #"{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]}"#,
        #"{"type":"message","role":"user","content":[{"type":"input_text","text":"do it"}]}"#,
    ]

    private static func responses(_ turn: Int, _ random: inout Seeded) -> [String] {
        let calls = random.below(3)
        var step: [String] = []
        if random.below(2) == 0 {
            step.append(
                #"{"type":"reasoning","id":"rs_\#(turn)","summary":[{"type":"summary_text","text":\#(words(&random))}],"encrypted_content":\#(random.pick(["null", #""theirs""#]))}"#
            )
        }
        if calls == 0 || random.below(2) == 0 {
            step.append(
                #"{"type":"message","role":"assistant","content":[{"type":"output_text","text":\#(words(&random))}]}"#)
        }
        var results: [String] = []
        for call in 0..<calls {
            let id = "call_\(turn)_\(call)"
            let kind = random.below(3)
            let name = [#""name":"Bash""#, #""name":"spawn","namespace":"agents""#, #""name":"apply_patch""#][kind]
            if kind == 2 {
                step.append(#"{"type":"custom_tool_call","call_id":"\#(id)",\#(name),"input":\#(words(&random))}"#)
            } else {
                let arguments = JSON.string(arguments(&random)).text
                step.append(#"{"type":"function_call","call_id":"\#(id)",\#(name),"arguments":\#(arguments)}"#)
            }
            let type = kind == 2 ? "custom_tool_call_output" : "function_call_output"
            results.append(#"{"type":"\#(type)","call_id":"\#(id)","output":\#(words(&random))}"#)
        }
        if random.below(2) == 0 { results.reverse() }
        step += results
        if calls == 0 || random.below(3) == 0 {
            step.append(
                #"{"type":"message","role":"user","content":[{"type":"input_text","text":\#(words(&random))}]}"#)
        }
        if random.below(5) == 0 {
            step.append(
                #"{"type":"message","role":"developer","content":[{"type":"input_text","text":\#(words(&random))}]}"#)
        }
        return step
    }
}
