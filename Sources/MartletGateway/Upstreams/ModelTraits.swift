package import MartletDialects

/// What is known of one model at one upstream, beside its name. Immutable and shared: a class so that a candidate carries it at
/// the cost of one count.
package final class ModelTraits: Sendable {
    package let window: ContextWindow
    /// Where they differ from the upstream's.
    package let capabilities: Capabilities?

    package init(window: ContextWindow, capabilities: Capabilities? = nil) {
        self.window = window
        self.capabilities = capabilities
    }
}
