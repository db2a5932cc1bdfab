import MartletDialects
import MartletWire
import NIOCore
import Testing

/// Requests for LM Studio's own API, which refuses every key it does not know.
@Suite("Requests for LM Studio's own API")
struct LMStudioRequestTests {
    static let known: Set = [
        "model", "input", "system_prompt", "integrations", "stream", "temperature", "top_p", "top_k", "min_p",
        "repeat_penalty", "max_output_tokens", "reasoning", "context_length", "store", "previous_response_id",
    ]

    @Test("each client's question is asked, and kept nowhere")
    func question() throws {
        let chat = try toLMStudio(
            "{'model':'m','messages':[{'role':'system','content':'Be short.'},{'role':'user','content':'hi'}]}")
        #expect(
            chat.text
                == #"{"model":"acme/writer-8b","system_prompt":"Be short.","input":"hi","store":false}"#)
        let anthropic = try toLMStudio(
            "{'model':'m','max_tokens':9,'system':'Be short.','messages':[{'role':'user','content':'hi'}]}",
            from: .anthropic, streams: true)
        #expect(
            anthropic.text
                == #"{"model":"acme/writer-8b","system_prompt":"Be short.","input":"hi","max_output_tokens":9,"store":false,"stream":true}"#
        )
        let responses = try toLMStudio(
            "{'model':'m','instructions':'Be short.','input':'hi'}", from: .responses)
        #expect(responses.text == chat.text)
    }

    @Test("instructions lead wherever they stand; alone they are asked in the user's name")
    func instructions() throws {
        let late = try toLMStudio(
            "{'model':'m','messages':[{'role':'system','content':'A'},{'role':'user','content':'hi'},{'role':'developer','content':'B'}]}"
        )
        #expect(late.json["system_prompt"] == "A\n\nB")
        #expect(late.json["input"] == "hi")
        let alone = try toLMStudio("{'model':'m','messages':[{'role':'system','content':'A'}]}")
        #expect(alone.json["system_prompt"] == nil)
        #expect(alone.json["input"] == "A")
    }

    @Test("every key that is sent is one the API knows")
    func keys() throws {
        let all = try toLMStudio(
            """
            {'model':'m','messages':[{'role':'user','content':[{'type':'text','text':'see'},
            {'type':'image_url','image_url':{'url':'data:image/png;base64,\(pixel)'}}]}],'stream':true,'temperature':0.5,
            'top_p':0.9,'top_k':3,'min_p':0.05,'repeat_penalty':1.1,'max_tokens':77,'reasoning_effort':'high','seed':4,
            'stop':['X'],'frequency_penalty':1,'presence_penalty':1,'logit_bias':{'1':2},'ttl':60,'draft_model':'d',
            'user':'u','logprobs':true,'response_format':{'type':'json_object'},'parallel_tool_calls':false,
            'stream_options':{'include_usage':true},'metadata':{'a':'b'},'unknown':1}
            """, streams: true)
        #expect(Set(all.json.object?.keys ?? []).subtracting(Self.known) == [])
        #expect(all.json["reasoning"] == "high" && all.json["top_k"] == 3 && all.json["max_output_tokens"] == 77)
        #expect(all.json["min_p"]?.double == 0.05 && all.json["repeat_penalty"]?.double == 1.1)
        #expect(
            all.json["input"]
                == [
                    ["type": "text", "content": "see"],
                    ["type": "image", "data_url": .string("data:image/png;base64,\(pixel)")],
                ])
        #expect(
            all.request.dropped.sorted() == [
                "draft_model", "frequency_penalty", "logit_bias", "logprobs", "presence_penalty",
                "response_format", "seed", "ttl",
            ])
        #expect(all.request.context.stops == ["X"])
        #expect(all.request.context.outputLimit == 77)
        #expect(all.json["system_prompt"]?.string?.contains("JSON") == true)
    }

    @Test(
        "what it cannot say is refused by its name, with the setting that helps",
        arguments: [
            ("'tools':[{'type':'function','function':{'name':'f'}}]", "tools"),
            (
                "'messages':[{'role':'user','content':'a'},{'role':'assistant','content':'b'},{'role':'user','content':'c'}]",
                "messages"
            ),
        ])
    func refused(_ member: String, _ name: String) throws {
        let body =
            member.contains("messages") ? "{\(member)}" : "{'messages':[{'role':'user','content':'a'}],\(member)}"
        let error = refusal { try toLMStudio(body) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.param == name)
        #expect(error?.message.hasPrefix("\(name): LM Studio's own API takes no ") == true)
        #expect(error?.message.contains("set this upstream's dialect to chat") == true)
    }

    @Test("a stored conversation that goes on is refused as input")
    func continued() {
        let error = refusal {
            try toLMStudio(
                "{'input':[{'role':'user','content':'a'},{'type':'message','role':'assistant','content':[{'type':'output_text','text':'b'}]},{'role':'user','content':'c'}]}",
                from: .responses)
        }
        #expect(error?.param == "input")
    }

    @Test("tools that must not be called are left out and named")
    func forbiddenTools() throws {
        let made = try toLMStudio(
            "{'messages':[{'role':'user','content':'a'}],'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':'none'}"
        )
        #expect(made.request.dropped == ["tools"])
        #expect(made.json["tools"] == nil)
    }

    @Test(
        "a strict upstream refuses what another is not told", arguments: ["'seed':1", "'temperature':1.5", "'ttl':9"])
    func strict(_ member: String) throws {
        let body = "{'messages':[{'role':'user','content':'a'}],\(member)}"
        #expect(try toLMStudio(body).request.dropped.count == 1)
        #expect(refusal { try toLMStudio(body, strict: true) }?.code == .invalidRequest)
    }

    @Test("temperatures above its range are its highest")
    func temperature() throws {
        let made = try toLMStudio("{'messages':[{'role':'user','content':'a'}],'temperature':1.5}")
        #expect(made.json["temperature"] == 1)
        #expect(made.request.dropped == ["temperature"])
    }

    @Test(
        "reasoning is said in the words the model has",
        arguments: [
            ("'reasoning_effort':'none'", Capabilities.ThinkingControl.effort, "off"),
            ("'reasoning_effort':'xhigh'", .effort, "high"), ("'reasoning_effort':'minimal'", .effort, "low"),
            ("'reasoning_effort':'low'", .enableThinking, "on"), ("'reasoning_effort':'none'", .enableThinking, "off"),
            ("'thinking':{'type':'disabled'}", .effort, "off"), ("'reasoning_effort':'low'", .none, ""),
            ("'top_k':1", .effort, ""),
        ])
    func reasoning(_ member: String, _ control: Capabilities.ThinkingControl, _ word: String) throws {
        let made = try toLMStudio("{'messages':[{'role':'user','content':'a'}],\(member)}") {
            $0.thinkingControl = control
        }
        #expect(made.json["reasoning"]?.string ?? "" == word)
    }

    @Test("without a switch, thinking that is not wanted is hidden")
    func hidden() throws {
        let made = try toLMStudio("{'messages':[{'role':'user','content':'a'}],'reasoning_effort':'none'}") {
            $0.thinkingControl = .none
        }
        #expect(made.request.context.hidesReasoning)
    }

    @Test("images are PNG or JPEG data; others are named")
    func images() throws {
        for address in ["https://pictures.example/a.png", "data:image/webp;base64,UklGRg=="] {
            let made = try toLMStudio(
                "{'messages':[{'role':'user','content':[{'type':'image_url','image_url':{'url':'\(address)'}}]}]}")
            #expect(made.request.dropped == ["content.image"])
            #expect(made.json["input"]?.string?.hasPrefix("[image omitted: ") == true)
        }
    }

    @Test("warming a model up costs nothing; a token limit is fitted to the window")
    func limits() throws {
        #expect(try toLMStudio("{'input':''}", from: .responses).request.answer == .nothing)
        let none = try toLMStudio("{'max_tokens':0,'messages':[{'role':'user','content':'a'}]}", from: .anthropic)
        #expect(none.request.answer == .nothing)
        let fitted = try toLMStudio("{'messages':[{'role':'user','content':'a'}],'max_tokens':32000}", window: 4096)
        #expect((1024..<4096).contains(fitted.json["max_output_tokens"]?.int ?? 0))
        #expect(fitted.request.dropped == ["max_tokens"])
    }
}
