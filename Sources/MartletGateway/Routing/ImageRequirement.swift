import MartletDialects
import MartletWire
import NIOCore

/// What images have to be for a place, where a request goes there as it is. Nothing is worked out unless there is one.
package struct ImageRequirement: Sendable {
    private let candidate: Candidate
    private let fetches: Bool

    /// - Parameter fetches: the gateway puts bytes in the place of addresses.
    package init(_ candidate: Candidate, fetches: Bool) {
        self.candidate = candidate
        self.fetches = fetches
    }

    /// False: the model cannot see.
    var takesAny: Bool { candidate.capabilities.images != .none }

    /// False: the model cannot hear.
    var takesAudio: Bool {
        if case .text(_, hears: false) = candidate.traits?.work { false } else { true }
    }

    /// - Parameter messages: the value of `messages`, a checked JSON array.
    /// - Throws: `invalidRequest` with the path of the first image that its server would refuse.
    func check(messages: ByteBuffer) throws(GatewayError) {
        guard refusesSome else { return }
        let list = (try? JSON(parsing: messages))?.array ?? []
        for (place, message) in list.enumerated() {
            for (part, content) in (message["content"]?.array ?? []).enumerated() {
                let image = content["image_url"]
                guard content["type"] == "image_url", let address = (image?["url"] ?? image)?.string,
                    let problem = problem(address)
                else { continue }
                let path = "messages[\(place)].content[\(part)].image_url"
                throw GatewayError(code: .invalidRequest, message: "\(path): \(problem)", param: path)
            }
        }
    }

    /// - Parameter document: whose `input` is a list of items of Responses.
    func check(input document: JSONDocument) throws(GatewayError) {
        guard !takesAny || refusesTypes else { return }
        for item in try ResponsesRequest.inputItems(document) {
            for part in (try? JSON(parsing: item))?["content"]?.array ?? [] where part["type"] == "input_image" {
                guard let problem = takesAny ? part["image_url"]?.string.flatMap(problem) : blindness else { continue }
                throw GatewayError(code: .invalidRequest, message: "input: \(problem)", param: "input")
            }
        }
    }

    private var blindness: String { "\(candidate.model) cannot see images; choose a model with vision" }

    /// What is not known to be refused is passed on.
    private var refusesSome: Bool { refusesAddresses || refusesTypes }

    private var refusesAddresses: Bool {
        candidate.upstream.profile.refusesImageAddresses && candidate.capabilities.images != .url && !fetches
    }

    private var refusesTypes: Bool { candidate.capabilities.imageTypes != Capabilities().imageTypes }

    private func problem(_ address: String) -> String? {
        let name = candidate.upstream.profile.shownName
        guard address.prefix(5).lowercased() == "data:" else {
            return refusesAddresses
                ? "\(name) takes no image addresses; send a data: URL, or set images.fetch: true" : nil
        }
        let known = candidate.capabilities.imageTypes
        let type = address.dropFirst(5).prefix { $0 != ";" && $0 != "," }.lowercased()
        guard refusesTypes, type.hasPrefix("image/"), !known.contains(type) else { return nil }
        return "\(name) takes \(known.sorted().joined(separator: ", ")), not \(type.prefix(64))"
    }
}
