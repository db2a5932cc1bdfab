import MartletWire
import NIOCore
import Testing

@Suite("A walk steps through one JSON text")
struct JSONWalkTests {
    private func walk<R>(
        _ text: String, loneSurrogates: Bool = false, _ body: (inout JSONWalk) throws(JSONError) -> R
    ) throws(JSONError) -> R {
        try text.buffer.walkJSON(loneSurrogates: loneSurrogates, body)
    }

    private func failure(_ text: String, _ body: (inout JSONWalk) throws(JSONError) -> Void) -> JSONError? {
        do throws(JSONError) {
            try walk(text, body)
            return nil
        } catch { return error }
    }

    @Test("it finds members, elements and values in their order")
    func everything() throws {
        let text = #" { "id" : "a\"b" , "n\u0061me":null,"list":[ 1 , true,[] , "x"],"rest":{"deep":[{}]} } "#
        try walk(text) { (walk) throws(JSONError) in
            try walk.enterObject()
            let id = try walk.nextKey()
            #expect(id.map { walk.key($0, is: "id") } == true)
            #expect(try walk.kind() == .string)
            let range = try walk.string()
            #expect(walk.text(range) == #"a"b"#)
            #expect(walk.text(range, is: #"a\"b"#))
            let name = try walk.nextKey()
            #expect(name?.isEscaped == true)
            #expect(name.map { walk.key($0, is: "name") } == true)
            #expect(name.map { walk.key($0, is: "nam") } == false)
            #expect(name.map { walk.name($0) } == "name")
            #expect(try walk.takeNull() == true)
            _ = try walk.nextKey()
            #expect(try walk.takeNull() == false)
            try walk.enterArray()
            #expect(try walk.nextElement() == true)
            #expect(try walk.int() == 1)
            #expect(try walk.nextElement() == true)
            #expect(try walk.bool() == true)
            #expect(try walk.nextElement() == true)
            try walk.enterArray()
            #expect(try walk.nextElement() == false)
            #expect(try walk.nextElement() == true)
            #expect(walk.text(try walk.skip()) == #""x""#)
            #expect(try walk.nextElement() == false)
            _ = try walk.nextKey()
            let before = walk.offset
            let rest = try walk.skip()
            #expect(walk.text(rest) == #"{"deep":[{}]}"#)
            #expect(before == rest.lowerBound && walk.offset == rest.upperBound)
            #expect(try walk.nextKey() == nil)
            try walk.end()
        }
    }

    @Test(
        "integers are recognised in every spelling",
        arguments: [
            ("0", 0), ("-0", 0), ("7", 7), ("-12", -12), ("1.0", 1), ("1e2", 100), ("1.50e1", 15), ("12000e-3", 12),
            ("0.0", 0),
            ("0e999999999999999999999", 0), ("0.00e-5", 0), ("9223372036854775807", .max),
            ("-9223372036854775808", .min),
            ("-9223372036854775808.0", .min), ("92233720368547758.07e2", .max), ("1.5", nil), ("1e-1", nil),
            ("15e-2", nil),
            ("9223372036854775808", nil), ("-9223372036854775809", nil), ("1e19", nil),
            ("1e18", 1_000_000_000_000_000_000),
            ("1e999999999999999999999", nil), ("1e-999999999999999999999", nil), ("18446744073709551615", nil),
            ("10000000000000000000000e-21", 10), ("100000000000000000000000000000000", nil), ("0.5", nil),
        ] as [(String, Int?)])
    func integers(_ text: String, _ expected: Int?) throws {
        #expect(try walk(text) { (walk) throws(JSONError) in try walk.int() } == expected)
        #expect(try JSON(parsing: text).int == expected)
    }

    @Test("another type than the one asked for is told from broken text")
    func types() {
        #expect(failure("1") { (w) throws(JSONError) in try w.enterObject() } == JSONError(.notThisType, at: 0))
        #expect(failure(" {}") { (w) throws(JSONError) in try w.enterArray() } == JSONError(.notThisType, at: 1))
        #expect(failure("null") { (w) throws(JSONError) in _ = try w.string() } == JSONError(.notThisType, at: 0))
        #expect(failure("\"1\"") { (w) throws(JSONError) in _ = try w.int() } == JSONError(.notThisType, at: 0))
        #expect(failure("1") { (w) throws(JSONError) in _ = try w.bool() } == JSONError(.notThisType, at: 0))
        #expect(failure("?") { (w) throws(JSONError) in try w.enterObject() } == JSONError(.malformed, at: 0))
        #expect(failure("nulx") { (w) throws(JSONError) in _ = try w.takeNull() } == JSONError(.malformed, at: 3))
        #expect(failure("") { (w) throws(JSONError) in _ = try w.kind() } == JSONError(.truncated, at: 0))
    }

    @Test(
        "commas, colons and brackets must be right",
        arguments: [
            ("[1,]", 3), ("[1 1]", 3), ("[,]", 1), (#"{"a":1,}"#, 7), (#"{"a" 1}"#, 5), (#"{"a":1 "b":2}"#, 7),
            ("{,}", 1), ("[1}", 2),
            (#"{"a":1]"#, 6), ("{1:1}", 1),
        ])
    func punctuation(_ text: String, _ offset: Int) {
        let error = failure(text) { (walk) throws(JSONError) in _ = try walk.value() }
        #expect(error == JSONError(.malformed, at: offset))
    }

    @Test("what stands behind the value is refused")
    func trailing() {
        let error = failure("1 x") { (walk) throws(JSONError) in
            _ = try walk.int()
            try walk.end()
        }
        #expect(error == JSONError(.trailing, at: 2))
    }

    @Test("entering and skipping share one limit of depth")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        for entered in [0, 1, 64, WireLimits.jsonDepth] {
            func enterAndSkip(_ walk: inout JSONWalk) throws(JSONError) {
                for _ in 0..<entered {
                    try walk.enterArray()
                    if entered < WireLimits.jsonDepth { _ = try walk.nextElement() }
                }
                if entered < WireLimits.jsonDepth { _ = try walk.skip() }
            }
            #expect(failure(nested(WireLimits.jsonDepth), enterAndSkip) == nil)
            if entered < WireLimits.jsonDepth {
                #expect(failure(nested(WireLimits.jsonDepth + 1), enterAndSkip)?.code == .tooDeep)
            }
        }
        let error = failure(nested(WireLimits.jsonDepth + 1)) { (walk) throws(JSONError) in
            for _ in 0...WireLimits.jsonDepth { try walk.enterArray() }
        }
        #expect(error?.code == .tooDeep)
    }

    @Test("a copy taken before is the way back")
    func back() throws {
        try walk("[1,2]") { (walk) throws(JSONError) in
            try walk.enterArray()
            _ = try walk.nextElement()
            let before = walk
            #expect(try walk.int() == 1)
            walk = before
            #expect(try walk.int() == 1)
        }
    }

    @Test("half a surrogate pair passes only where it is allowed")
    func loneSurrogates() throws {
        for text in [#""a\ud83d""#, #""\ude00b""#, #""\ud83d\n""#, #""\ud83d\u0041""#] {
            #expect(throws: JSONError.self) { try walk(text) { (walk) throws(JSONError) in _ = try walk.string() } }
            #expect(throws: JSONError.self) { try walk(text) { (walk) throws(JSONError) in _ = try walk.skip() } }
            try walk(text, loneSurrogates: true) { (walk) throws(JSONError) in
                var other = walk
                _ = try other.skip()
                try other.end()
                #expect(walk.text(try walk.string()).contains("\u{FFFD}"))
                try walk.end()
            }
        }
        #expect(failure(#""\ud83""#) { (walk) throws(JSONError) in _ = try walk.string() }?.code == .badEscape)
    }

    @Test("an empty text and ranges from elsewhere are harmless")
    func bounds() {
        let walk = JSONWalk(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(walk.text(0..<0) == "")
        #expect(walk.text(3..<90) == "")
        #expect(!walk.key(JSONKey(range: 5..<9, isEscaped: true), is: "a"))
        var other = walk
        #expect(throws: JSONError(.truncated, at: 0)) { try other.skip() }
    }

    @Test("the closing quote is found or nothing is")
    func closingQuote() {
        func found(_ text: String, _ start: Int) -> Int? {
            text.buffer.withUnsafeReadableBytes { JSONScan.closingQuote(in: $0, from: start) }
        }
        #expect(found(#""ab\"c","#, 1) == 6)
        #expect(found(#""ab"#, 1) == nil)
        #expect(found(#""a\qb""#, 1) == nil)
        #expect(found("x", 9) == nil)
        #expect(found("x", -1) == nil)
    }
}
