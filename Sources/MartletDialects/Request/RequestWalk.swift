import MartletWire
import NIOCore

/// The members a reader knows of one kind of object; the raw value is the wire's spelling.
protocol RequestField: RawRepresentable, Hashable, Sendable where RawValue == String {}

/// A walk over a part of a request that turns what it finds into slices, and what is wrong into an error with a path.
/// It must not leave the closure that lends it.
struct RequestWalk {
    private var walk: JSONWalk
    /// What the walk's ranges count in.
    private let text: ByteBuffer

    /// Lends a walk over one JSON text.
    static func over<R>(
        _ text: ByteBuffer, _ body: (inout RequestWalk) throws(DialectError) -> R
    ) throws(DialectError) -> R {
        try text.withUnsafeReadableBytes { (bytes) throws(DialectError) -> R in
            var walk = RequestWalk(walk: JSONWalk(bytes), text: text)
            return try body(&walk)
        }
    }

    // MARK: - Containers

    /// Walks an object's members, of which those the reader does not know are stepped over.
    ///
    /// - Throws: when a known member stands twice: two parsers would give two answers.
    mutating func object<Field: RequestField>(
        _ fields: Field.Type, _ member: (inout RequestWalk, Field) throws(DialectError) -> Void
    ) throws(DialectError) {
        try expect(.object)
        var seen: [Field] = []
        try wire { (walk) throws(JSONError) in try walk.enterObject() }
        while let key = try wire({ (walk) throws(JSONError) in try walk.nextKey() }) {
            let name = walk.name(key)
            guard let field = Field(rawValue: name) else {
                _ = try skip()
                continue
            }
            guard !seen.contains(field) else { throw DialectError(.unexpected, at: name, "stands twice") }
            seen.append(field)
            do {
                try member(&self, field)
            } catch {
                throw error.inside(name)
            }
        }
    }

    mutating func array(_ element: (inout RequestWalk, Int) throws(DialectError) -> Void) throws(DialectError) {
        try expect(.array)
        var index = 0
        try wire { (walk) throws(JSONError) in try walk.enterArray() }
        while try wire({ (walk) throws(JSONError) in try walk.nextElement() }) {
            do {
                try element(&self, index)
            } catch {
                throw error.inside("[\(index)]")
            }
            index += 1
        }
    }

    // MARK: - Values

    mutating func kind() throws(DialectError) -> JSONKind {
        try wire { (walk) throws(JSONError) in try walk.kind() }
    }

    /// Steps over `null` if it is next, and says whether it was.
    mutating func takeNull() throws(DialectError) -> Bool {
        try wire { (walk) throws(JSONError) in try walk.takeNull() }
    }

    /// A string's content, still escaped.
    mutating func escaped() throws(DialectError) -> EscapedText {
        try expect(.string)
        return EscapedText(text.part(try wire { (walk) throws(JSONError) in try walk.string() }))
    }

    /// A string, unescaped.
    mutating func string() throws(DialectError) -> String {
        try expect(.string)
        let range = try wire { (walk) throws(JSONError) in try walk.string() }
        return walk.text(range)
    }

    /// A string; what is none is stepped over.
    mutating func stringIfAny() throws(DialectError) -> String? {
        if try kind() == .string { return try string() }
        _ = try skip()
        return nil
    }

    /// A string; what is none is stepped over.
    mutating func escapedIfAny() throws(DialectError) -> EscapedText? {
        if try kind() == .string { return try escaped() }
        _ = try skip()
        return nil
    }

    /// Steps over a value: its text.
    mutating func skip() throws(DialectError) -> ByteBuffer {
        text.part(try wire { (walk) throws(JSONError) in try walk.skip() })
    }

    mutating func int() throws(DialectError) -> Int {
        try expect(.number, "an integer was expected")
        guard let value = try wire({ (walk) throws(JSONError) in try walk.int() }) else {
            throw DialectError(.unexpected, "an integer was expected")
        }
        return value
    }

    /// A number of tokens that is reckoned with; what is beyond 2^31 either way is more
    /// than there can be, and that much.
    mutating func count() throws(DialectError) -> Int { min(max(try int(), -1 << 31), 1 << 31) }

    mutating func number() throws(DialectError) -> JSONNumber {
        try expect(.number)
        let range = try wire { (walk) throws(JSONError) in try walk.number() }
        guard let number = JSONNumber(literal: String(buffer: text.part(range))) else {
            throw DialectError(.unexpected, "a number was expected")
        }
        return number
    }

    /// A number within the range.
    mutating func number(in range: ClosedRange<Double>) throws(DialectError) -> JSONNumber {
        let number = try number()
        guard let value = number.double, range.contains(value) else {
            throw DialectError(
                .unexpected,
                "must be between \(Int(range.lowerBound)) and \(Int(range.upperBound)) (got \(number.literal.prefix(40)))"
            )
        }
        return number
    }

    mutating func bool() throws(DialectError) -> Bool {
        try expect(.bool)
        return try wire { (walk) throws(JSONError) in try walk.bool() }
    }

    /// `true` or `false`; what is neither is stepped over.
    mutating func boolIfAny() throws(DialectError) -> Bool? {
        if try kind() == .bool { return try bool() }
        _ = try skip()
        return nil
    }

    // MARK: - Errors

    private mutating func expect(_ wanted: JSONKind, _ sentence: String? = nil) throws(DialectError) {
        if try kind() != wanted { throw DialectError(.unexpected, sentence ?? wanted.expectation) }
    }

    private mutating func wire<R>(_ step: (inout JSONWalk) throws(JSONError) -> R) throws(DialectError) -> R {
        do {
            return try step(&walk)
        } catch {
            throw DialectError(error)
        }
    }
}

extension DialectError {
    /// The same error, seen from the container: the step is a member's name or `[index]`.
    func inside(_ step: String) -> DialectError {
        var error = self
        let isJoined = path.isEmpty || path.hasPrefix("[")
        error.path = isJoined ? step + path : "\(step).\(path)"
        return error
    }
}

extension GatewayError {
    /// What a client sent cannot be read as its dialect.
    init(refusing error: DialectError) {
        self.init(
            code: .invalidRequest, message: error.sentence, param: error.path.isEmpty ? nil : error.path)
    }
}

extension JSONKind {
    fileprivate var expectation: String {
        switch self {
        case .object: "an object was expected"
        case .array: "a list was expected"
        case .string: "a string was expected"
        case .number: "a number was expected"
        case .bool: "true or false was expected"
        case .null: "null was expected"
        }
    }
}

/// The top-level members of a request, each read at most once.
struct RequestMembers {
    let document: JSONDocument
    /// What has been asked for, by index in the document's members.
    private var known: Set<Int> = []

    init(_ document: JSONDocument) throws(DialectError) {
        guard document.root == .object else { throw DialectError(.unexpected, "the request must be a JSON object") }
        self.document = document
    }

    /// Reads one member. Nil when it is absent or null.
    mutating func read<R>(
        _ name: String, _ body: (inout RequestWalk) throws(DialectError) -> R?
    ) throws(DialectError) -> R? {
        guard let member = try find(name), member.kind != .null else { return nil }
        do {
            return try RequestWalk.over(document.slice(member.value), body)
        } catch {
            throw error.inside(name)
        }
    }

    // As the walk's of the same names. Nil also when the member is absent or null.

    mutating func string(_ name: String) throws(DialectError) -> String? {
        try read(name) { (walk) throws(DialectError) in try walk.string() }
    }

    mutating func stringIfAny(_ name: String) throws(DialectError) -> String? {
        try read(name) { (walk) throws(DialectError) in try walk.stringIfAny() }
    }

    mutating func escapedIfAny(_ name: String) throws(DialectError) -> EscapedText? {
        try read(name) { (walk) throws(DialectError) in try walk.escapedIfAny() }
    }

    mutating func int(_ name: String) throws(DialectError) -> Int? {
        try read(name) { (walk) throws(DialectError) in try walk.int() }
    }

    mutating func number(_ name: String) throws(DialectError) -> JSONNumber? {
        try read(name) { (walk) throws(DialectError) in try walk.number() }
    }

    mutating func number(_ name: String, in range: ClosedRange<Double>) throws(DialectError) -> JSONNumber? {
        try read(name) { (walk) throws(DialectError) in try walk.number(in: range) }
    }

    mutating func bool(_ name: String) throws(DialectError) -> Bool? {
        try read(name) { (walk) throws(DialectError) in try walk.bool() }
    }

    mutating func boolIfAny(_ name: String) throws(DialectError) -> Bool? {
        try read(name) { (walk) throws(DialectError) in try walk.boolIfAny() }
    }

    /// Notes members as known without reading them; the names of those that are there and not null.
    mutating func present(_ names: [String]) throws(DialectError) -> [String] {
        var found: [String] = []
        for name in names {
            if let member = try find(name), member.kind != .null { found.append(name) }
        }
        return found
    }

    /// What nobody has asked for.
    var rest: RawMembers {
        var rest: [RawMembers.Member] = []
        for (index, member) in document.members.enumerated() where !known.contains(index) {
            rest.append(.init(name: document.name(member), value: document.slice(member.value)))
        }
        return RawMembers(rest)
    }

    private mutating func find(_ name: String) throws(DialectError) -> JSONMember? {
        do {
            guard let index = try document.index(of: name) else { return nil }
            known.insert(index)
            return document.members[index]
        } catch {
            throw DialectError(error, at: name)
        }
    }
}
