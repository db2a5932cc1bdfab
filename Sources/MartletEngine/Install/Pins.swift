/// What we install: names, versions and SHA-256 of every file that may be taken.
enum Pins {
    /// llama.cpp's server as a Python extension: xllamacpp of the Python Package Index (MIT).
    enum Wheel {
        static let package = "xllamacpp"
        static let version = "2026.10.11549"
        /// The oldest Python the wheel runs on (it is built for abi3 cp310).
        static let python = (major: 3, minor: 10)
        /// Platforms with a wheel, as a person would say them.
        static let platforms = "Linux with glibc on x86_64 and aarch64, macOS 13 or later on arm64 and x86_64"
        static let hashes = [
            // manylinux2014_x86_64
            "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
            // manylinux2014_aarch64
            "e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e",
            // macosx_13_0_arm64
            "4ecda27a308b2403aa13c9d04b270befab95edc556c24ed00b2f8a98bd7f6781",
            // macosx_13_0_x86_64
            "1f2a08052bb653659bcf1bedbbaf86b97f41dd46aa2763d596d7f27c5d89a689",
        ]
    }

    /// A source distribution that holds all of llama.cpp: llama-cpp-python of the Python Package Index (MIT).
    enum Source {
        static let package = "llama-cpp-python"
        static let version = "0.3.36"
        /// The folder the archive unpacks to.
        static let folder = "llama_cpp_python-0.3.36"
        /// The commit of llama.cpp in it, as its build shall name itself.
        static let commit = "0c1e57098"
        static let hashes = ["832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"]
    }

    /// pip's requirements file that accepts exactly these files:
    /// https://pip.pypa.io/en/stable/topics/secure-installs/#hash-checking-mode
    static func requirements(_ package: String, _ version: String, _ hashes: [String]) -> String {
        (["\(package)==\(version)"] + hashes.map { "--hash=sha256:\($0)" }).joined(separator: " \\\n    ") + "\n"
    }
}
