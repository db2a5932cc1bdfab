#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension ConfigurationLoader {
    /// The text of a file; nil when there is none of that path.
    /// - Throws: for a file that is there and cannot be read, is no UTF-8, or is larger than a mebibyte.
    package static func read(path: String) throws -> String? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw FileProblem(description: "it is a folder, or this user may not read it")
        }
        guard bytes.count <= 1 << 20 else { throw FileProblem(description: "it is larger than 1 MiB") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FileProblem(description: "it is not UTF-8")
        }
        return text
    }

    private struct FileProblem: Error, CustomStringConvertible {
        let description: String
    }
}
