/// A llama-server that can be started.
package struct EngineBinary: Sendable, Hashable {
    /// Where an engine came from.
    package enum Origin: String, Sendable, Hashable, Codable, CustomStringConvertible {
        /// `engine.binary` of the configuration.
        case configured
        /// A `llama-server` on `PATH`.
        case path = "PATH"
        /// Installed under home from the package index's wheel.
        case wheel
        /// Installed under home from source.
        case source

        package var description: String { rawValue }
    }

    /// An absolute path.
    package var executable: String
    /// Arguments before the server's own flags, such as a launcher script.
    package var leading: [String]
    /// Variables set for the engine besides those it inherits.
    package var environment: [String: String]
    /// As the engine names itself, such as `8123 (0c1e57098)`.
    package var version: String
    /// What it computes on: `CPU`, or `CUDA`, `Metal`, `ROCm`, `SYCL`, `Vulkan`, … as its device list says.
    package var backend: String
    package var origin: Origin
    /// Bytes of memory of the devices it computes on; nil where it computes in RAM, or does not say.
    package var deviceMemory: Int64?
    /// Whether it takes `--cache-ram`, so that the RAM for prompts that were worked on has a bound.
    package var boundsPromptCache: Bool
    /// Whether it takes `--ctx-checkpoints`.
    package var boundsCheckpoints: Bool
    /// Whether it takes `--override-kv`, so that what a model's header says can be set otherwise. The wheel has no way.
    package var overridesHeader: Bool

    /// Whether it is known to tell how far it is with loading (``LoadReport``): those whose version we choose are.
    package var reportsLoading: Bool { origin == .wheel || origin == .source }

    package init(
        executable: String, leading: [String] = [], environment: [String: String] = [:], version: String,
        backend: String, origin: Origin, deviceMemory: Int64? = nil, boundsPromptCache: Bool = false,
        boundsCheckpoints: Bool = false, overridesHeader: Bool = false
    ) {
        self.executable = executable
        self.leading = leading
        self.environment = environment
        self.version = version
        self.backend = backend
        self.origin = origin
        self.deviceMemory = deviceMemory
        self.boundsPromptCache = boundsPromptCache
        self.boundsCheckpoints = boundsCheckpoints
        self.overridesHeader = overridesHeader
    }
}
