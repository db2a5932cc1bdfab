import MartletDialects
import MartletWire
import Testing

@Suite("Schemas, as an engine gets them")
struct RequestSchemaTests {
    /// The parameters of one tool with that schema.
    func fitted(_ schema: String, _ profile: SchemaProfile = .llamacpp) throws -> String {
        let made = try translatedToChat(userHi, #""tools":[{"name":"f","input_schema":\#(schema)}]"#) {
            $0.schemaProfile = profile
        }
        return made.json["tools"]?[0]?["function"]?["parameters"]?.text ?? ""
    }

    /// The same, for the schema of one property.
    func property(_ schema: String, _ profile: SchemaProfile = .llamacpp) throws -> String {
        let whole = try fitted(#"{"type":"object","properties":{"p":\#(schema)}}"#, profile)
        return try JSON(parsing: whole)["properties"]?["p"]?.text ?? ""
    }

    @Test("the root of a tool's schema is an object with properties", arguments: SchemaProfile.allCases)
    func root(_ profile: SchemaProfile) throws {
        guard profile != .bare else {
            #expect(try fitted("{}", .bare) == #"{"type":"object"}"#)
            return
        }
        for schema in ["{}", "null", "true", #"{"type":"string"}"#, #"{"type":"object"}"#] {
            #expect(try JSON(parsing: fitted(schema, profile))["properties"] == [:], "\(schema)")
        }
        #expect(try JSON(parsing: fitted(#"{"properties":{"a":{"type":"string"}}}"#, profile))["type"] == "object")
    }

    @Test("E5: order, spelling and escapes stay; what an engine has no use for goes")
    func kept() throws {
        let schema =
            #"{"type":"object","properties":{"z":{"type":"number","default":1.0,"description":"a\/b"},"a":{"type":"array","items":{"type":"string","enum":["x","y"]}}},"required":["z"],"additionalProperties":false}"#
        let made = try translatedToChat(userHi, #""tools":[{"name":"f","input_schema":\#(schema)}]"#)
        #expect(made.text.contains(schema))
        let noted = schema.replacing(
            #"{"type":"object","#, with: #"{"$schema":"https://json-schema.org/x","title":"T","type":"object","#)
        #expect(try translatedToChat(userHi, #""tools":[{"name":"f","input_schema":\#(noted)}]"#).text == made.text)
        #expect(try property(#"{"type":"object","properties":{"title":{"type":"string"}}}"#).contains("title"))
        #expect(
            try translatedToChat(userHi, #""tools":[{"name":"f","input_schema":\#(noted)}]"#) {
                $0.schemaProfile = .none
            }.text
                .contains(noted))
    }

    @Test(
        "E1: a pattern no grammar can say goes to the description",
        arguments: [
            "(?=x)y", "abc", #"^\\bx$"#, #"^\\p{L}$"#, #"^(a)\\1$"#, "^a{1,500}$", "^[a$", "^(a$",
        ])
    func badPattern(_ pattern: String) throws {
        let made = try property(#"{"type":"string","description":"d","pattern":"\#(pattern)"}"#)
        #expect(try JSON(parsing: made)["pattern"] == nil)
        #expect(try JSON(parsing: made)["description"]?.string?.hasPrefix("d (pattern: ") == true)
    }

    @Test(
        "E2: classes of characters are spelled out",
        arguments: [
            (#"^\\d{3}$"#, "^[0-9]{3}$"), (#"^[\\w.]+$"#, "^[A-Za-z0-9_.]+$"), (#"^(?:a|b)$"#, "^(a|b)$"),
            ("^a-z$", "^a-z$"),
        ])
    func pattern(_ pattern: String, _ said: String) throws {
        #expect(
            try property(#"{"type":"string","pattern":"\#(pattern)"}"#) == #"{"type":"string","pattern":"\#(said)"}"#)
    }

    @Test("E3: large bounds go to the description")
    func bounds() throws {
        #expect(
            try property(#"{"type":"string","maxLength":5000}"#)
                == #"{"type":"string","description":"(maxLength: 5000)"}"#)
        #expect(try property(#"{"type":"string","maxLength":100}"#) == #"{"type":"string","maxLength":100}"#)
        let nested = #"{"type":"string","pattern":"^((a{60}b){60})$"}"#
        #expect(
            try property(nested) == #"{"type":"string","description":"(pattern: ^((a{60}b){60})$)"}"#,
            "what stands in counts counts as often")
        let fits = #"{"type":"string","pattern":"^((a{20}b){20})$"}"#
        #expect(try property(fits) == fits)
    }

    @Test("E4: references are inlined, except to definitions")
    func references() throws {
        let made = try fitted(
            ##"{"type":"object","properties":{"a":{"type":"array","items":[{"type":"integer"}]},"b":{"$ref":"#/properties/a/items/0"},"c":{"$ref":"#/$defs/D"},"d":{"$ref":"https://x/y"},"e":{"$ref":"#"},"f":{"$ref":"#/$defs/E"}},"$defs":{"D":{"type":"string"},"E":{"enum":["x",1]}}}"##
        )
        let json = try JSON(parsing: made)
        #expect(json["properties"]?["b"] == ["type": "integer"])
        #expect(json["properties"]?["c"] == ["$ref": "#/$defs/D"])
        #expect(json["properties"]?["d"] == [:])
        #expect(json["properties"]?["f"] == ["$ref": "#/$defs/E"] && json["$defs"]?["E"]?["enum"] == ["x", 1])
        #expect(json["$defs"]?["D"] == ["type": "string"])
        #expect(made.utf8.count < 4000)
    }

    @Test(
        "keywords an engine stumbles over",
        arguments: [
            (#"{"type":["string","null"]}"#, #"{"anyOf":[{"type":"string"},{"type":"null"}]}"#),
            (
                #"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#,
                #"{"anyOf":[{"type":"string"},{"type":"integer"}]}"#
            ),
            (#"{"anyOf":[{"type":"string"}],"description":"d"}"#, #"{"description":"d","type":"string"}"#),
            (
                #"{"allOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}}}]}"#,
                #"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#
            ),
            (#"{"type":"string","not":{"const":"x"},"if":{},"then":{},"uniqueItems":true}"#, #"{"type":"string"}"#),
            (#"{"type":"string","format":"uri"}"#, #"{"type":"string","description":"(format: uri)"}"#),
            (#"{"type":"string","format":"date"}"#, #"{"type":"string","format":"date"}"#),
            (
                #"{"type":"object","properties":{"a":{"type":"string"}},"required":["a","ghost"]}"#,
                #"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#
            ),
            (#"{"enum":["a","a","b"]}"#, #"{"enum":["a","b"]}"#),
        ])
    func keywords(_ schema: String, _ said: String) throws {
        #expect(try property(schema) == said)
    }

    @Test("a huge enumeration is its type and a few examples")
    func hugeEnum() throws {
        let words = (0..<600).map { #""w\#($0)""# }.joined(separator: ",")
        let made = try JSON(parsing: property(#"{"type":"string","enum":[\#(words)]}"#))
        #expect(made["enum"] == nil)
        #expect(made["description"]?.string?.contains(#""w19""#) == true)
    }

    @Test("depth and references that multiply have an end")
    func hostile() throws {
        let deep = String(repeating: #"{"type":"array","items":"#, count: 60) + "{}" + String(repeating: "}", count: 60)
        #expect(try property(deep).utf8.count < 600)
        let twice = (0..<30).map {
            ##""d\##($0)":{"anyOf":[{"$ref":"#/x/d\##($0 + 1)"},{"$ref":"#/x/d\##($0 + 1)"}]}"##
        }
        let bomb = ##"{"type":"object","properties":{"a":{"$ref":"#/x/d0"}},"x":{\##(twice.joined(separator: ","))}}"##
        #expect(try fitted(bomb).utf8.count < 20_000)
    }

    @Test("the minimal profile keeps types, properties and enumerations")
    func minimal() throws {
        #expect(
            try property(
                #"{"type":["string","null"],"enum":["a",1],"minLength":2,"default":"a","description":"d"}"#, .minimal)
                == #"{"type":"string","enum":["a"],"description":"d"}"#)
    }

    @Test("E1: the fast way and the slow way agree on what agents offer")
    func agree() throws {
        let schemas = [
            #"{"$schema":"s","type":"object","properties":{"a":{"type":"string","title":"x","minLength":1},"b":{"type":"object","properties":{},"additionalProperties":{"type":"number"}}},"required":["a"]}"#,
            #"{"type":"object","properties":{"n":{"type":"integer","exclusiveMinimum":0,"maximum":9007199254740991}},"additionalProperties":false}"#,
        ]
        for schema in schemas {
            // A member that has to be rebuilt sends the whole schema the slow way.
            let slow = schema.replacing(
                #""properties":{"#, with: #""properties":{"zz":{"type":["null"]},"#, maxReplacements: 1)
            var expected = try JSON(parsing: fitted(slow))
            expected["properties"]?["zz"] = nil
            #expect(try JSON(parsing: fitted(schema)) == expected)
        }
    }
}
