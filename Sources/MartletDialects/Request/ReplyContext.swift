package import MartletWire
package import NIOCore

/// What the reply's reader and writer must know of the request it answers.
package struct ReplyContext: Sendable, Hashable {
    package var toolNames: ToolNameMap
    /// Strings at which the gateway itself must end the visible text; empty when the upstream does all of it.
    package var stops: [String]
    /// All stop strings the client gave, to tell which one an upstream reports.
    package var clientStops: [String]
    /// Text of the assistant's turn which the reply continues, and must not repeat.
    package var prefill: EscapedText?
    /// Reasoning is read and counted, and not shown.
    package var hidesReasoning: Bool
    /// Calls after the first are dropped.
    package var keepsFirstCallOnly: Bool
    /// How reasoning comes; `thinkTags` needs the splitter.
    package var reasoningOut: Capabilities.ReasoningField
    /// Whatever `reasoningOut` says, thinking may stand in `<think>` tags at the very beginning of the text.
    package var splitsThinking = false
    /// With `thinkTags`: the answer begins inside thinking, because the prompt ended with the opening tag.
    package var startsInsideThinking: Bool
    /// Ids of calls in the conversation so far: an upstream's id is kept only when it is none of them.
    package var callIDs: Set<String>
    /// Tokens of the prompt, estimated on the high side.
    package var inputEstimate: Int
    /// Of a relay, which reads nothing of its request: the client's body, to be estimated where the upstream never
    /// counts it.
    package var relayed: RelayedRequest?
    /// Tokens, where known.
    package var contextWindow: Int?
    /// A Chat client asked for the usage chunk of a stream.
    package var includesUsage: Bool
    /// Structured output was asked for: content that is empty while the reasoning is JSON is to be moved.
    package var wantsJSON: Bool
    /// And the upstream does that, so that a relay has to look, too.
    package var misplacesJSON = false
    /// What a whole answer has to be checked for; nil where the upstream sees to it, or the answer is streamed.
    package var answerForm: AnswerForm?
    /// What an answer took that did not fit, and was asked for again.
    package var spent: Usage?
    /// Of a client of Responses: the reply is a summary of the conversation, and is told as one.
    package var compaction: Compaction?
    /// Of a client of Responses: the item with which the output begins, a JSON object's text, because the conversation
    /// was summed up before it was answered.
    package var summary: ByteBuffer?
    /// Of a client of Responses: what its reply repeats, and the kinds its tools were declared as.
    package var echo: ResponsesEcho?
    /// Of a relay: events that tell how far the prompt is read were asked for by us, not by the client.
    package var hidesProgress: Bool
    /// What the reply may call that is run here; nil for nothing.
    package var served: ServedTable?
    /// What the reply may call; nil when it may call nothing.
    package var tools: OfferedTools?
    /// The upstream leaves calls in the text.
    package var findsCalls: Bool
    /// Tokens the upstream was told to stop at, where its dialect does not say why a reply ended.
    package var outputLimit: Int?
    /// The upstream garbles the arguments of its own calls.
    package var mendsArguments: Bool

    package init(
        toolNames: ToolNameMap = ToolNameMap(), stops: [String] = [], clientStops: [String] = [],
        prefill: EscapedText? = nil, hidesReasoning: Bool = false, keepsFirstCallOnly: Bool = false,
        reasoningOut: Capabilities.ReasoningField = .field("reasoning_content"), startsInsideThinking: Bool = false,
        callIDs: Set<String> = [], inputEstimate: Int = 0, contextWindow: Int? = nil, includesUsage: Bool = false,
        wantsJSON: Bool = false, hidesProgress: Bool = false, tools: OfferedTools? = nil, findsCalls: Bool = true,
        mendsArguments: Bool = false, echo: ResponsesEcho? = nil
    ) {
        self.toolNames = toolNames
        self.stops = stops
        self.clientStops = clientStops
        self.prefill = prefill
        self.hidesReasoning = hidesReasoning
        self.keepsFirstCallOnly = keepsFirstCallOnly
        self.reasoningOut = reasoningOut
        self.startsInsideThinking = startsInsideThinking
        self.callIDs = callIDs
        self.inputEstimate = inputEstimate
        self.contextWindow = contextWindow
        self.includesUsage = includesUsage
        self.wantsJSON = wantsJSON
        self.echo = echo
        self.hidesProgress = hidesProgress
        self.tools = tools
        self.findsCalls = findsCalls
        self.mendsArguments = mendsArguments
    }
}

/// A request that goes on as the client sent it.
package struct RelayedRequest: Sendable, Hashable {
    package var dialect: DialectID
    package var body: ByteBuffer

    package init(dialect: DialectID, body: ByteBuffer) {
        self.dialect = dialect
        self.body = body
    }

    fileprivate var inputEstimate: Int {
        guard let document = try? JSONDocument(checking: body),
            let request = try? Dialects.readRequest(document, from: dialect)
        else { return TokenEstimate.of(bytes: body.readableBytes) }
        return TokenEstimate.of(request)
    }
}

extension ReplyContext {
    /// Tokens of the prompt where nobody has counted them.
    var promptEstimate: Int { relayed?.inputEstimate ?? inputEstimate }

    /// What a reply of the client's own dialect says has to be written anew.
    var needsWriter: Bool { summary != nil || compaction != nil && compaction != .relayed }

    /// How the reasoning of such an upstream comes.
    package mutating func expectReasoning(_ flags: Capabilities) {
        reasoningOut = flags.reasoningOut
        splitsThinking = flags.thinkTags
        startsInsideThinking = flags.promptOpenedThink
    }

    /// Nil where thinking never stands in the text.
    var splitter: ThinkSplitter? {
        if reasoningOut == .thinkTags { return ThinkSplitter(startsInside: startsInsideThinking) }
        return splitsThinking ? ThinkSplitter(.think) : nil
    }

    /// A relay, too, has to look where the JSON is that was asked for.
    var rescuesJSON: Bool { wantsJSON && misplacesJSON }
}

/// The tool names an upstream is given for those of the client, and back. Rebuilt from each request, never stored.
package struct ToolNameMap: Sendable, Hashable {
    private var toUpstream: [String: String] = [:]
    private var toClient: [String: String] = [:]
    /// Client's names of tools that take free text, which the upstream sees as functions of one `input` string.
    package private(set) var wrapped: Set<String> = []

    package init() {}

    /// The name the upstream is told.
    package func upstream(_ name: String) -> String { toUpstream[name] ?? name }

    /// The client's name. One the model invented is passed as it is.
    package func client(_ name: String) -> String { toClient.isEmpty ? name : toClient[name] ?? name }

    /// - Parameter name: the upstream's.
    package func isWrapped(_ name: String) -> Bool { !wrapped.isEmpty && wrapped.contains(client(name)) }

    /// Nothing is renamed or wrapped.
    package var isEmpty: Bool { toClient.isEmpty && wrapped.isEmpty }

    mutating func map(_ name: String, to upstream: String) {
        toUpstream[name] = upstream
        toClient[upstream] = name
    }

    mutating func wrap(_ name: String) { wrapped.insert(name) }
}
