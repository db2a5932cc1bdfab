/// The members of a JSON object in their order, each name once.
///
/// Names are the same when their UTF-8 bytes are, not when they merely look alike.
package struct JSONObject: Sendable {
    private struct Name: Hashable {
        var text: String

        static func == (a: Name, b: Name) -> Bool { isSame(a.text, b.text) }

        func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    private var names: [String] = []
    private var values: [JSON] = []
    /// Where each name stands; kept from the size on where looking through all of them takes longer.
    private var places: [Name: Int]?
    private static let small = 16

    package init() {}

    /// Of names that stand twice the last value is taken, at the first one's place.
    package init(_ members: some Sequence<(String, JSON)>) {
        for (name, value) in members { self[name] = value }
    }

    package var count: Int { names.count }
    package var isEmpty: Bool { names.isEmpty }
    package var keys: [String] { names }

    /// Setting a name that is there replaces its value in place, a new one is appended; setting nil removes.
    package subscript(name: String) -> JSON? {
        get { place(of: name).map { values[$0] } }
        set {
            guard let newValue else {
                remove(name)
                return
            }
            if let place = place(of: name) {
                values[place] = newValue
            } else {
                add(name, newValue)
            }
        }
    }

    /// Appends a member; false, and nothing is changed, when the name is taken.
    @discardableResult
    package mutating func append(_ name: String, _ value: JSON) -> Bool {
        guard place(of: name) == nil else { return false }
        add(name, value)
        return true
    }

    /// The value that was removed; nil when there was none.
    @discardableResult
    package mutating func remove(_ name: String) -> JSON? {
        guard let place = place(of: name) else { return nil }
        names.remove(at: place)
        let value = values.remove(at: place)
        places = nil
        if names.count > Self.small { indexNames() }
        return value
    }

    private mutating func add(_ name: String, _ value: JSON) {
        names.append(name)
        values.append(value)
        if places != nil {
            places?[Name(text: name)] = names.count - 1
        } else if names.count > Self.small {
            indexNames()
        }
    }

    private mutating func indexNames() {
        var all = [Name: Int](minimumCapacity: names.count)
        for (place, name) in names.enumerated() { all[Name(text: name)] = place }
        places = all
    }

    private func place(of name: String) -> Int? {
        if let places { return places[Name(text: name)] }
        return names.firstIndex { Self.isSame($0, name) }
    }

    private static func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
}

extension JSONObject: Hashable {
    package static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.names.elementsEqual(b.names, by: isSame) && a.values == b.values
    }

    package func hash(into hasher: inout Hasher) {
        for name in names { Name(text: name).hash(into: &hasher) }
        hasher.combine(values)
    }
}

extension JSONObject: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { names.count }
    package subscript(position: Int) -> (key: String, value: JSON) { (names[position], values[position]) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}
