import MartletWire

extension CallIDRule {
    /// The id as the upstream takes it: itself where it fits, else a pure function of it, the same for call and result.
    package func fit(_ id: String) -> String {
        let fits =
            length.contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                let isLetter = byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A
                let isDigit = byte >= 0x30 && byte <= 0x39
                return isLetter || isDigit || !isAlphanumeric && (byte == 0x5F || byte == 0x2D)
            }
        if fits { return id }
        let wanted = isAlphanumeric ? min(length.upperBound, 9) : min(length.upperBound, 24)
        return Digest.base62(id, characters: max(wanted, min(length.lowerBound, 40)))
    }
}

extension ToolNameMap {
    /// Names as the upstream takes them: `^[a-zA-Z0-9_-]+$` up to a length. Each is a pure function of the client's
    /// name, unless two would become one.
    ///
    /// - Parameter names: of the tools offered, then of calls in the conversation. Those that fit keep themselves.
    init(_ names: some Sequence<String>, maximum: Int) {
        self.init()
        var taken: Set<String> = []
        var odd: [String] = []
        var seen: Set<String> = []
        for name in names {
            if Self.fits(name, maximum) {
                taken.insert(name)
            } else if seen.insert(name).inserted {
                odd.append(name)
            }
        }
        for name in odd {
            var fitting = Self.fitting(name, maximum)
            if taken.contains(fitting) { fitting = Self.hashed(fitting, of: name, maximum) }
            taken.insert(fitting)
            map(name, to: fitting)
        }
    }

    private static func fits(_ name: String, _ maximum: Int) -> Bool {
        let bytes = name.utf8
        return !bytes.isEmpty && bytes.count <= maximum && bytes.allSatisfy(isPlain)
    }

    private static func fitting(_ name: String, _ maximum: Int) -> String {
        let letters = name.unicodeScalars.map { scalar -> Character in
            scalar.isASCII && isPlain(UInt8(truncatingIfNeeded: scalar.value)) ? Character(scalar) : "_"
        }
        guard !letters.isEmpty else { return "_" }
        let plain = String(letters)
        return plain.utf8.count <= maximum ? plain : hashed(plain, of: name, maximum)
    }

    private static func hashed(_ plain: String, of name: String, _ maximum: Int) -> String {
        String(plain.prefix(max(0, maximum - 9))) + "_" + Digest.hex(name, digits: 8)
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x30 && byte <= 0x39 || byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A || byte == 0x5F || byte == 0x2D
    }
}
