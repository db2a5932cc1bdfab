import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Arguments that are nearly JSON, or of nearly the right types.
@Suite("Arguments of calls, mended")
struct CallsArgumentTests {
    static let schema = """
        {'type':'object','required':['need'],'properties':{
          'n':{'type':'integer'},'x':{'type':'number'},'b':{'type':'boolean'},'s':{'type':'string'},
          'l':{'type':'array','items':{'type':'string'}},'li':{'type':'array','items':{'type':'integer'}},
          'o':{'type':'object','properties':{'n':{'type':'integer'}}},'ol':{'type':'array','items':{'type':'object'}},
          'u':{'type':['integer','null']},'either':{'type':['integer','boolean']},'any':{},
          'e':{'enum':[1,'1']},'way':{'anyOf':[{'type':'integer'},{'type':'null'}]},'need':{'type':'string'}}}
        """

    static func context() -> ReplyContext {
        ReplyContext(tools: OfferedTools([OfferedTools.Offer(name: "f", schema: ByteBuffer(json: schema))]))
    }

    func arguments(_ text: String) -> String {
        let stream = Calls.stream("<tool_call>{\"name\":\"f\",\"arguments\":\(text)}</tool_call>")
        let pipe = Dialects.pipe(from: .chat, to: replyTarget(.chat), context: Self.context())
        let relayed = run(pipe, reads(stream, of: 0))
        var arguments = ""
        for line in relayed.text.split(separator: "\n\n") where line.hasPrefix("data: {") {
            let delta = (try? JSON(parsing: String(line.dropFirst(6))))?["choices"]?[0]?["delta"]
            arguments += delta?["tool_calls"]?[0]?["function"]?["arguments"]?.string ?? ""
        }
        return arguments.isEmpty ? "-" : arguments
    }

    static let nearCases: [(String, String)] = [
        (#"{"s":"a",}"#, #"{"s":"a"}"#),
        (#"{"l":["a",],}"#, #"{"l":["a"]}"#),
        ("{'s':'a'}", #"{"s":"a"}"#),
        (#"{'s':'it\'s "x"'}"#, #"{"s":"it's \"x\""}"#),
        (#"{"b":True,"any":None,"s":"a"}"#, #"{"b":true,"any":null,"s":"a"}"#),
        (#"{s:"a",n:1}"#, #"{"s":"a","n":1}"#),
        (#"{s-t:"a"}"#, #"{"s-t":"a"}"#),
        ("{\"s\":\"a\nb\tc\"}", #"{"s":"a\nb\tc"}"#),
        (#"{"s":"\d+ C:\x"}"#, #"{"s":"\\d+ C:\\x"}"#),
        (#"{"s":"\ud83d\ude00 \ud83d"}"#, #"{"s":"😀 �"}"#),
        (#""{\"s\":\"a\"}""#, #"{"s":"a"}"#),
        (#""{'s':'a',}""#, #"{"s":"a"}"#),
        (#""""#, "{}"), ("null", "{}"), ("{}", "{}"),
        // Well-formed: stays as it was spelled.
        (#"{ "s" : "\u00e9\/", "x": 1.50 }"#, #"{ "s" : "\u00e9\/", "x": 1.50 }"#),
        // What could mean two things is left alone: no call.
        (#"{"s":"a" "n":1}"#, "-"), (#"{"s":a}"#, "-"), (#"{"s":"a""b"}"#, "-"), (#"{"n":01}"#, "-"),
        (#"{"n":NaN}"#, "-"), (#"{"s":"a","s":"b"}"#, "-"), (#"{"n":1;}"#, "-"), ("[]", "-"), ("5", "-"),
        (#""no json""#, "-"), (#"{"s":"a"]"#, "-"), ("{,}", "-"),
    ]

    @Test("near JSON becomes JSON, where it can mean one thing only", arguments: nearCases)
    func near(given: String, expected: String) { #expect(arguments(given) == expected) }

    static let typedCases: [(String, String)] = [
        ("{'n':'5'}", "{'n':5}"), ("{'n':'-5'}", "{'n':-5}"), ("{'n':'5.0'}", "{'n':'5.0'}"),
        ("{'n':'five'}", "{'n':'five'}"), ("{'n':' 5'}", "{'n':' 5'}"), ("{'n':5.0}", "{'n':5.0}"),
        ("{'x':'1e3'}", "{'x':1e3}"), ("{'b':'true'}", "{'b':true}"), ("{'b':'False'}", "{'b':false}"),
        ("{'b':'yes'}", "{'b':'yes'}"), ("{'b':1}", "{'b':1}"), ("{'s':5.50}", "{'s':'5.50'}"),
        ("{'s':true}", "{'s':'true'}"), ("{'s':{'a':1}}", "{'s':{'a':1}}"), ("{'l':'a'}", "{'l':['a']}"),
        ("{'l':'[\\'a\\',\\'b\\']'}", "{'l':['a','b']}"), ("{'li':'[1,2]'}", "{'li':[1,2]}"),
        ("{'li':['1',2]}", "{'li':[1,2]}"), ("{'li':'[1,'}", "{'li':'[1,'}"), ("{'li':3}", "{'li':[3]}"),
        ("{'li':'3'}", "{'li':[3]}"), ("{'li':'x'}", "{'li':'x'}"), ("{'o':'{\\'n\\':\\'1\\'}'}", "{'o':{'n':1}}"),
        ("{'o':{'n':'1'}}", "{'o':{'n':1}}"), ("{'ol':{'a':1}}", "{'ol':[{'a':1}]}"), ("{'s':null,'n':1}", "{'n':1}"),
        ("{'u':null}", "{'u':null}"), ("{'need':null}", "{'need':null}"), ("{'any':null}", "{'any':null}"),
        ("{'other':null}", "{'other':null}"), ("{'either':'5'}", "{'either':5}"),
        ("{'either':'true'}", "{'either':true}"),
        ("{'u':'7'}", "{'u':7}"), ("{'way':'7'}", "{'way':7}"), ("{'way':null}", "{'way':null}"),
        ("{'e':'1'}", "{'e':'1'}"),
        ("{'n':'99999999999999999999'}", "{'n':99999999999999999999}"),
    ]

    @Test("a value takes the type its schema wants, where there is one way", arguments: typedCases)
    func typed(given: String, expected: String) { #expect(arguments(json(given)) == json(expected)) }

    static let parameters: [(String, String, String)] = [
        ("n", "5", "5"), ("s", "5", "'5'"), ("s", "null", "'null'"), ("u", "null", "null"), ("b", "True", "true"),
        ("li", "[1, 2]", "[1,2]"), ("l", "a", "['a']"), ("o", "{'n':1}", "{'n':1}"), ("any", "5", "'5'"),
        ("n", "x", "'x'"),
        ("s", "<b> & \\n", "'<b> & \\\\n'"), ("s", "\nx\n", "'\\nx\\n'"), ("s", "", "''"),
    ]

    @Test("text between tags takes the type its schema wants", arguments: parameters)
    func parameter(name: String, text: String, value: String) {
        let call = "<function=f>\n<parameter=\(name)>\n\(json(text))\n</parameter>\n</function>"
        let shown = Calls.shown(Calls.stream(call), Self.context())
        #expect(shown.blocks == json("f{'\(name)':\(value)}"))
    }

    // MARK: - Native calls

    static func mending() -> ReplyContext {
        var context = context()
        context.mendsArguments = true
        return context
    }

    static let nativeCases: [(String, String, String)] = [
        ("{'n':'5',}", "{'n':5}", "repaired=1; coerced=1"),
        ("{'n':5}", "{'n':5}", ""),
        ("'{\\'s\\':\\'a\\'}'", "{'s':'a'}", ""),
        ("{'s':'a'", "{'s':'a'", "missed=native/malformed:1"),
    ]

    @Test(
        "a native call's arguments are mended as a whole, where the upstream is known to garble them",
        arguments: nativeCases
    )
    func native(given: String, expected: String, tally: String) throws {
        let text = json(given)
        let pieces = Calls.cut(text, 3)
        let stream =
            ReplyAnthropicTests.call(0, "c1", "f", pieces[0])
            + pieces.dropFirst().map { ReplyAnthropicTests.more(0, $0) }.joined() + ReplyAnthropicTests.finishCalls
            + done
        for client in DialectID.allCases where client != .completions {
            var pipe = Dialects.pipe(from: .chat, to: replyTarget(client), context: Self.mending())
            var out = ByteBuffer()
            for read in reads(stream, of: 40) { _ = pipe.pass(read, into: &out) }
            // Clients of Anthropic parse a call's input: one that is no JSON is a failure there.
            let isRefused = client == .anthropic && tally == "missed=native/malformed:1"
            if case .failed(let error) = pipe.finish(into: &out) {
                #expect(isRefused && error.code == .upstreamBadReply)
            } else {
                #expect(!isRefused)
            }
            let isObject = client == .lmstudio
            let escaped = isObject ? json(expected)[...] : JSON.string(json(expected)).text.dropFirst().dropLast()
            if tally.hasPrefix("missed") == false { #expect(out.string.contains(escaped)) }
            #expect(pipe.callTally.line == tally)
        }
        var plain = Self.mending()
        plain.mendsArguments = false
        let relayed = run(Dialects.pipe(from: .chat, to: replyTarget(.chat), context: plain), reads(stream, of: 0))
        #expect(relayed == run(Dialects.pipe(from: .chat, to: replyTarget(.chat)), reads(stream, of: 0)))
    }

    @Test("of two arguments of one name the last is meant, for clients that refuse two")
    func repeatedArguments() throws {
        let body = json(
            "{'id':'c','choices':[{'index':0,'message':{'tool_calls':[{'id':'c1','type':'function','function':{'name':'f','arguments':'{\\'a\\':1,\\'b\\':0,\\'\\\\u0061\\':2}'}}]},'finish_reason':'tool_calls'}]}"
        )
        let reply = try Dialects.translateWhole(ByteBuffer(string: body), from: .chat, to: replyTarget(.anthropic))
        #expect(try JSON(parsing: reply.pieces[0])["content"]?[0]?["input"] == ["b": 0, "a": 2])
    }
}
