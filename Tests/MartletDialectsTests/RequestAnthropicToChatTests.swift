import MartletDialects
import MartletWire
import Testing

@Suite("Anthropic requests for a Chat upstream: system text and turns")
struct RequestAnthropicToChatTests {
    @Test("a plain request")
    func plain() throws {
        let made = try translatedToChat(
            body: #"{"max_tokens":50,"messages":[{"role":"user","content":"hi\n\u00e9"}],"model":"m","system":"brief"}"#
        )
        #expect(
            made.text
                == #"{"model":"local","messages":[{"role":"system","content":"brief"},{"role":"user","content":"hi\n\u00e9"}],"max_tokens":50}"#
        )
        #expect(made.request.dropped == [])
        #expect(made.request.context.toolNames.isEmpty)
    }

    @Test("B1: the billing block never reaches a local server, whatever it holds")
    func billing() throws {
        func body(_ line: String) throws -> String {
            try translatedToChat(
                userHi, #""system":[\#(text("x-anthropic-billing-header: \(line)")),\#(text("You code."))]"#
            ).text
        }
        let first = try body("cc_version=1; cch=aaaa;")
        #expect(try first == body("cc_version=1; cch=bbbb;"))
        #expect(first.contains(#"{"role":"system","content":"You code."}"#))
    }

    @Test("B2: system text before the first assistant turn joins the leading text, the user's request stays last")
    func earlySystem() throws {
        let made = try translatedToChat(
            #"\#(userHi),{"role":"system","content":[\#(text("env"))],"output_config":{"effort":"medium"}}"#,
            #""system":"lead""#)
        #expect(made.roles == ["system", "user"])
        #expect(made.content(0) == "lead\n\nenv")
        // Later requests send the same text as a plain string.
        let again = try translatedToChat(#"\#(userHi),{"role":"system","content":"env"}"#, #""system":"lead""#)
        #expect(again.text == made.text)
    }

    @Test("B2: with `systemLate: keep` it stays where it stands")
    func keptSystem() throws {
        let made = try translatedToChat(#"\#(userHi),{"role":"system","content":"env"}"#, #""system":"lead""#) {
            $0.systemLate = .keep
        }
        #expect(made.roles == ["system", "user", "system"])
    }

    @Test("B3: later system text is a reminder in its place, after the results of tools")
    func lateSystem() throws {
        let turns =
            #"\#(userHi),\#(calls("a")),\#(user(result("a", "\"done\""))),{"role":"system","content":"9 tokens"}"#
        let made = try translatedToChat(turns, #""system":"lead""#)
        #expect(made.roles == ["system", "user", "assistant", "tool", "user"])
        #expect(made.content(0) == "lead")
        #expect(made.content(4) == "<system-reminder>\n9 tokens\n</system-reminder>")
        let kept = try translatedToChat(turns) { $0.systemLate = .keep }
        #expect(kept.roles == ["user", "assistant", "tool", "system"])
        let merged = try translatedToChat(turns) { $0.systemLate = .merge }
        #expect(merged.content(0) == "9 tokens")
    }

    @Test("system text that clears at the next user turn is gone once there is one")
    func expired() throws {
        let note = #"{"role":"system","content":"now","clear_at":"next_user_message"}"#
        let open = try translatedToChat(#"\#(userHi),\#(calls("a")),\#(user(result("a", "\"x\""))),\#(note)"#)
        #expect(open.text.contains("now"))
        let past = try translatedToChat(
            #"\#(userHi),\#(calls("a")),\#(user(result("a", "\"x\""))),\#(note),\#(calls("b")),\#(user(result("b", "\"y\"")))"#
        )
        #expect(!past.text.contains("now"))
    }

    @Test("a system message with nothing but an effort is no message")
    func effortOnly() throws {
        let made = try translatedToChat(#"\#(userHi),{"role":"system","content":[],"output_config":{"effort":"low"}}"#)
        {
            $0.thinkingControl = .effort
        }
        #expect(made.roles == ["user"])
        #expect(made.json["reasoning_effort"] == "low")
    }

    @Test("B4: tool results stand before the user's text")
    func resultsFirst() throws {
        let made = try translatedToChat(
            #"\#(userHi),\#(calls("a")),\#(user(text("and then"), result("a", "\"out\"")))"#)
        #expect(made.roles == ["user", "assistant", "tool", "user"])
        #expect(made.content(3) == "and then")
    }

    @Test("B5: results stand in the order of the calls")
    func resultOrder() throws {
        let made = try translatedToChat(
            #"\#(userHi),\#(calls("a", "b")),\#(user(result("b", "\"B\""), result("a", "\"A\"")))"#)
        #expect(made.messages.dropFirst(2).map { $0["tool_call_id"]?.string } == ["a", "b"])
        #expect(made.content(2) == "A")
    }

    @Test("B6: an image in a tool result reaches the model, behind all results")
    func imageInResult() throws {
        let made = try translatedToChat(
            #"\#(userHi),\#(calls("a", "b")),\#(user(result("a", "[\(text("shot")),\(pixelBlock)]"), result("b", "\"B\""), text("look")))"#
        )
        #expect(made.roles == ["user", "assistant", "tool", "tool", "user"])
        #expect(made.content(2) == "shot\n\n[image 1 attached below]")
        let parts = made.messages[4]["content"]?.array ?? []
        #expect(parts.compactMap { $0["type"]?.string } == ["text", "image_url", "text"])
        #expect(parts[0]["text"] == "Image 1 from tool call a:")
        #expect(parts[1]["image_url"]?["url"] == "data:image/png;base64,\(pixel)")
        #expect(parts[2]["text"] == "look")
        let inside = try translatedToChat(#"\#(userHi),\#(calls("a")),\#(user(result("a", "[\(pixelBlock)]")))"#) {
            $0.imageInTool = true
        }
        #expect(inside.messages[2]["content"]?[0]?["type"] == "image_url")
    }

    @Test("B7: a list of texts in a result is one text")
    func listResult() throws {
        let made = try translatedToChat(
            #"\#(userHi),\#(calls("a")),\#(user(result("a", "[\(text("x")),\(text("y"))]")))"#)
        #expect(made.content(2) == "x\n\ny")
    }

    @Test("B8: a failed tool says so")
    func errorResult() throws {
        let failed = #"{"type":"tool_result","tool_use_id":"a","content":"no such file","is_error":true}"#
        let made = try translatedToChat(#"\#(userHi),\#(calls("a")),\#(user(failed))"#)
        #expect(made.content(2) == "[tool error] no such file")
        let fine = failed.replacing("true", with: "false")
        #expect(try translatedToChat(#"\#(userHi),\#(calls("a")),\#(user(fine))"#).content(2) == "no such file")
    }

    @Test("B9: system blocks are joined with a blank line, empty ones left out")
    func systemBlocks() throws {
        let made = try translatedToChat(userHi, #""system":[\#(text("a")),\#(text("")),\#(text("b"))]"#)
        #expect(made.content(0) == "a\n\nb")
    }

    @Test("B17: thinking without text or signature is stepped over")
    func emptyThinking() throws {
        let said =
            #"{"role":"assistant","content":[{"type":"thinking","signature":"s"},{"type":"thinking"},{"type":"redacted_thinking","data":"zz"},\#(text("ok"))]}"#
        let made = try translatedToChat(#"\#(userHi),\#(said),\#(userHi)"#) {
            $0.reasoningIn = .field("reasoning_content")
        }
        #expect(made.messages[1] == ["role": "assistant", "content": "ok"])
    }

    @Test("thinking goes back in the field that is configured, and is dropped where there is none")
    func thinkingBack() throws {
        let said =
            #"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"gw1.x"},{"type":"thinking","thinking":"aha","signature":""},\#(text("ok"))]}"#
        let turns = #"\#(userHi),\#(said),\#(userHi)"#
        #expect(try translatedToChat(turns).messages[1] == ["role": "assistant", "content": "ok"])
        let field = try translatedToChat(turns) { $0.reasoningIn = .field("reasoning") }
        #expect(field.messages[1] == ["role": "assistant", "reasoning": "hm\naha", "content": "ok"])
        let tags = try translatedToChat(turns) { $0.reasoningIn = .thinkTags }
        #expect(tags.content(1) == "<think>\nhm\naha\n</think>\n\nok")
    }

    @Test("B25: fragments of the assistant's text are joined with nothing between")
    func fragments() throws {
        let made = try translatedToChat(
            #"\#(userHi),{"role":"assistant","content":[\#(text("one ")),\#(text("two"))]},\#(userHi)"#)
        #expect(made.content(1) == "one two")
    }

    @Test("a call keeps the text of its input: spelling, order and escapes")
    func arguments() throws {
        let call =
            #"{"role":"assistant","content":[\#(text("go")),{"type":"tool_use","id":"a","name":"f","input":{"z": 1.0,"a":"é\n\/"}}]}"#
        let made = try translatedToChat(#"\#(userHi),\#(call),\#(user(result("a", "\"x\"")))"#)
        #expect(made.messages[1]["tool_calls"]?[0]?["function"]?["arguments"]?.string == #"{"z": 1.0,"a":"é\n\/"}"#)
        #expect(made.content(1) == "go")
        let silent = try translatedToChat(#"\#(userHi),\#(calls("a")),\#(user(result("a", "\"x\"")))"#)
        #expect(silent.messages[1]["content"] == .null)
        let string = try translatedToChat(#"\#(userHi),\#(calls("a")),\#(user(result("a", "\"x\"")))"#) {
            $0.contentMustBeString = true
        }
        #expect(string.content(1) == "")
    }

    @Test("turns of one role are merged, texts of a user's turn joined with a blank line")
    func merged() throws {
        let made = try translatedToChat(
            #"\#(userHi),\#(user(text("a"), text("b"))),{"role":"assistant","content":"x"},\#(userHi)"#)
        #expect(made.roles == ["user", "assistant", "user"])
        #expect(made.content(0) == "hi\n\na\n\nb")
    }

    @Test("a result without a call becomes the user's text")
    func orphanToolResult() throws {
        let made = try translatedToChat(user(result("toolu_9", "\"late\""), text("hi")))
        #expect(made.roles == ["user"])
        #expect(made.content(0) == "[result of an earlier tool call toolu_9]\n\nlate\n\nhi")
    }

    @Test("a call without a result is answered before the user's next text")
    func interruptedCall() throws {
        let made = try translatedToChat(#"\#(userHi),\#(calls("a", "b")),\#(user(result("b", "\"B\""), text("stop")))"#)
        #expect(made.roles == ["user", "assistant", "tool", "tool", "user"])
        #expect(made.content(2) == "[no result: the call was interrupted]")
        #expect(made.content(3) == "B")
    }

    @Test("a prefill goes on where the upstream continues it, and is refused where it does not")
    func prefill() throws {
        let turns = #"\#(userHi),{"role":"assistant","content":"{\"a\":"}"#
        let refused = refusal { try translatedToChat(turns) }
        #expect(refused?.code == .invalidRequest)
        #expect(refused?.message.contains("prefill") == true)
        let made = try translatedToChat(turns) { $0.prefill = true }
        #expect(made.roles == ["user", "assistant"])
        #expect(made.request.context.prefill?.unescaped() == "{\"a\":")
    }

    @Test("E14: images: data and addresses, and words where the model is blind or takes no address")
    func images() throws {
        let address = #"{"type":"image","source":{"type":"url","url":"https://example.org/a.png"}}"#
        let made = try translatedToChat(user(text("see"), pixelBlock, address)) { $0.images = .url }
        let parts = made.messages[0]["content"]?.array ?? []
        #expect(parts.count == 3)
        #expect(parts[1]["image_url"]?["url"] == "data:image/png;base64,\(pixel)")
        #expect(parts[2]["image_url"]?["url"] == "https://example.org/a.png")
        let blind = try translatedToChat(user(text("see"), pixelBlock)) { $0.images = .none }
        #expect(blind.content(0) == "see\n\n[image omitted: this model cannot see images]")
        let local = try translatedToChat(user(text("see"), address))
        #expect(local.content(0) == "see\n\n[image omitted: this model takes no image addresses]")
    }

    @Test("documents: text inlined, a PDF as a file or as words")
    func documents() throws {
        let note =
            #"{"type":"document","title":"T","context":"C","source":{"type":"text","media_type":"text/plain","data":"body"}}"#
        #expect(try translatedToChat(user(note)).content(0) == "T\nC\n\nbody")
        let parts = #"{"type":"document","source":{"type":"content","content":[\#(text("in")),\#(pixelBlock)]}}"#
        #expect(try translatedToChat(user(parts)).messages[0]["content"]?.array?.count == 2)
        let pdf =
            #"{"type":"document","title":"Plan","source":{"type":"base64","media_type":"application/pdf","data":"JVBERg=="}}"#
        #expect(try translatedToChat(user(pdf)).content(0) == "[document omitted: Plan, application/pdf]")
        let file = try translatedToChat(user(pdf)) { $0.files = true }
        #expect(file.messages[0]["content"]?[0]?["file"]?["filename"] == "Plan")
        #expect(file.messages[0]["content"]?[0]?["file"]?["file_data"] == "data:application/pdf;base64,JVBERg==")
    }

    @Test("search results and server tools in the history become text")
    func serverHistory() throws {
        let found = #"{"type":"search_result","source":"https://a","title":"A","content":[\#(text("body"))]}"#
        #expect(try translatedToChat(user(found)).content(0) == "A\n\nhttps://a\n\nbody")
        let said =
            #"{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"T","url":"https://t","encrypted_content":"x"}]},\#(text("so"))]}"#
        let made = try translatedToChat(#"\#(userHi),\#(said),\#(userHi)"#)
        #expect(made.roles == ["user", "assistant", "user"])
        #expect(made.content(1) == "[web_search {\"query\":\"q\"}]\nT\n\nhttps://t\nso")
        #expect(made.messages[1]["tool_calls"] == nil)
    }

    @Test("E9: ids are rewritten for call and result alike where the template demands it")
    func shortIDs() throws {
        let made = try translatedToChat(#"\#(userHi),\#(calls("toolu_01")),\#(user(result("toolu_01", "\"x\"")))"#) {
            $0.callIDs = CallIDRule(length: 9...9, isAlphanumeric: true)
        }
        let id = made.messages[1]["tool_calls"]?[0]?["id"]?.string ?? ""
        #expect(id.utf8.count == 9 && id.allSatisfy { $0.isLetter || $0.isNumber })
        #expect(made.messages[2]["tool_call_id"]?.string == id)
    }
}
