import MartletWire
import NIOCore

extension ResponsesRequestWriter {
    /// PDFs and what has an address, where the upstream takes files.
    func part(of document: Document, in source: MediaSource) -> UpstreamPart? {
        switch source {
        case .base64("application/pdf", _) where flags.files, .url where flags.files:
            .file(name: document.title, source)
        case .base64, .url, .file: nil
        }
    }

    mutating func write(_ part: UpstreamPart) {
        out.openObject()
        out.key("type")
        switch part {
        case .text(let text):
            out.value("input_text")
            out.key("text")
            out.value(text)
        case .image(let image):
            out.value("input_image")
            out.key("image_url")
            out.value(address: image.source)
            out.key("detail")
            out.value(image.detail ?? "auto")
        case .audio(let audio): out.members(of: audio)
        case .file(let name, .url(let address)):
            out.value("input_file")
            if let name, !name.isEmpty {
                out.key("filename")
                out.value(name)
            }
            out.key("file_url")
            out.value(address)
        case .file(let name, let source):
            out.value("input_file")
            out.key("filename")
            out.value(name ?? UpstreamPart.fileName)
            out.key("file_data")
            out.value(address: source)
        }
        out.closeObject()
    }
}
