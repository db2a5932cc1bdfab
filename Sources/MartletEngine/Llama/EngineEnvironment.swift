#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What an engine may see of our environment: paths, language and what its backends are configured by. Keys and tokens
/// of the gateway stay out, as does `LLAMA_API_KEY`, with which the engine would refuse us.
package enum EngineEnvironment {
    private static let names: Set<String> = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME",
        "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LD_PRELOAD",
    ]
    private static let prefixes = [
        "LC_", "GGML_", "CUDA_", "NVIDIA_", "HIP_", "HSA_", "ROCR_", "ROCM_", "AMD_", "VK_", "SYCL_", "ONEAPI_", "ZE_",
        "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "METAL_", "PYENV_", "PYTHONHOME",
    ]

    package static func inherited(
        _ all: [String: String] = ProcessInfo.processInfo.environment, adding own: [String: String]
    ) -> [String: String] {
        let kept = all.filter { name, _ in
            names.contains(name) || prefixes.contains { name.hasPrefix($0) }
        }
        return kept.merging(own) { _, own in own }
    }
}
