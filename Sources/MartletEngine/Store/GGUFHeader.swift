/// What a GGUF file says before its tensors' data: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
///
/// Read by ``read(_:)``, which checks all that llama.cpp takes for granted or checks itself (`gguf_init_from_reader` in
/// gguf.cpp), so that a file which passes has no number in it that could lead a reader outside the file.
package struct GGUFHeader: Sendable, Hashable {
    package struct Tensor: Sendable, Hashable {
        package var name: String
        /// As ggml numbers it; see ``TensorType``.
        package var type: UInt32
        /// From the fastest to the slowest; 0 to 4, none of them 0.
        package var dimensions: [UInt64]
        /// The product of the dimensions, at most `Int64.max`.
        package var elements: UInt64
        /// From the beginning of the tensors' data.
        package var offset: UInt64
        /// Of a type we do not know: up to where the next tensor or the file ends.
        package var bytes: UInt64
    }

    /// 2 or 3.
    package var version: UInt32
    package var values: [String: GGUFValue]
    package var tensors: [Tensor]
    /// Where the tensors' data begins in the file.
    package var dataStart: UInt64
    /// Bytes of the whole file.
    package var fileBytes: UInt64

    /// Reads the header, and nothing behind it. Takes time and reads bytes in proportion to the header.
    ///
    /// - Throws: `.unreadableModel` for what is no usable GGUF file or lies beyond ``GGUFLimits``, `.incompleteModel`
    ///   for a file that ends before what its header announces. The message names the file, without its folder, what is
    ///   wrong and where.
    package static func read(_ path: String) throws(EngineError) -> GGUFHeader {
        let name = Shown.text(path.split(separator: "/").last.map(String.init) ?? path)
        var parser: GGUFParser
        do throws(GGUFFault) {
            parser = GGUFParser(try GGUFCursor(path))
        } catch {
            throw error.error(in: name, at: "", 0, of: 0)
        }
        do throws(GGUFFault) {
            return try parser.header()
        } catch {
            throw parser.error(error, name)
        }
    }
}

/// Names from a file in our own sentences.
enum Shown {
    /// Without what would act on a terminal or a log, and not longer than it is readable.
    static func text(_ text: String, most: Int = 80) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            guard shown.count < most else {
                shown.append("…")
                break
            }
            shown.append(acts(scalar) ? "?" : scalar)
        }
        return String(shown)
    }

    private static func acts(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: true
        default: false
        }
    }
}
