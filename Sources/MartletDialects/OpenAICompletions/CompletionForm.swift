import MartletWire
import NIOCore

extension CompletionRequest {
    /// What a request asks for, read in one pass over its known members.
    struct Form {
        private(set) var asks: Set<CompletionFeature> = []
        /// Of a single prompt that is text.
        private(set) var prompt: EscapedText?
        private(set) var hasPrompt = false
        /// The place of a prompt that is a list of one text.
        private(set) var wrapped: Int?
        /// Members that ask for nothing, by their places in the document.
        private(set) var neutral: [(feature: CompletionFeature, place: Int)] = []

        /// - Throws: `invalidRequest` with the name of a member that is not what it should be.
        init(_ document: JSONDocument) throws(GatewayError) {
            do throws(DialectError) {
                try readPrompt(document)
                try readMembers(document)
            } catch {
                throw GatewayError(refusing: error)
            }
        }

        /// What it asks for beyond these.
        func asked(without features: Set<CompletionFeature>) -> CompletionFeature? {
            CompletionFeature.allCases.first { asks.contains($0) && !features.contains($0) }
        }

        private mutating func readPrompt(_ document: JSONDocument) throws(DialectError) {
            guard let place = try Self.place("prompt", of: document), document.members[place].kind != .null else {
                return
            }
            hasPrompt = true
            do throws(DialectError) {
                try RequestWalk.over(document.slice(document.members[place].value)) { (walk) throws(DialectError) in
                    try readPrompt(&walk)
                }
            } catch {
                throw error.inside("prompt")
            }
            if document.members[place].kind == .array, prompt != nil, asks.isEmpty { wrapped = place }
        }

        private mutating func readPrompt(_ walk: inout RequestWalk) throws(DialectError) {
            switch try walk.kind() {
            case .string: prompt = try walk.escaped()
            case .array:
                var count = 0
                try walk.array { (walk, _) throws(DialectError) in
                    switch try walk.kind() {
                    case .string:
                        let text = try walk.escaped()
                        if count == 0 { prompt = text }
                        count += 1
                    case .number:
                        _ = try walk.int()
                        asks.insert(.tokens)
                    case .array:
                        try walk.array { (walk, _) throws(DialectError) in _ = try walk.int() }
                        asks.insert(.tokens)
                        count += 1
                    case .object, .bool, .null:
                        throw DialectError(.unexpected, "must be text, a list of texts, or tokens")
                    }
                }
                if count > 1 { asks.insert(.prompts) }
                guard count > 0 || asks.contains(.tokens) else {
                    throw DialectError(.unexpected, "must hold at least one text")
                }
            case .object, .bool, .number, .null:
                throw DialectError(.unexpected, "must be text, a list of texts, or tokens")
            }
        }

        private mutating func readMembers(_ document: JSONDocument) throws(DialectError) {
            try note(.echo, in: document) { (walk) throws(DialectError) in try walk.bool() }
            try note(.suffix, in: document) { (walk) throws(DialectError) in try !walk.escaped().isEmpty }
            try note(.choices, in: document) { (walk) throws(DialectError) in try walk.count(in: 1...128) > 1 }
            try note(.bestOf, in: document) { (walk) throws(DialectError) in try walk.count(in: 1...128) > 1 }
            try note(.logprobs, in: document) { (walk) throws(DialectError) in
                // `true` is the word of Chat, which some servers take here too.
                if try walk.kind() == .bool { return try walk.bool() }
                _ = try walk.count(in: 0...100)
                return true
            }
        }

        private static func place(_ name: String, of document: JSONDocument) throws(DialectError) -> Int? {
            do throws(JSONError) {
                return try document.index(of: name)
            } catch {
                throw DialectError(error, at: name)
            }
        }

        private mutating func note(
            _ feature: CompletionFeature, in document: JSONDocument,
            _ isAsked: (inout RequestWalk) throws(DialectError) -> Bool
        ) throws(DialectError) {
            guard let place = try Self.place(feature.member, of: document) else { return }
            let member = document.members[place]
            do throws(DialectError) {
                let asks =
                    member.kind == .null ? false : try RequestWalk.over(document.slice(member.value), isAsked)
                if asks { self.asks.insert(feature) } else { neutral.append((feature, place)) }
            } catch {
                throw error.inside(feature.member)
            }
        }
    }
}

extension RequestWalk {
    fileprivate mutating func count(in range: ClosedRange<Int>) throws(DialectError) -> Int {
        let count = try int()
        guard range.contains(count) else {
            throw DialectError(
                .unexpected, "must be between \(range.lowerBound) and \(range.upperBound) (got \(count))")
        }
        return count
    }
}
