internal import CScan

/// What kind of value a JSON text or a part of it is.
package enum JSONKind: Sendable, Hashable {
    case object, array, string, number, bool, null
}

/// Why a JSON text was refused.
package struct JSONError: Error, Hashable, Sendable {
    package enum Code: Sendable, Hashable {
        /// The byte cannot stand here.
        case malformed
        /// A backslash with something behind it that JSON does not know.
        case badEscape
        /// A `\u` escape that is one half of a surrogate pair, without the other.
        case loneSurrogate
        /// Bytes that are not UTF-8.
        case badUTF8
        /// A byte below 0x20 inside a string.
        case controlCharacter
        /// A number not spelled as RFC 8259 section 6 wants it.
        case badNumber
        /// More objects and arrays inside each other than allowed.
        case tooDeep
        /// More top-level members than `WireLimits.topLevelMembers`.
        case tooManyMembers
        /// A member that is read stands twice: two parsers would give two answers.
        case duplicateKey
        /// Something other than white space behind the value.
        case trailing
        /// The text ends too early.
        case truncated
        /// Well-formed so far, but another type of value than the reader asked for.
        case notThisType
    }

    package var code: Code
    /// Bytes from the start of the text to the byte that is wrong.
    package var offset: Int
    /// The member's name, where the error is about one.
    package var name: String?

    package init(_ code: Code, at offset: Int, name: String? = nil) {
        self.code = code
        self.offset = offset
        self.name = name
    }

    /// What is wrong and where, in words for the one who sent the text.
    package var sentence: String {
        if code == .duplicateKey {
            return name.map { "the member \"\($0)\" stands twice" } ?? "a member stands twice, again at byte \(offset)"
        }
        return "\(isWellFormed ? "JSON refused" : "malformed JSON") at byte \(offset): \(reason)"
    }

    /// Nothing is wrong with the spelling so far.
    private var isWellFormed: Bool {
        switch code {
        case .tooDeep, .tooManyMembers, .duplicateKey, .notThisType: true
        default: false
        }
    }

    private var reason: String {
        switch code {
        case .malformed: "unexpected character"
        case .badEscape: "unknown escape in a string"
        case .loneSurrogate: "half of a surrogate pair"
        case .badUTF8: "not UTF-8"
        case .controlCharacter: "control character in a string, it must be escaped"
        case .badNumber: "not a number"
        case .tooDeep: "too many objects and arrays inside each other"
        case .tooManyMembers: "more than \(WireLimits.topLevelMembers) members"
        case .duplicateKey: "a member stands twice"
        case .trailing: "something follows the value"
        case .truncated: "the text ends too early"
        case .notThisType: "another type of value was expected"
        }
    }
}

extension JSONError {
    init(_ result: cscan_result) {
        let code: Code =
            switch result.status {
            case cscan_bad_escape: .badEscape
            case cscan_lone_surrogate: .loneSurrogate
            case cscan_bad_utf8: .badUTF8
            case cscan_control_character: .controlCharacter
            case cscan_bad_number: .badNumber
            case cscan_too_deep: .tooDeep
            case cscan_trailing: .trailing
            case cscan_truncated: .truncated
            case cscan_more_members: .tooManyMembers
            default: .malformed
            }
        self.init(code, at: result.offset)
    }
}

extension JSONKind {
    /// Nil for what begins no value.
    init?(_ kind: cscan_kind) {
        switch kind {
        case cscan_object: self = .object
        case cscan_array: self = .array
        case cscan_text: self = .string
        case cscan_number: self = .number
        case cscan_bool: self = .bool
        case cscan_null: self = .null
        default: return nil
        }
    }
}
