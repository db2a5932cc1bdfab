/// What stops the reading of a header; the reader says where.
enum GGUFFault: Error, Hashable {
    /// The file ends before what its header announces.
    case ends
    /// The header is whole; the file ends before the data of this tensor does, which would be there.
    case cut(tensor: String, end: UInt64)
    /// The header goes beyond ``GGUFLimits/headerBytes``.
    case tooLong
    /// The system does not let us read; its reason.
    case unreadable(String)
    /// A clause that says what is wrong.
    case wrong(String)

    /// The sentence for the user.
    ///
    /// - Parameters:
    ///   - name: the file's, fit for a sentence.
    ///   - place: what was being read.
    ///   - position: how far the reading had come, in bytes.
    ///   - size: bytes of the file.
    func error(in name: String, at place: String, _ position: UInt64, of size: UInt64) -> EngineError {
        switch self {
        case .ends:
            return EngineError(
                .incompleteModel,
                "\(name) is cut short: the file ends at \(size) bytes, within \(place)\(EngineError.again)")
        case .cut(let tensor, let end):
            return EngineError(
                .incompleteModel,
                "\(name) is cut short: the file ends at \(size) bytes, before the end of tensor "
                    + "\"\(Shown.text(tensor))\" at \(end)\(EngineError.again)")
        case .tooLong:
            return EngineError(
                .unreadableModel,
                "\(name) is no usable GGUF file: with \(place) at byte \(position) its header goes beyond "
                    + "\(GGUFLimits.headerBytes >> 20) MiB")
        case .unreadable(let reason):
            return EngineError(.unreadableModel, "\(name) cannot be read: \(reason)")
        case .wrong(let clause):
            return EngineError(.unreadableModel, "\(name) is no usable GGUF file: \(clause)")
        }
    }
}
