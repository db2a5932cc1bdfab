import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("What a request may hand to our own engine")
struct EngineMembersTests {
    private func sift(_ members: String, _ client: DialectID = .chat) throws(GatewayError) -> EngineMembers.Sifted {
        do {
            return try EngineMembers.sift(
                JSONDocument(checking: ByteBuffer(string: "{\"model\":\"m\",\(members),\"stream\":false}")), of: client)
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(code: .invalidJSON, message: "\(error)")
        }
    }

    @Test(
        "what steers the text goes through",
        arguments: [
            #""top_k":40,"min_p":0.05,"typical_p":1,"top_n_sigma":-1,"min_keep":0"#,
            #""xtc_probability":0.5,"xtc_threshold":0.1,"dynatemp_range":0,"dynatemp_exponent":1.5"#,
            #""repeat_penalty":1.1,"repeat_last_n":-1,"presence_penalty":1,"frequency_penalty":-1"#,
            #""dry_multiplier":0.8,"dry_base":1.75,"dry_allowed_length":2,"dry_penalty_last_n":65536"#,
            #""dry_sequence_breakers":["\n",":"],"mirostat":2,"mirostat_tau":5,"mirostat_eta":0.1"#,
            #""adaptive_target":0.5,"adaptive_decay":0.9,"n_probs":5,"post_sampling_probs":true,"logprobs":5"#,
            #""grammar":"root ::= \"a\"","json_schema":{},"cache_prompt":false,"ignore_eos":true,"n_predict":-1"#,
            #""messages":[],"tools":[],"response_format":{},"chat_template_kwargs":{"a":1},"reasoning_effort":"low""#,
            #""user":"u","metadata":{"a":"b"},"top_k":null,"ttl":5,"context_length":1024,"logprobs":true"#,
        ])
    func listed(_ members: String) throws {
        let sifted = try sift(members)
        #expect(sifted.removed.isEmpty && sifted.dropped.isEmpty && sifted.renamed.isEmpty)
    }

    @Test("what moves the engine's own things is left out and named, what asks for nothing is left out")
    func unlisted() throws {
        let names = [
            "id_slot", "lora", "n_discard", "n_cmpl", "samplers", "return_tokens", "n_keep", "speculative.n_max",
            "n_cache_reuse", "response_fields", "grammar_triggers", "preserved_tokens", "chat_parser",
            "backend_sampling",
            "sse_ping_interval", "__verbose", "chat_template",
        ]
        let members = names.map { "\"\($0)\":7" }.joined(separator: ",")
        let sifted = try sift(members)
        #expect(sifted.dropped == names && sifted.removed == Array(1...names.count))
        #expect(
            try sift(#""id_\u0073lot":1,"n_keep":null,"n_keep":2,"echo":true"#).dropped == [
                "id_slot", "n_keep", "echo",
            ])
        let idle = try sift(#""id_slot":null,"top_a":0,"store":false"#)
        #expect(idle.removed == [1, 2, 3] && idle.dropped.isEmpty)
        #expect(
            try sift(#""prompt":"x","echo":false,"suffix":"","messages":[1]"#, .completions).dropped == ["messages"])
    }

    @Test(
        "a value that is none or beyond its range is refused by name",
        arguments: [
            (
                #""repeat_last_n":300000000"#,
                "repeat_last_n must be a whole number between -1 and 65536 (got 300000000)"
            ),
            (
                #""repeat_last_n":1,"repeat_last_n":99999"#,
                "repeat_last_n must be a whole number between -1 and 65536 (got 99999)"
            ),
            (#""dry_penalty_last_n":1.5"#, "dry_penalty_last_n must be a whole number between -1 and 65536 (got 1.5)"),
            (#""min_p":1.01"#, "min_p must be a number between 0 and 1 (got 1.01)"),
            (#""xtc_probability":1e999"#, "xtc_probability must be a number between 0 and 1 (got 1e999)"),
            (#""repeat_penalty":-1"#, "repeat_penalty must be a number above 0, at most 100 (got -1)"),
            (#""repeat_penalty":0"#, "repeat_penalty must be a number above 0, at most 100 (got 0)"),
            (#""adaptive_decay":1"#, "adaptive_decay must be a number between 0 and 0.99 (got 1)"),
            (#""top_k":"40""#, "top_k must be a whole number between -1 and 2147483647 (got \"40\")"),
            (#""n_probs":1000000"#, "n_probs must be a whole number between 0 and 100 (got 1000000)"),
            (#""logprobs":1000000"#, "logprobs must be true, false or a whole number between 0 and 100 (got 1000000)"),
            (#""cache_prompt":1"#, "cache_prompt must be true or false (got 1)"),
            (#""grammar":["a"]"#, "grammar must be a string (got [\"a\"])"),
            (
                #""dry_sequence_breakers":["a",1]"#,
                "dry_sequence_breakers must be a list of at most 64 strings of at most 256 bytes (got [\"a\",1])"
            ),
        ])
    func ranges(_ members: String, _ message: String) {
        let error = #expect(throws: GatewayError.self) { try sift(members) }
        #expect(error?.message == message && error?.code == .invalidRequest)
        #expect(error?.param.map { message.hasPrefix($0) } == true)
    }

    @Test("the spellings that other servers have for mirostat are the engine's")
    func spellings() throws {
        let sifted = try sift(#""mirostat_mode":2,"microstat_mode":0"#)
        #expect(sifted.renamed == [1: "mirostat", 2: "mirostat"] && sifted.removed.isEmpty)
    }
}
