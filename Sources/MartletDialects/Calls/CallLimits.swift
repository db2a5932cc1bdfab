/// The bounds of all that is kept while calls are looked for in a reply's text.
enum CallLimits {
    /// Bytes of one call, from its marker to its end; a file written by a model fits. What is longer is text.
    static let call = 1 << 20
    /// Bytes behind a marker that are read anew with each delta, so that what is no call is let go early.
    static let head = 512
    /// Times a longer call is read before it is whole: a string in it may hold its end mark.
    static let attempts = 64
    /// Calls found in one reply; behind them all is text.
    static let calls = 128
    /// Markers in one reply that began no call; behind them all is text.
    static let misses = 32
    /// Objects and arrays open at once in arguments, and in a schema.
    static let depth = 64
    /// Bytes of white space at the beginning of a text that wait for what follows.
    static let space = 256
    /// Bytes of arguments of a native call that wait for their end to be mended; longer ones go on as they come.
    static let arguments = 1 << 20
}
