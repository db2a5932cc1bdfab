/// What a translation leaves out, by name.
struct DropNotes {
    private(set) var names: [String] = []
    let isStrict: Bool

    init(isStrict: Bool) { self.isStrict = isStrict }

    /// Something that is honoured at best effort and cannot be.
    ///
    /// - Throws: in strict mode.
    mutating func drop(_ name: String) throws(GatewayError) {
        guard !isStrict else {
            throw .refused(name, "not supported by this model's server")
        }
        note(name)
    }

    /// An answer's form that is asked for in words: what a whole answer is checked for. A streamed one is not, which is
    /// named by the client's word for it.
    mutating func checked(_ form: AnswerForm, for request: CanonicalRequest) throws(GatewayError) -> AnswerForm? {
        guard request.settings.streams else { return form }
        try drop(OutputFormat.member(of: request.origin.dialect))
        return nil
    }

    /// Something left out, or replaced by words, in every mode.
    mutating func note(_ name: String) {
        let name = Self.header(name)
        guard !name.isEmpty, !names.contains(name), names.count <= RequestLimits.dropped else { return }
        names.append(names.count < RequestLimits.dropped ? name : Self.more)
    }

    /// In place of all names behind the last there is room for.
    static let more = "..."

    /// Fit for a header's value, whatever a client called its tool.
    static func header(_ name: String) -> String {
        let letters = name.utf8.prefix(80).map { byte -> UInt8 in
            let isPlain = byte >= 0x30 && byte <= 0x39 || byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A
            return isPlain || "._-[]".utf8.contains(byte) ? byte : UInt8(ascii: "_")
        }
        return String(decoding: letters, as: UTF8.self)
    }
}
