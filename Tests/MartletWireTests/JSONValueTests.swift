import MartletWire
import NIOCore
import Testing

@Suite("The ordered JSON value")
struct JSONValueTests {
    @Test(
        "order, spelling of numbers and text survive",
        arguments: [
            #"{"b":1.0,"a":0.70,"seed":18446744073709551615,"u":"a/b é😀","e":-0,"x":1E400}"#,
            #"[[],{},"",null,true,false,[{"k":[1e5]}]]"#,
            #""\"\\\b\f\n\r\t\u0000\u001f\#u{7F}""#,
        ])
    func verbatim(_ text: String) throws {
        #expect(try JSON(parsing: text).text == text)
        #expect(try JSON(parsing: text.buffer).text == text)
    }

    @Test("white space goes, and escapes that need not be")
    func compact() throws {
        #expect(
            try JSON(parsing: #" { "\u0061" : [ 1 , "\/\u00e9\ud83d\ude00\u0041" ] } "#).text == #"{"a":[1,"/é😀A"]}"#)
    }

    @Test(
        "a name that stands twice is refused at any depth",
        arguments: [#"{"a":1,"a":2}"#, #"[{"x":{"a":1,"b":0,"\u0061":2}}]"#])
    func duplicates(_ text: String) {
        #expect { try JSON(parsing: text) } throws: {
            ($0 as? JSONError)?.code == .duplicateKey && ($0 as? JSONError)?.name == "a"
        }
    }

    @Test("names that merely look alike are two")
    func lookalikes() throws {
        let value = try JSON(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}")
        #expect(value["\u{E9}"] == 1)
        #expect(value["e\u{301}"] == 2)
        #expect(value.object?.count == 2)
    }

    @Test(
        "a broken text is refused",
        arguments: ["", "[1", "[1] 2", #"{"a":}"#, "[01]", String(repeating: "[", count: 200)])
    func broken(_ text: String) { #expect(throws: JSONError.self) { try JSON(parsing: text) } }

    @Test("literals, accessors and subscripts")
    func accessors() {
        var value: JSON = ["s": "x", "i": 3, "d": 0.5, "t": true, "n": nil, "a": [1, "two"], "o": ["k": "v"]]
        #expect(value.text == #"{"s":"x","i":3,"d":0.5,"t":true,"n":null,"a":[1,"two"],"o":{"k":"v"}}"#)
        #expect(value["s"]?.string == "x")
        #expect(value["i"]?.int == 3)
        #expect(value["i"]?.double == 3)
        #expect(value["d"]?.int == nil)
        #expect(value["d"]?.double == 0.5)
        #expect(value["t"]?.bool == true)
        #expect(value["n"]?.isNull == true)
        #expect(value["a"]?.array?.count == 2)
        #expect(value["a"]?[1] == "two")
        #expect(value["a"]?[2] == nil)
        #expect(value["o"]?["k"] == "v")
        #expect(value["missing"] == nil)
        #expect(value["s"]?["k"] == nil)
        value["s"] = nil
        value["i"] = "changed"
        value["new"] = [:]
        #expect(value.text == #"{"i":"changed","d":0.5,"t":true,"n":null,"a":[1,"two"],"o":{"k":"v"},"new":{}}"#)
        #expect(value.kind == .object)
    }

    @Test("an object finds its members at any size", arguments: [0, 1, 16, 17, 18, 400])
    func sizes(_ count: Int) {
        var object = JSONObject()
        for index in 0..<count { #expect(object.append("k\(index)", .int(index)) == true) }
        #expect(object.append("k0", nil) == (count == 0))
        if count == 0 { object = JSONObject() }
        for index in 0..<count { #expect(object["k\(index)"]?.int == index) }
        #expect(object["k\(count + 1)"] == nil)
        guard count > 1 else { return }
        #expect(object.remove("k0")?.int == 0)
        #expect(object.remove("k0") == nil)
        #expect(object["k1"]?.int == 1)
        #expect(object["k\(count - 1)"]?.int == count - 1)
        object["k1"] = "one"
        #expect(object.keys == (1..<count).map { "k\($0)" })
        #expect(object.map(\.value).first == "one")
    }

    @Test("numbers are validated, and what JSON cannot say becomes what it can")
    func numbers() {
        #expect(JSONNumber(literal: "1.50")?.literal == "1.50")
        for wrong in ["", " 1", "1 ", "01", "1.", "nan", "0x1", "--1", "1,2", "\"1\""] {
            #expect(JSONNumber(literal: wrong) == nil)
        }
        #expect(JSONNumber(-7).literal == "-7")
        #expect(JSONNumber(.nan).literal == "0")
        for value in [0.1, -0.0, 1e300, Double.leastNonzeroMagnitude, .infinity, -.infinity, 1e16, 123456789.125] {
            let literal = JSONNumber(value).literal
            #expect(JSONNumber(literal: literal) != nil, "\(literal)")
            if value.isFinite { #expect(JSONNumber(value).double == value) }
        }
        #expect(JSONNumber(literal: "1e999")?.double == nil)
    }

    @Test("a large object is read in time that grows with its size only")
    func manyNames() throws {
        let text = "{" + (0..<50_000).map { "\"k\($0)\":0" }.joined(separator: ",") + "}"
        #expect(try JSON(parsing: text)["k49999"] == 0)
    }
}
