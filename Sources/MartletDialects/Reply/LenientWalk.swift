import MartletWire

/// How replies are read: a value of another kind than it should be counts as absent.
extension JSONWalk {
    /// Inside the quotes; nil, and stepped over, when it is no string.
    mutating func stringOrSkip() throws(JSONError) -> Range<Int>? {
        if try kind() == .string { return try string() }
        _ = try skip()
        return nil
    }

    mutating func intOrSkip() throws(JSONError) -> Int? {
        if try kind() == .number { return try int() }
        _ = try skip()
        return nil
    }

    /// A count of tokens; nil, and stepped over, when it is none. One below zero is taken as not reported.
    mutating func tokens() throws(JSONError) -> Int? {
        guard let count = try intOrSkip(), count >= 0 else { return nil }
        return count
    }

    /// A time or a rate; nil, and stepped over, when it is none.
    mutating func measure() throws(JSONError) -> Double? {
        guard try kind() == .number else {
            _ = try skip()
            return nil
        }
        guard let measure = Double(text(try number())), measure.isFinite, measure >= 0 else { return nil }
        return measure
    }

    /// False: it is no object, and stepped over.
    mutating func enterObjectOrSkip() throws(JSONError) -> Bool {
        if try kind() == .object {
            try enterObject()
            return true
        }
        _ = try skip()
        return false
    }

    /// False: it is no array, and stepped over.
    mutating func enterArrayOrSkip() throws(JSONError) -> Bool {
        if try kind() == .array {
            try enterArray()
            return true
        }
        _ = try skip()
        return false
    }

    /// Whether there is another element that is an object, which comes next; others are stepped over.
    mutating func nextObject() throws(JSONError) -> Bool {
        while try nextElement() {
            if try kind() == .object { return true }
            _ = try skip()
        }
        return false
    }

    /// Steps over a value: its range, unless it is null or false.
    mutating func something() throws(JSONError) -> Range<Int>? {
        if try takeNull() { return nil }
        let range = try skip()
        return text(range, is: "false") ? nil : range
    }
}
