// swift-tools-version: 6.2
import PackageDescription

/// Every target is held to the same rules; see docs/ARCHITECTURE.md.
let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func nio(_ product: String) -> Target.Dependency { .product(name: product, package: "swift-nio") }

let package = Package(
    name: "martlet",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Martlet", targets: ["Martlet"]),
        .executable(name: "martlet", targets: ["MartletCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-atomics", exact: "1.3.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    ],
    targets: [
        .target(name: "CScan"),
        .target(name: "MartletWire", dependencies: ["CScan", nio("NIOCore")], swiftSettings: rules),
        .target(name: "MartletDialects", dependencies: ["MartletWire", nio("NIOCore")], swiftSettings: rules),
        .target(
            name: "MartletGateway", dependencies: ["MartletDialects", "MartletWire", nio("NIOCore")],
            swiftSettings: rules),
        .target(
            name: "MartletTransport",
            dependencies: [
                "MartletGateway", "MartletDialects", "MartletWire",
                nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"), nio("NIOTLS"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTPCompression", package: "swift-nio-extras"),
                .product(name: "Atomics", package: "swift-atomics"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .target(name: "MartletProcess", swiftSettings: rules),
        .target(
            name: "MartletEngine",
            dependencies: [
                "MartletWire", "MartletProcess",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .target(
            name: "MartletHub",
            dependencies: [
                "MartletWire", nio("NIOCore"), nio("NIOHTTP1"), nio("NIOPosix"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .target(
            name: "MartletMCP",
            dependencies: [
                "MartletWire", "MartletProcess", nio("NIOCore"), nio("NIOHTTP1"), nio("NIOPosix"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .target(
            name: "MartletLedger", dependencies: [.product(name: "GRDB", package: "GRDB.swift")], swiftSettings: rules),
        .target(
            name: "MartletServer",
            dependencies: [
                "MartletTransport", "MartletGateway", "MartletDialects", "MartletWire", "MartletEngine",
                "MartletHub", "MartletMCP", "MartletLedger",
                nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .target(
            name: "Martlet",
            dependencies: [
                "MartletWire", nio("NIOCore"), nio("NIOHTTP1"), nio("NIOPosix"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
            ],
            swiftSettings: rules),
        .target(name: "MartletCommands", dependencies: ["MartletWire"], swiftSettings: rules),
        .executableTarget(
            name: "MartletCLI",
            dependencies: [
                "MartletCommands", "MartletServer", "MartletGateway", "MartletEngine", "MartletHub", "MartletMCP",
                "MartletWire",
                "Martlet",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        // What the tests of several targets need; no product.
        .target(name: "MartletTestSupport", path: "Tests/Support", swiftSettings: rules),
        .testTarget(
            name: "MartletWireTests", dependencies: ["MartletTestSupport", "MartletWire", "CScan", nio("NIOCore")],
            swiftSettings: rules),
        .testTarget(
            name: "MartletDialectsTests",
            dependencies: ["MartletTestSupport", "MartletDialects", "MartletWire", nio("NIOCore")],
            swiftSettings: rules),
        .testTarget(
            name: "MartletEngineTests",
            dependencies: [
                "MartletTestSupport", "MartletEngine", "MartletProcess",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .testTarget(
            name: "MartletCommandsTests", dependencies: ["MartletCommands", "MartletWire"], swiftSettings: rules),
        .testTarget(
            name: "MartletHubTests",
            dependencies: [
                "MartletHub", "MartletWire", nio("NIOCore"), nio("NIOHTTP1"), nio("NIOPosix"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .testTarget(
            name: "MartletMCPTests",
            dependencies: [
                "MartletMCP", "MartletWire", "MartletProcess", nio("NIOCore"), nio("NIOHTTP1"), nio("NIOPosix"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
        .testTarget(
            name: "MartletLedgerTests",
            dependencies: ["MartletLedger", .product(name: "GRDB", package: "GRDB.swift")], swiftSettings: rules),
        .testTarget(
            name: "MartletGatewayTests",
            dependencies: [
                "MartletTestSupport", "MartletGateway", "MartletDialects", "MartletWire", nio("NIOCore"),
            ], swiftSettings: rules),
        .testTarget(
            name: "MartletTransportTests",
            dependencies: [
                "MartletTestSupport", "MartletTransport", "MartletGateway", "MartletDialects", "MartletWire",
                nio("NIOCore"), nio("NIOPosix"), nio("NIOEmbedded"), nio("NIOHTTP1"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
            ],
            exclude: ["make_certificate.sh"],
            swiftSettings: rules),
        .testTarget(
            name: "MartletServerTests",
            dependencies: [
                "MartletTestSupport", "MartletEngine", "MartletServer", "MartletTransport", "MartletGateway",
                "MartletDialects", "MartletWire",
                "MartletLedger", "MartletMCP",
                nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: rules),
    ]
)
