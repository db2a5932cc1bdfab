internal import CScan

/// Single looks at JSON text, for fast paths that know what they expect.
package enum JSONScan {
    /// Checks string content from `start`, just behind the opening quote.
    ///
    /// - Returns: the offset of the closing quote; nil when the content is malformed or the text ends first.
    package static func closingQuote(
        in text: UnsafeRawBufferPointer, from start: Int, loneSurrogates: Bool = false
    ) -> Int? {
        guard start >= 0, start <= text.count, let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            return nil
        }
        let options = loneSurrogates ? Int32(cscan_allow_lone) : 0
        let result = cscan_string(base, text.count, start, options)
        return result.status == cscan_ok ? result.offset : nil
    }
}
