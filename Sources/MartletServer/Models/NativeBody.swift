import MartletDialects
import MartletGateway
import MartletWire
import NIOCore

/// The body of a request in LM Studio's own API: an object whose members are known, or refused.
struct NativeBody {
    private let json: JSON

    /// - Parameter known: all names there may be.
    init(_ body: ByteBuffer, known: [String]) throws(NativeError) {
        do throws(GatewayError) {
            _ = try Decider.check(body)
        } catch {
            throw NativeError.invalid(error.message)
        }
        guard let json = try? JSON(parsing: body) else {
            throw NativeError.invalid("the request body must be a JSON object")
        }
        self.json = json
        let unknown = (json.object?.keys ?? []).filter { !known.contains($0) }.map { String($0.prefix(80)) }
        guard let first = unknown.first else { return }
        throw NativeError.invalid(
            "Unrecognized key(s) in object: " + unknown.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
                + ". There are " + known.joined(separator: ", "), code: "unrecognized_keys", param: first)
    }

    /// Nil: absent or null.
    func value(_ name: String) -> JSON? {
        guard let value = json[name], value != .null else { return nil }
        return value
    }

    func required(_ name: String) throws(NativeError) -> String {
        if let text = try string(name) { return text }
        throw NativeError.invalid("\"\(name)\" is required", code: "missing_required_parameter", param: name)
    }

    func string(_ name: String) throws(NativeError) -> String? {
        try read(name, as: "a string that is not empty") { $0.string.flatMap { $0.isEmpty ? nil : $0 } }
    }

    func bool(_ name: String) throws(NativeError) -> Bool? { try read(name, as: "true or false", \.bool) }

    func int(_ name: String, _ range: ClosedRange<Int>) throws(NativeError) -> Int? {
        try read(name, as: "a whole number from \(range.lowerBound) to \(range.upperBound)") {
            $0.int.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// - Parameter wanted: what the value has to be, for the sentence when `take` takes it for nothing.
    func read<Value>(
        _ name: String, as wanted: String, _ take: (JSON) -> Value?
    ) throws(NativeError) -> Value? {
        guard let value = value(name) else { return nil }
        if let taken = take(value) { return taken }
        throw NativeError.invalid("\(name) must be \(wanted)", code: "invalid_type", param: name)
    }
}
