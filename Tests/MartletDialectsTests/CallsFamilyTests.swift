import MartletDialects
import MartletWire
import Testing

/// Calls that upstreams leave in the text, as their model families write them.
@Suite("Calls in the text of a reply")
struct CallsFamilyTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var shown: String
        var tally: String
        var testDescription: String { name }

        init(_ name: String, _ text: String, _ shown: String, _ tally: String) {
            self.name = name
            self.text = json(text)
            self.shown = json(shown)
            self.tally = tally
        }
    }

    static let weather = "get_weather{'city':'Paris'}"

    static let understood: [Case] = [
        Case(
            "hermes", "I look.\n<tool_call>\n{'name': 'get_weather', 'arguments': {'city': 'Paris'}}\n</tool_call>",
            "I look.\n|\(weather)", "hermes=1"),
        Case("hermes alone", "<tool_call>{'name':'get_time','arguments':{}}</tool_call>", "get_time{}", "hermes=1"),
        Case(
            "hermes, two and text between",
            "<tool_call>{'name':'get_time','arguments':{}}</tool_call>\nand\n<tool_call>{'name':'get_time'}</tool_call>\n",
            "get_time{}|and\n|get_time{}", "hermes=2"),
        Case(
            "hermes, two side by side",
            "<tool_call>{'name':'get_time'}</tool_call><tool_call>{'name':'get_time'}</tool_call>",
            "get_time{}|get_time{}", "hermes=2"),
        Case(
            "hermes, two in one tag", "<tool_call>\n{'name':'get_time'}\n{'name':'get_time'}\n</tool_call>",
            "get_time{}|get_time{}", "hermes=2"),
        Case(
            "hermes, a list", "<tool_call>[{'name':'get_time'},{'name':'get_time'}]</tool_call>",
            "get_time{}|get_time{}", "hermes=2"),
        Case(
            "hermes, the end tag in a string",
            "<tool_call>{'name':'write_file','arguments':{'path':'a','content':'x</tool_call>y'}}</tool_call>z",
            "write_file{'path':'a','content':'x</tool_call>y'}|z", "hermes=1"),
        Case(
            "hermes without its end tag", "<tool_call>{'name':'get_weather','arguments':{'city':'Paris'}}", weather,
            "hermes=1"),
        Case(
            "hermes without its last bracket",
            "<tool_call>{'name':'get_weather','arguments':{'city':'Paris'}\n</tool_call>",
            weather, "hermes=1; repaired=1"),
        Case(
            "hermes with a bracket too many",
            "<tool_call>{'name':'get_weather','arguments':{'city':'Paris'}}}</tool_call>", weather,
            "hermes=1; repaired=1"),
        Case(
            "hermes, arguments in a string",
            "<tool_call>{'name':'get_weather','arguments':'{\\'city\\':\\'Paris\\'}'}</tool_call>", weather, "hermes=1"),
        Case(
            "hermes as a native call",
            "<tool_call>{'type':'function','function':{'name':'get_weather','arguments':{'city':'Paris'}}}</tool_call>",
            weather, "hermes=1"),
        Case(
            "qwen3-coder",
            "On it.\n\n<tool_call>\n<function=write_file>\n<parameter=path>\na.txt\n</parameter>\n<parameter=content>\n"
                + "if a < b {\n  </parameter> x\n}\n</parameter>\n<parameter=mode>\n420\n</parameter>\n<parameter=force>\nTrue\n"
                + "</parameter>\n<parameter=tags>\n['a', 'b']\n</parameter>\n</function>\n</tool_call>",
            "On it.\n\n|write_file{'path':'a.txt','content':'if a < b {\\n  </parameter> x\\n}','mode':420,'force':true,"
                + "'tags':['a','b']}", "qwen-xml=1"),
        Case(
            "qwen3-coder without its outer tag",
            "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", weather,
            "qwen-xml=1"),
        Case("qwen3-coder without parameters", "<function=get_time></function>", "get_time{}", "qwen-xml=1"),
        Case(
            "qwen3-coder, two",
            "<tool_call><function=get_time></function></tool_call>\n<tool_call><function=get_time>"
                + "\n</function></tool_call>", "get_time{}|get_time{}", "qwen-xml=2"),
        Case(
            "mistral, a list", "[TOOL_CALLS][{'name':'get_weather','arguments':{'city':'Paris'}},{'name':'get_time'}]",
            "\(weather)|get_time{}", "mistral=2"),
        Case(
            "mistral, behind a sentence", "Sure.[TOOL_CALLS]get_weather[ARGS]{'city':'Paris'}", "Sure.|\(weather)",
            "mistral=1"),
        Case(
            "mistral, two", "[TOOL_CALLS]get_weather[ARGS]{'city':'Paris'}[TOOL_CALLS]get_time[CALL_ID]abc[ARGS]{}",
            "\(weather)|get_time{}", "mistral=2"),
        Case("mistral without a separator", "[TOOL_CALLS]get_weather{'city':'Paris'}", weather, "mistral=1"),
        Case(
            "llama, tagged", "<|python_tag|>{'name':'get_weather','parameters':{'city':'Paris'}}<|eom_id|>", weather,
            "llama=1"),
        Case(
            "llama, tagged, two",
            "<|python_tag|>{'name':'get_weather','parameters':{'city':'Paris'}}; {'name':'get_time','parameters':{}}",
            "\(weather)|get_time{}", "llama=2"),
        Case("llama, a built-in", "<|python_tag|>get_weather.call(city='Paris')", weather, "llama=1"),
        Case(
            "llama, bare", "{'name': 'get_weather', 'parameters': {'city': 'Paris'}}", "get_weather{'city': 'Paris'}",
            "llama=1"),
        Case(
            "llama, bare with a type", "\n{'type': 'function', 'name': 'get_time', 'parameters': {}}\n", "get_time{}",
            "llama=1"),
        Case("llama, custom", "<function=get_weather>{'city':'Paris'}</function>", weather, "llama=1"),
        Case(
            "llama, custom, two behind a sentence",
            "Sure.\n<function=get_weather>{'city':'Paris'}</function>\n<function=get_time>{}</function><|eom_id|>",
            "Sure.\n|\(weather)|get_time{}", "llama=2"),
        Case(
            "pythonic", "[get_weather(city='Paris', days=3), get_time()]",
            "get_weather{'city':'Paris','days':3}|get_time{}", "pythonic=2"),
        Case(
            "pythonic, nested", "[write_file(path='a', tags=['x', None], force=True)]",
            "write_file{'path':'a','tags':['x',null],'force':true}", "pythonic=1"),
        Case(
            "deepseek v3.1",
            "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{'city':'Paris'}<｜tool▁call▁end｜>"
                + "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
            "Hm.|\(weather)|get_time{}", "deepseek=2"),
        Case(
            "deepseek v3",
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{'city':'Paris'}\n```"
                + "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n{}\n```<｜tool▁call▁end｜>"
                + "<｜tool▁calls▁end｜>", "\(weather)|get_time{}", "deepseek=2"),
        Case(
            "harmony",
            "<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>commentary "
                + "to=functions.get_weather <|constrain|>json<|message|>{'city':'Paris'}<|call|>",
            "[Think.]|\(weather)", "harmony=1"),
        Case(
            "harmony, recipient in the role",
            "<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{'city':'Paris'}<|call|>",
            weather, "harmony=1"),
        Case(
            "harmony, all channels",
            "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>commentary<|message|>B<|end|>"
                + "<|start|>assistant<|channel|>final<|message|>C<|return|>", "[A]|BC", ""),
        Case(
            "harmony without an end",
            "<|channel|>commentary to=functions.get_weather<|constrain|>json<|message|>{'city':'Paris'}", weather,
            "harmony=1"),
        Case(
            "glm",
            "Now.\n<tool_call>write_file\n<arg_key>path</arg_key>\n<arg_value>a</arg_value>\n<arg_key>mode</arg_key>\n"
                + "<arg_value>5</arg_value>\n<arg_key>content</arg_key>\n<arg_value>5</arg_value>\n</tool_call>",
            "Now.\n|write_file{'path':'a','mode':5,'content':'5'}", "glm=1"),
        Case("glm without arguments", "<tool_call>get_time</tool_call>", "get_time{}", "glm=1"),
        Case(
            "kimi",
            "Ok.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
                + "{'city':'Paris'}<|tool_call_end|><|tool_call_begin|>functions.get_time:1<|tool_call_argument_begin|>{}"
                + "<|tool_call_end|><|tool_calls_section_end|>", "Ok.|\(weather)|get_time{}", "kimi=2"),
        Case(
            "lm studio", "[TOOL_REQUEST]{'name':'get_weather','arguments':{'city':'Paris'}}[END_TOOL_REQUEST]", weather,
            "lm-studio=1"),
    ]

    @Test("a call in a family's form becomes one, in any cut and whole", arguments: understood)
    func understands(_ given: Case) throws {
        let text = given.text
        let shown = given.shown.replacing("{\"city\": \"Paris\"}", with: "{\"city\":\"Paris\"}")
        let expected = Shown(blocks: shown, end: given.tally.isEmpty ? "end_turn" : "tool_use", tally: given.tally)
        for pieces in [0, 1, 2, 3, 7, 20] {
            #expect(Calls.shown(Calls.stream(text, pieces: pieces)) == expected, "pieces of \(pieces)")
            #expect(Calls.shown(Calls.stream(text, pieces: pieces, escaped: true)) == expected, "pieces of \(pieces)")
        }
        #expect(try Calls.whole(text) == expected)
        #expect(try Calls.whole(text, finish: "tool_calls") == expected)
    }
}
