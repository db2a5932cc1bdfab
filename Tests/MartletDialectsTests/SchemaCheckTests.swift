import MartletDialects
import MartletWire
import NIOCore
import Testing

@Suite("A value and its JSON Schema")
struct SchemaCheckTests {
    /// What is wrong with an answer; nil when it fits.
    static func violation(_ answer: String, _ schema: String) throws -> String? {
        try FormAsked(.anthropic, .chat, schema: schema).reply(answer).misfit?.violation
    }

    @Test(
        "each keyword says what is wrong",
        arguments: [
            (#"{"type":"null"}"#, "null", "1", "must be of type null, and is a number"),
            (#"{"type":["string","null"]}"#, "null", "[]", "must be of type string or null, and is an array"),
            (#"{"type":"integer"}"#, "1.0", "1.5", "must be of type integer, and is a number"),
            (#"{"type":"integer"}"#, "1e30", "true", "must be of type integer, and is a boolean"),
            (#"{"enum":["a",1,null]}"#, "1.0", #""b""#, #"must be one of "a", 1, null"#),
            (#"{"enum":[{"a":1,"b":[2]}]}"#, #"{"b":[2.0],"a":1}"#, #"{"a":1}"#, #"must be one of {"a":1,"b":[2]}"#),
            (#"{"const":"x"}"#, #""\u0078""#, #""y""#, #"must be "x""#),
            (#"{"required":["a"]}"#, #"{"a":null}"#, "{}", #"must have a member "a""#),
            (
                #"{"additionalProperties":false,"properties":{"a":{}}}"#, #"{"a":1}"#, #"{"b":1}"#,
                #"must not have a member "b""#
            ),
            (#"{"minProperties":1}"#, #"{"a":1}"#, "{}", "must have at least 1 members, and has 0"),
            (#"{"maxItems":1}"#, "[1]", "[1,2]", "must have at most 1 elements, and has 2"),
            (#"{"minItems":1}"#, "[1]", "[]", "must have at least 1 elements, and has 0"),
            (#"{"minLength":2}"#, #""éé""#, #""é""#, "must have at least 2 characters, and has 1"),
            (#"{"maxLength":1}"#, #""\ud83d\ude00""#, #""ab""#, "must have at most 1 characters, and has 2"),
            (#"{"minimum":0}"#, "0.0", "-0.1", "must be at least 0"),
            (
                #"{"maximum":9007199254740993}"#, "9007199254740993", "9007199254740994",
                "must be at most 9007199254740993"
            ),
            (#"{"exclusiveMinimum":1}"#, "1.1", "1.0", "must be more than 1"),
            (#"{"exclusiveMaximum":1}"#, "0", "1", "must be less than 1"),
            (#"{"not":{"type":"string"}}"#, "1", #""x""#, #"must not be like {"type":"string"}"#),
            (#"{"oneOf":[{"minimum":1},{"minimum":2}]}"#, "1", "3", "must fit exactly one alternative, and fits 2"),
            (#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, "1", "3", "must be at most 2"),
        ])
    func keywords(_ schema: String, _ good: String, _ bad: String, _ demand: String) throws {
        #expect(try Self.violation(good, schema) == nil)
        #expect(try Self.violation(bad, schema) == "the JSON \(demand)")
    }

    @Test(
        "the place is a JSON pointer",
        arguments: [
            (
                #"{"properties":{"a/b":{"items":{"properties":{"~":{"type":"string"}}}}}}"#, #"{"a/b":[{},{"~":1}]}"#,
                "/a~1b/1/~0"
            ),
            (#"{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}"#, #"["x",1,"y"]"#, "/2"),
            (#"{"items":[{"type":"string"}],"additionalItems":{"type":"number"}}"#, #"["x",null]"#, "/1"),
            (#"{"additionalProperties":{"type":"number"}}"#, #"{"a":1,"b":"x"}"#, "/b"),
            (
                ##"{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"next":{"$ref":"#/$defs/n"},"v":{"type":"integer"}}}}}"##,
                #"{"next":{"next":{"v":"x"}}}"#, "/next/next/v"
            ),
            (##"{"properties":{"a":{"type":"string"},"b":{"$ref":"#/properties/a"}}}"##, #"{"b":1}"#, "/b"),
            (#"{"anyOf":[{"type":"string"},{"properties":{"a":{"type":"string"}}}]}"#, #"{"a":1}"#, "/a"),
        ])
    func pointers(_ schema: String, _ answer: String, _ pointer: String) throws {
        #expect(try #require(try Self.violation(answer, schema)).hasPrefix("\(pointer) must be of type"))
    }

    @Test(
        "what it does not know says nothing",
        arguments: [
            (#"{"format":"email"}"#, #""x""#), (#"{"x-mine":[1]}"#, "1"), ("true", "1"),
            (#"{"$ref":"http://x/y"}"#, "1"),
            (##"{"$ref":"#/$defs/none"}"##, "1"),
            (#"{"patternProperties":{"^x":{}},"additionalProperties":false}"#, #"{"x":1}"#),
            (#"{"minimum":1,"minLength":9,"required":["a"]}"#, #""text1234x""#), (#"{"pattern":"(?=a)b"}"#, #""x""#),
            (#"{"pattern":"^a|b$"}"#, #""x""#),
        ])
    func unknown(_ schema: String, _ answer: String) throws {
        #expect(try Self.violation(answer, schema) == nil)
    }

    @Test(
        "patterns match as they do in JSON Schema: anywhere, unless anchored",
        arguments: [
            ("^[a-z]+$", "abc", "aBc"), ("b", "abc", "ac"), ("^a", "ab", "ba"), ("c$", "bc", "cb"),
            ("a|b", "xbx", "xyz"),
            (#"^\d{3}-\d{2,4}$"#, "123-4567", "123-4"), (#"^(?:ab|c)*d?$"#, "abccabd", "abca"), ("^.$", "é", "\n"),
            (#"^[^"\\]+$"#, "ok", "a\\b"), (#"^\S+@\S+\.\w+$"#, "a@b.de", "a@b de"),
            ("^(a?){20}a{20}$", String(repeating: "a", count: 20), "a"),
            ("^(a+)+$", String(repeating: "a", count: 60), String(repeating: "a", count: 60) + "b"),
            ("^x{0}$", "", "x"),
        ])
    func patterns(_ pattern: String, _ good: String, _ bad: String) throws {
        let schema = #"{"pattern":\#(JSON.string(pattern).text)}"#
        #expect(try Self.violation(JSON.string(good).text, schema) == nil)
        #expect(
            try #require(try Self.violation(JSON.string(bad).text, schema), "\(pattern)").hasPrefix(
                "the JSON must match the pattern"))
    }

    @Test("schemas that go on for ever, or take too long, find nothing wrong and end")
    func bounded() throws {
        #expect(try Self.violation("1", ##"{"$ref":"#"}"##) == nil)
        #expect(try Self.violation("1", ##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##) == nil)
        let wide =
            ##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/b"}]},"b":{"anyOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"},{"type":"null"}]}},"$ref":"#/$defs/a"}"##
        #expect(try Self.violation("1", wide) == nil)
        let deep = String(repeating: #"{"a":"#, count: 100) + "1" + String(repeating: "}", count: 100)
        #expect(try Self.violation(deep, ##"{"properties":{"a":{"$ref":"#"}}}"##) == nil)
        let counts = #"{"pattern":"^((((a{200}){200}){200}){200}){200}$"}"#
        #expect(try Self.violation(#""a""#, counts) == nil)
        let nothing = #"{"pattern":"^((((((){200}){200}){200}){200}){200})$"}"#
        #expect(try Self.violation(#""a""#, nothing) == nil)
        // A mark joined to a bracket leaves it a bracket, and what follows is no longer the class.
        for count in ["-1", "2000000000", "3,1", "+2"] {
            let joined = "{\"pattern\":\"[a]\u{301}{\(count)}]\"}"
            #expect(try Self.violation(#""b""#, joined) == nil, "\(count)")
        }
        let ranges = (0x4E00..<0x4F00).map { String(Unicode.Scalar($0)!) + "-" + String(Unicode.Scalar($0)!) }
        let wide200 = "{\"pattern\":\"^[\(ranges.prefix(100).joined())]{200}$\"}"
        #expect(try Self.violation("\"\(String(repeating: "x", count: 300_000))\"", wide200) == nil)
        let long = String(repeating: "a", count: 3_000_000)
        #expect(try Self.violation(#""\#(long)""#, #"{"pattern":"^(b|a)*$"}"#) == nil)
    }

    @Test("what would keep other clients waiting is given up", .timeLimit(.minutes(1)))
    func work() throws {
        let numbers = (2..<9000).map(String.init).joined(separator: ",")
        let ones = "[\(Array(repeating: "1", count: 9000).joined(separator: ","))]"
        let patterns = (0..<60).map { #"{"pattern":"(a|aa){100}b\#($0)"}"# }.joined(separator: ",")
        for (value, schema) in [
            (ones, #"{"items":{"enum":[\#(numbers),1]}}"#),
            (ones, #"{"items":{"anyOf":[{"enum":[\#(numbers)]},{"not":{"enum":[2]}}]}}"#),
            ("\"\(String(repeating: "a", count: 2000))\"", #"{"anyOf":[\#(patterns)]}"#),
        ] {
            let began = ContinuousClock.now
            #expect(try Self.violation(value, schema) == nil)
            #expect(ContinuousClock.now - began < .seconds(10))
        }
        #expect(try Self.violation("[1,0]", #"{"items":{"enum":[\#(numbers),1]}}"#)?.hasPrefix("/1 must be") == true)
    }

    @Test("a violation quotes no more than a line of a schema or a name")
    func short() throws {
        let name = String(repeating: "n", count: 5000)
        let schema = #"{"properties":{"\#(name)":{"const":"\#(name)"}}}"#
        let violation = try #require(try Self.violation(#"{"\#(name)":1}"#, schema))
        #expect(violation.utf8.count < 500)
    }
}
