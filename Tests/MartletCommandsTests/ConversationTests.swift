import MartletCommands
import MartletWire
import Testing

@Suite("a talk in a terminal")
struct ConversationTests {
    @Test("the first turn fits LM Studio's chat, the next goes on from what the server kept")
    func native() {
        var talk = Conversation(model: "m")
        talk.system = "Be brief."
        talk.goesOn = true
        #expect(talk.fitsNative)
        #expect(
            talk.nativeBody("Hi").text
                == #"{"model":"m","input":"Hi","system_prompt":"Be brief.","store":true,"stream":true}"#)
        talk.add("Hi", "Hello.", kept: "resp_1")
        #expect(talk.fitsNative)
        #expect(
            talk.nativeBody("More").text
                == #"{"model":"m","input":"More","previous_response_id":"resp_1","store":true,"stream":true}"#)
    }

    @Test("where the server has kept nothing, the whole talk is sent as messages")
    func chat() {
        var talk = Conversation(model: "m")
        talk.system = "Be brief."
        talk.add("Hi", "Hello.", kept: "resp_1")
        talk.add("More", "Half an ans", kept: nil)
        #expect(!talk.fitsNative)
        #expect(
            talk.chatBody("Go on").text
                == #"{"model":"m","messages":[{"role":"system","content":"Be brief."},"#
                + #"{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello."},"#
                + #"{"role":"user","content":"More"},{"role":"assistant","content":"Half an ans"},"#
                + #"{"role":"user","content":"Go on"}],"stream":true}"#)
        talk.clear()
        #expect(talk.isEmpty && talk.fitsNative)
        #expect(talk.nativeBody("Hi")["previous_response_id"] == nil)
        #expect(talk.nativeBody("Hi")["system_prompt"] == "Be brief.")
    }

    @Test("limits, temperature and reasoning are said in each API's words")
    func settings() {
        var talk = Conversation()
        talk.maxTokens = 5
        talk.temperature = 0.5
        talk.reasoning = "off"
        #expect(
            talk.nativeBody("Hi").text
                == #"{"model":"local-model","input":"Hi","temperature":0.5,"max_output_tokens":5,"reasoning":"off","#
                + #""store":false,"stream":true}"#)
        talk.temperature = 1.5
        #expect(!talk.fitsNative, "its chat takes no such temperature")
        talk.temperature = 0.5
        talk.ttl = 60
        #expect(!talk.fitsNative, "its chat takes no ttl")
        #expect(
            talk.chatBody("Hi").text
                == #"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"temperature":0.5,"#
                + #""reasoning_effort":"none","ttl":60,"stream":true}"#)
    }

    @Test(
        "typed lines are questions, but for commands",
        arguments: [
            ("hello", ChatLine.question("hello")), ("  ", .nothing), ("/help", .help), (" /exit ", .exit),
            ("/new", .new),
            ("/model", .model(nil)), ("/model  acme/w ", .model("acme/w")), ("/system Be brief.", .system("Be brief.")),
            ("/etc/passwd is what?", .question("/etc/passwd is what?")), ("/nonsense", .unknown("/nonsense")),
            (" two words ", .question(" two words ")), ("/system\nBe\nbrief.", .system("Be\nbrief.")),
            ("/*\nint x;", .question("/*\nint x;")),
        ])
    func lines(_ text: String, _ line: ChatLine) { #expect(ChatLine(text) == line) }
}

@Suite("an answer as it comes")
struct ChatScreenTests {
    static let native = [
        #"{"type":"chat.start","model_instance_id":"m"}"#,
        #"{"type":"model_load.start","model_instance_id":"m"}"#,
        #"{"type":"model_load.progress","model_instance_id":"m","progress":0.5}"#,
        #"{"type":"model_load.end","model_instance_id":"m","load_time_seconds":2.5}"#,
        #"{"type":"prompt_processing.start"}"#, #"{"type":"prompt_processing.progress","progress":0.25}"#,
        #"{"type":"prompt_processing.end"}"#, #"{"type":"reasoning.start"}"#,
        #"{"type":"reasoning.delta","content":"Hm"}"#, #"{"type":"reasoning.delta","content":"."}"#,
        #"{"type":"reasoning.end"}"#, #"{"type":"message.delta","content":"Yes\u001b[31m"}"#,
        #"{"type":"message.delta","content":"."}"#,
        #"{"type":"chat.end","result":{"stats":{"total_output_tokens":3,"tokens_per_second":30.04,"#
            + #""time_to_first_token_seconds":0.2},"response_id":"resp_1"}}"#,
    ]

    private func shown(_ screen: ChatScreen) throws -> (text: String, aside: String) {
        var screen = screen
        var outputs: [ChatScreen.Output] = []
        for text in Self.native {
            if let step = ChatStep(native: try JSON(parsing: text)) { outputs += screen.show(step, columns: 60) }
        }
        var (text, aside) = ("", "")
        for output in outputs {
            switch output {
            case .text(let piece): text += piece
            case .aside(let piece): aside += piece
            }
        }
        return (text, aside)
    }

    @Test("on a terminal bars move and go, reasoning is dim, and what could steer it is taken out")
    func terminal() throws {
        let (text, aside) = try shown(ChatScreen(name: "m", movesBars: true, dims: true, showsReasoning: true))
        #expect(text == "Yes[31m.\n")
        let bar = String(repeating: "#", count: 15) + String(repeating: " ", count: 15)
        #expect(aside.contains("\rloading m  [\(bar)]  50%\u{1B}[K"))
        #expect(aside.contains("\r\u{1B}[Km is loaded, in 2.50 s\n"))
        #expect(aside.contains("\rreading the prompt  [#######"))
        #expect(aside.hasSuffix("\r\u{1B}[K\u{1B}[2mHm\u{1B}[0m\u{1B}[2m.\u{1B}[0m\n\n"))
    }

    @Test("elsewhere there are plain lines, and no escape sequence")
    func plain() throws {
        let (text, aside) = try shown(ChatScreen(name: "m", movesBars: false, dims: false, showsReasoning: true))
        #expect(text == "Yes[31m.\n")
        let lines = [
            "loading m: 0%", "loading m: 50%", "m is loaded, in 2.50 s", "reading the prompt: 25%", "thinking: Hm.",
        ]
        #expect(aside == lines.map { $0 + "\n" }.joined())
        let quiet = try shown(ChatScreen(name: "m", movesBars: false, dims: false, showsReasoning: false))
        #expect(!quiet.aside.contains("Hm"))
    }

    @Test("why a model waits is said once in a line, and on a terminal until something else is")
    func waiting() {
        var plain = ChatScreen(name: "m", movesBars: false, dims: false, showsReasoning: false)
        #expect(plain.show(.waiting("m waits\u{1B}"), columns: 9) == [.aside("m waits\n")])
        #expect(plain.show(.waiting("m waits"), columns: 9) == [])
        #expect(plain.show(.waiting("m still waits"), columns: 9) == [.aside("m still waits\n")])
        var terminal = ChatScreen(name: "m", movesBars: true, dims: false, showsReasoning: false)
        #expect(terminal.show(.waiting("m waits long"), columns: 8) == [.aside("\rm waits\u{1B}[K")])
        #expect(terminal.show(.waiting("m waits"), columns: 80) == [.aside("\rm waits\u{1B}[K")])
        #expect(terminal.show(.text("Hi"), columns: 80) == [.aside("\r\u{1B}[K"), .text("Hi")])
    }

    @Test("reading that takes its time is told in lines, again in each round; a prompt that is read at once is not")
    func reading() {
        var screen = ChatScreen(name: "m", movesBars: false, dims: false, showsReasoning: false)
        let told = [0, 1, 0, 0.04, 0.06, 0.41, 1, 0, 0.41].map { screen.show(.reading($0), columns: 60) }
        let (four, forty) = (told[3], told[5])
        #expect(four == [.aside("reading the prompt: 4%\n")] && forty == [.aside("reading the prompt: 41%\n")])
        #expect(told == [[], [], [], four, [], forty, [], [], forty])
    }

    @Test("the end tells the numbers and what the server calls the talk")
    func end() throws {
        guard case .ended(let end)? = ChatStep(native: try JSON(parsing: try #require(Self.native.last))) else {
            Issue.record("no end")
            return
        }
        #expect(end.kept == "resp_1")
        #expect(end.statistics == "3 tokens, 30.0 tokens/s, the first after 0.20 s")
        #expect(ChatEnd().statistics == nil)
    }

    @Test("chunks of Chat Completions tell the same")
    func chunks() throws {
        func steps(_ text: String) throws -> [ChatStep] { ChatStep.steps(chunk: try JSON(parsing: text)) }
        #expect(
            try steps(#"{"choices":[{"delta":{"reasoning_content":"Hm","content":"Yes"}}]}"#)
                == [.reasoning("Hm"), .text("Yes")])
        var end = ChatEnd()
        end.isCut = true
        #expect(try steps(#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#) == [.ended(end)])
        #expect(try steps(#"{"error":{"message":"it died"}}"#) == [.failed("it died")])
        #expect(try steps(#"{"choices":[]}"#).isEmpty)
    }

    @Test("a bar fits its terminal", arguments: [20, 40, 60, 200])
    func width(_ columns: Int) {
        let line = ProgressLine.bar("loading a-model-with-a-long-name", 2, "100%", columns: columns)
        #expect(line.count < columns && line.contains("100%"))
        #expect(ProgressLine.percent(.nan) == "0%")
    }

    @Test("each tenth is told once")
    func tenths() {
        var tenths = Tenths()
        let told = [0, 0.05, 0.1, 0.31, 0.2, 1, 1.5].map { tenths.isNew($0) }
        #expect(told == [true, false, true, true, false, true, false])
    }

    @Test("a refusal holds no name that nobody typed")
    func unnamed() {
        let refusal = "\"local-model\" is none of the models and 2 are served; name one of: a, b"
        #expect(
            Conversation().refusal(refusal, flag: "-m MODEL")
                == "no model is named (-m MODEL) and 2 are served; name one of: a, b")
        #expect(Conversation(model: "local-model").refusal(refusal, flag: "-m MODEL") == refusal)
    }
}
