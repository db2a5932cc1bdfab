import MartletWire
import NIOCore

/// Which tool call a piece of `tool_calls` belongs to, within one choice. Calls get slots from 0 in the order of their
/// first appearance, whatever indices the upstream gives them, or whether it gives any.
struct ChatCalls: Sendable {
    /// More calls than this in one choice are refused. Agents run a few dozen at most.
    static let limit = 1024

    struct Call: Sendable {
        /// The upstream's own index.
        var index: Int?
        var id: String
        var name: String
        /// The last array that had a piece of it.
        var array = 0
        var balance = ArgumentBalance()
    }

    private(set) var calls: [Call] = []
    /// Arrays of pieces so far.
    private var arrays = 0

    /// - Parameter position: of the piece in its array: two pieces of one array are two
    ///   calls unless they say otherwise.
    /// - Returns: with what the piece adds to the call's name; nil when there are too many calls.
    mutating func slot(
        index: Int?, id: String, name: String, position: Int
    ) -> (slot: Int, isNew: Bool, addedName: String)? {
        if position == 0 { arrays += 1 }
        if let known = find(index: index, id: id, name: name, position: position) {
            calls[known].array = arrays
            if calls[known].id.isEmpty { calls[known].id = id }
            let added = addition(name, to: calls[known], id: id)
            calls[known].name += added
            return (known, false, added)
        }
        guard calls.count < Self.limit else { return nil }
        calls.append(Call(index: index, id: id, name: name, array: arrays))
        return (calls.count - 1, true, name)
    }

    /// Names come in one piece, in several, or again with each fragment, as they stand so far or as a whole.
    private func addition(_ name: String, to call: Call, id: String) -> String {
        guard !call.name.isEmpty else { return name }
        let mayGrow = call.balance.isEmpty && (id.isEmpty || id == call.id)
        guard mayGrow, name != call.name else { return "" }
        return name.hasPrefix(call.name) ? String(name.dropFirst(call.name.count)) : name
    }

    mutating func take(_ arguments: EscapedText, slot: Int) { calls[slot].balance.take(arguments) }

    private func find(index: Int?, id: String, name: String, position: Int) -> Int? {
        guard let last = calls.indices.last else { return nil }
        if let index {
            guard let known = calls.lastIndex(where: { $0.index == index }) else { return nil }
            // Some servers give every parallel call index 0; a new id and name after complete arguments is a new call.
            let isAnother = !id.isEmpty && !name.isEmpty && !calls[known].id.isEmpty && id != calls[known].id
            return isAnother && calls[known].balance.isComplete ? nil : known
        }
        if !id.isEmpty, let known = calls.lastIndex(where: { $0.id == id }) {
            // Named twice in one array: two calls to which a server has given one id.
            return calls[known].array == arrays && !name.isEmpty ? nil : known
        }
        if name.isEmpty { return id.isEmpty || calls[last].id.isEmpty ? last : nil }
        let call = calls[last]
        let isRepetition = position == 0 && id.isEmpty && name == call.name && !call.balance.isComplete
        return isRepetition || call.name.isEmpty ? last : nil
    }
}

/// Whether fragments of arguments so far are one whole JSON value, by its brackets and quotes. It does not check them.
struct ArgumentBalance: Sendable {
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private(set) var isEmpty = true

    /// False while empty.
    var isComplete: Bool { !isEmpty && depth <= 0 && !isInString }

    /// - Parameter text: a fragment, itself the content of a JSON string: the quotes that count are escaped in it.
    mutating func take(_ text: EscapedText) {
        text.bytes.withUnsafeReadableBytes { bytes in
            var offset = 0
            while offset < bytes.count {
                let byte = bytes[offset]
                offset += 1
                guard byte == UInt8(ascii: "\\"), offset < bytes.count else {
                    step(byte)
                    continue
                }
                let escape = bytes[offset]
                offset += 1
                switch escape {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): step(escape)
                case UInt8(ascii: "u"):
                    let digits = bytes[offset..<min(offset + 4, bytes.count)]
                    offset = digits.endIndex
                    let scalar = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0
                    step(scalar < 0x80 ? UInt8(scalar) : 0x80)
                default: step(UInt8(ascii: " "))  // \n, \t and the like
                }
            }
        }
    }

    private mutating func step(_ byte: UInt8) {
        if isEscaped {
            isEscaped = false
        } else if isInString {
            if byte == UInt8(ascii: "\\") { isEscaped = true }
            if byte == UInt8(ascii: "\"") { isInString = false }
        } else {
            switch byte {
            case UInt8(ascii: " "), 0x09, 0x0A, 0x0D: return
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
            isEmpty = false
        }
    }
}
