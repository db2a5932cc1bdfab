import MartletDialects
import MartletGateway
import MartletTransport
import MartletWire
import NIOCore

/// Puts the bytes of images in the place of their addresses, for upstreams that take no addresses.
struct ImageFetch: Sendable {
    let calls: CallBox
    /// Nil: none is fetched.
    let rules: ImageRules?

    /// The plan as it is where it names no image by its address.
    /// - Throws: `invalidRequest`, with the address, when one of them may not or cannot be fetched, or is of a type
    ///   that the upstream does not take.
    func inlined(_ plan: Plan) async throws(GatewayError) -> Plan {
        guard let rules, let calls = calls.value, let candidate = plan.candidates.first, plan.awaitsImages else {
            return plan
        }
        let deadline = NIODeadline.now() + Limits.imageTime
        var room = Limits.imageBytes
        var images: [String: InlineImage] = [:]
        for address in try addresses(of: plan) {
            guard let url = ImageURL(address) else {
                throw refused(address, "is no web address that can be fetched")
            }
            let bytes = try await calls.image(at: url, rules: rules, limit: room, deadline: deadline)
            room -= bytes.readableBytes
            guard let image = InlineImage(bytes) else {
                throw refused(address, "is no PNG, JPEG, GIF or WebP")
            }
            guard candidate.capabilities.imageTypes.contains(image.mediaType) else {
                let known = candidate.capabilities.imageTypes.sorted().joined(separator: ", ")
                throw refused(
                    address, "is \(image.mediaType), and \(candidate.upstream.profile.shownName) takes \(known)")
            }
            images[address] = image
        }
        let document: JSONDocument
        do throws(JSONError) {
            document = try ImageAddresses.replaced(in: plan.document, of: plan.dialect, by: images)
        } catch {
            throw GatewayError(code: .invalidRequest, message: error.sentence)
        }
        return try plan.illustrated(document)
    }

    private func addresses(of plan: Plan) throws(GatewayError) -> [String] {
        guard let found = try? ImageAddresses.find(in: plan.document, of: plan.dialect) else { return [] }
        guard found.count <= Limits.images else {
            throw GatewayError(
                code: .invalidRequest,
                message: "\(found.count) images are named by their addresses, and at most \(Limits.images) are fetched "
                    + "for one request; send the others as data: URLs")
        }
        return found
    }

    private func refused(_ address: String, _ why: String) -> GatewayError {
        GatewayError(code: .invalidRequest, message: "the image at \(address.prefix(200)) \(why)")
    }
}
