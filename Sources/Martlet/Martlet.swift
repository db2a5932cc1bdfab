/// Typed Swift calls to a running server. Grows with the commands that use it.
public enum Martlet {
    /// The version of this source.
    public static let version = "0.1.0"
}
