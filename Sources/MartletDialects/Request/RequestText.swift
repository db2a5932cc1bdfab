import MartletWire
import NIOCore

extension EscapedText {
    /// Whether the still-escaped content begins so. The prefix must need no escapes.
    func starts(with prefix: StaticString) -> Bool {
        prefix.withUTF8Buffer { wanted in
            bytes.withUnsafeReadableBytes { $0.count >= wanted.count && $0.prefix(wanted.count).elementsEqual(wanted) }
        }
    }
}
