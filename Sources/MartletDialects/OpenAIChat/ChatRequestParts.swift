import MartletWire
import NIOCore

extension ChatRequestWriter {
    /// PDFs, where the upstream takes files.
    func part(of document: Document, in source: MediaSource) -> UpstreamPart? {
        guard flags.files, case .base64("application/pdf", _) = source else { return nil }
        return .file(name: document.title, source)
    }

    /// The API's finest is `high`; any other word it does not know.
    private mutating func detail(of image: Image) -> String? {
        switch image.detail {
        case "original": return "high"
        case "auto", "low", "high": return image.detail
        case nil: return nil
        default:
            draft.notes.note("image_url.detail")
            return nil
        }
    }

    mutating func write(_ part: UpstreamPart) {
        out.openObject()
        out.key("type")
        switch part {
        case .text(let text):
            out.value("text")
            out.key("text")
            out.value(text)
        case .image(let image):
            out.value("image_url")
            out.key("image_url")
            out.openObject()
            out.key("url")
            out.value(address: image.source)
            if let detail = detail(of: image) {
                out.key("detail")
                out.value(detail)
            }
            out.closeObject()
        case .file(let name, let source):
            out.value("file")
            out.key("file")
            out.openObject()
            out.key("filename")
            out.value(name ?? UpstreamPart.fileName)
            out.key("file_data")
            out.value(address: source)
            out.closeObject()
        case .audio(let audio): out.members(of: audio)
        }
        out.closeObject()
    }
}
