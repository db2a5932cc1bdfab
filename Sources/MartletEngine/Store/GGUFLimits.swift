/// What a GGUF header may have at most. Real ones stay far below; whatever goes beyond is refused, unless it is said
/// here that it is only counted.
enum GGUFLimits {
    /// Bytes before the tensors' data. The vocabularies of 2026 take up to 20 MB.
    static let headerBytes: UInt64 = 256 << 20
    /// Bytes read from the file at a time.
    static let blockBytes = 64 << 10
    /// Pairs of key and value; real files have fewer than a hundred.
    static let keys: UInt64 = 16_384
    /// Bytes of a key; the format allows 65,535, and real ones have fewer than 80.
    static let keyBytes: UInt64 = 1024
    /// Bytes of a text that are kept; of a longer one only the length is. Chat templates take up to 100 KB.
    static let textBytes: UInt64 = 1 << 20
    /// Numbers of a list that are kept; of a longer one only the count is. As many as llama.cpp allows layers.
    static let numbers: UInt64 = 512
    /// Texts of a list that are kept; of a longer one, such as a vocabulary, only the count is.
    static let texts: UInt64 = 64
    /// Bytes of all that is kept, keys apart; what comes later is only counted.
    static let keptBytes = 16 << 20
    /// Lists within lists; llama.cpp knows none at all.
    static let depth = 8
    /// Tensors of a file.
    static let tensors: UInt64 = 65_536
    /// Bytes of a tensor's name: one less than ggml's `GGML_MAX_NAME`, as there.
    static let tensorNameBytes: UInt64 = 63
    /// Dimensions of a tensor: ggml's `GGML_MAX_DIMS`.
    static let dimensions: UInt32 = 4
}
