import MartletWire
import NIOCore

/// A call that was understood as a whole.
struct ParsedCall: Sendable, Hashable {
    /// As the model wrote it; empty when it wrote none.
    var id = ""
    /// As the upstream was told.
    var name: String
    /// The text of a JSON object.
    var arguments: ByteBuffer
    var family: CallFamily
    var isRepaired = false
    var isCoerced = false
}

/// What is known across all blocks of a reply: which calls it may make, and what became of those it tried.
struct CallDesk: Sendable {
    var tools: OfferedTools
    var tally = CallTally()
    /// Forms without a marker count, where they are all of the text.
    var readsWhole: Bool

    /// Nothing more is looked for.
    var isOff: Bool { tally.calls >= CallLimits.calls || tally.misses >= CallLimits.misses }

    /// A call whose arguments are a value that was read.
    /// - Parameters:
    ///   - exact: the arguments' own text, where it is well-formed.
    ///   - isRepaired: what was read was no JSON.
    mutating func call(
        _ name: String, id: String = "", _ arguments: JSON?, exact: ByteBuffer? = nil, family: CallFamily,
        isRepaired: Bool
    ) -> Result<ParsedCall, CallMiss> {
        guard let offer = tools.find(name) else { return .failure(.unknownName) }
        var exact = exact
        var isRepaired = isRepaired
        let object: JSONObject
        switch arguments {
        case nil, .null?: object = [:]
        case .object(let members)?: object = members
        case .string("")?: object = [:]
        case .string(let text)?:
            // The form native calls have; models write it here too.
            guard let inner = NearJSON.whole(text), let members = inner.value.object else {
                return .failure(.malformed)
            }
            isRepaired = isRepaired || inner.isRepaired
            exact = nil
            object = members
        default: return .failure(.malformed)
        }
        let fit = ArgumentFit.fit(object, to: schema(of: offer))
        let isCoerced = fit != object
        let text = isCoerced || arguments?.object == nil ? nil : exact
        return .success(
            ParsedCall(
                id: id, name: offer.name, arguments: text ?? JSON.object(fit).buffer, family: family,
                isRepaired: isRepaired, isCoerced: isCoerced))
    }

    /// A call whose arguments stood between tags.
    mutating func call(
        _ name: String, texts: [(name: String, text: String)], isLoose: Bool, family: CallFamily
    ) -> Result<ParsedCall, CallMiss> {
        guard let offer = tools.find(name) else { return .failure(.unknownName) }
        let schema = schema(of: offer)
        var object = JSONObject()
        for (name, text) in texts {
            let value = ArgumentFit.typed(text, as: ArgumentFit.schema(of: name, in: schema), isLoose: isLoose)
            guard object.append(name, value) else { return .failure(.malformed) }
        }
        let fit = ArgumentFit.fit(object, to: schema)
        return .success(
            ParsedCall(name: offer.name, arguments: JSON.object(fit).buffer, family: family))
    }

    /// An object with a name and arguments, in one of the forms models give it.
    /// - Parameter demandsArguments: an object without them is no call.
    mutating func call(
        _ members: [NearJSON.Member], of text: [UInt8], family: CallFamily, demandsArguments: Bool = false
    ) -> Result<ParsedCall, CallMiss> {
        var name: String?
        var id = ""
        var arguments: NearJSON.Member?
        var isRepaired = false
        for member in members {
            switch member.name {
            case "name", "tool", "tool_name": name = member.value.string
            case "function":
                if let word = member.value.string {
                    name = word
                } else {
                    var near = NearJSON(text, from: member.range.lowerBound, to: member.range.upperBound)
                    guard let inner = try? near.members() else { return .failure(.malformed) }
                    for part in inner {
                        if part.name == "name" { name = part.value.string }
                        if part.name == "arguments" || part.name == "parameters" { arguments = part }
                    }
                }
            case "arguments", "parameters", "args", "input":
                guard arguments == nil else { return .failure(.malformed) }
                arguments = member
            case "id", "call_id": id = member.value.string ?? ""
            case "type", "index": break
            default: return .failure(.malformed)
            }
            if !member.isExact { isRepaired = true }
        }
        guard let name, arguments != nil || !demandsArguments else { return .failure(.malformed) }
        let exact = arguments.flatMap { $0.isExact ? ByteBuffer(bytes: text[$0.range]) : nil }
        return call(name, id: id, arguments?.value, exact: exact, family: family, isRepaired: isRepaired)
    }

    private func schema(of offer: OfferedTools.Offer) -> JSON? { offer.schema.flatMap { try? JSON(parsing: $0) } }
}

extension CallMiss: Error {}
