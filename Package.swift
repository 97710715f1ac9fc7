// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target. Each feature's evolution proposal says what it changes.
let settings: [SwiftSetting] = [
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
    .enableUpcomingFeature("ExistentialAny"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
    .enableUpcomingFeature("InternalImportsByDefault"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
    .enableUpcomingFeature("MemberImportVisibility"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0461-async-function-isolation.md
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0470-isolated-conformances.md
    .enableUpcomingFeature("InferIsolatedConformances"),
]

/// Swift targets that call C and so may use unsafe pointers; every other one is checked for strict memory safety.
let wrapsC: Set = ["YAML", "Postgres", "HTTPClient", "LocalSystem", "Gzip", "poiesis-exec", "TestServers"]

/// What the server alone needs. A package that takes the generator alone leaves the trait out (`traits: []`), and nothing of it
/// is fetched: https://github.com/swiftlang/swift-evolution/blob/main/proposals/0450-swiftpm-package-traits.md
let server = TargetDependencyCondition.when(traits: ["Server"])
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird", condition: server)
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types", condition: server)
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio", condition: server)
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio", condition: server)
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio", condition: server)
let logging = Target.Dependency.product(name: "Logging", package: "swift-log", condition: server)
let lifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: server)
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle", condition: server)
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto", condition: server)
let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser", condition: server)
let generated: [Target.PluginUsage] = [.plugin(name: "GenerateFromSpec")]

let package = Package(
    name: "poiesis",
    products: [
        .executable(name: "poiesis", targets: ["poiesis"]),
        .executable(name: "poiesis-exec", targets: ["poiesis-exec"]),
        .executable(name: "tes-generate", targets: ["tes-generate"]),
        .plugin(name: "GenerateFromSpec", targets: ["GenerateFromSpec"]),
        .plugin(name: "UpdateSpec", targets: ["UpdateSpec"]),
    ],
    traits: [
        .trait(name: "Server", description: "The server and its client, not the generator alone."),
        .default(enabledTraits: ["Server"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C libraries
        .systemLibrary(
            name: "CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(
            name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CLibCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(
            name: "CLibZ", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CLinux"),

        // The contract: document to code
        .target(name: "YAML", dependencies: ["CLibYAML"]),
        .target(name: "SpecDocument", dependencies: ["YAML"]),
        .target(name: "Migrations"),
        .target(name: "SpecGenerator", dependencies: ["Migrations", "SpecDocument", "YAML"]),
        .executableTarget(name: "tes-generate", dependencies: ["SpecDocument", "SpecGenerator", "YAML"]),
        .plugin(name: "GenerateFromSpec", capability: .buildTool(), dependencies: ["tes-generate"]),
        .plugin(
            name: "UpdateSpec",
            capability: .command(
                intent: .custom(
                    verb: "update-spec", description: "Takes another version of the specification; --help says more."),
                permissions: [
                    .writeToPackageDirectory(reason: "It replaces the document in spec/ and drafts a migration there.")
                ]),
            dependencies: ["tes-generate"]),
        .target(name: "TES", plugins: generated),

        // Clients of other services
        .target(name: "Postgres", dependencies: ["CLibPQ"]),
        .target(name: "HTTPClient", dependencies: ["CLibCurl", crypto]),
        .target(name: "LocalSystem", dependencies: ["CLinux"]),
        .target(name: "Gzip", dependencies: ["CLibZ"]),
        .target(name: "KubernetesAPI", dependencies: ["HTTPClient", "LocalSystem", "YAML"], plugins: generated),

        // Tasks
        .target(name: "TaskCore", dependencies: ["TES"]),
        .target(
            name: "TaskStore", dependencies: ["Migrations", "Postgres", "TES", "TaskCore", logging], plugins: generated),
        .target(name: "Filer", dependencies: ["HTTPClient", "LocalSystem", "TES", "TaskCore", crypto]),
        .target(name: "Orchestrator", dependencies: ["Filer", "LocalSystem", "TES", "TaskCore", logging, lifecycle]),
        .target(
            name: "ContainerBackend",
            dependencies: ["HTTPClient", "LocalSystem", "Orchestrator", "TaskCore", crypto]),
        .target(
            name: "KubernetesBackend",
            dependencies: [
                "Filer", "KubernetesAPI", "LocalSystem", "Orchestrator", "TES", "TaskCore", lifecycle, logging,
            ]),
        .target(
            name: "Server",
            dependencies: [
                "Gzip", "TES", "TaskCore", crypto, hummingbird, httpTypes, lifecycle, logging, nioCore,
            ],
            plugins: generated),

        .target(
            name: "Conformance", dependencies: ["HTTPClient", "TES", "YAML"], plugins: generated),

        // Programs
        .executableTarget(
            name: "poiesis",
            dependencies: [
                "Conformance", "ContainerBackend", "Filer", "HTTPClient", "KubernetesAPI", "KubernetesBackend",
                "LocalSystem", "Migrations", "Orchestrator", "Postgres", "Server", "TES",
                "TaskCore",
                "TaskStore", "YAML", argumentParser, hummingbird, lifecycle, logging,
                unixSignals,
            ]),
        .executableTarget(
            name: "poiesis-exec", dependencies: ["CLinux", "TaskCore"],
            // gold, which is the default, does not link glibc 2.39 statically once unused sections are to go.
            linkerSettings: [.unsafeFlags(["-static-executable", "-use-ld=lld"])]),

        .executableTarget(name: "json-benchmark", dependencies: ["TES"], path: "Benchmarks/json-benchmark"),

        .executableTarget(
            name: "cluster-benchmark",
            dependencies: [
                "HTTPClient", "KubernetesAPI", "KubernetesBackend", "KubernetesFake", "TES", "TaskCore", logging,
            ], path: "Benchmarks/cluster-benchmark"),

        // Tests
        .target(name: "TestServers", dependencies: ["LocalSystem", "TES", "TaskCore"], path: "Tests/TestServers"),
        .testTarget(
            name: "SpecGeneratorTests", dependencies: ["Migrations", "SpecDocument", "SpecGenerator", "YAML"],
            exclude: ["Golden", "Refusals", "Exercise.swift.txt", "RouteSupport.swift.txt"]),
        .testTarget(name: "TESTests", dependencies: ["TES"]),
        .testTarget(name: "TaskCoreTests", dependencies: ["TES", "TaskCore"]),
        .testTarget(
            name: "HTTPClientTests", dependencies: ["HTTPClient", "TestServers"],
            exclude: ["vectors.json", "make-vectors.py"]),
        .testTarget(
            name: "KubernetesAPITests", dependencies: ["HTTPClient", "KubernetesAPI", "LocalSystem", "TestServers"]),
        .testTarget(name: "FilerTests", dependencies: ["Filer", "HTTPClient", "LocalSystem", "TES", "TaskCore"]),
        .testTarget(name: "LocalSystemTests", dependencies: ["LocalSystem"]),
        .testTarget(
            name: "TaskStoreTests",
            dependencies: [
                "LocalSystem", "Migrations", "Postgres", "TES", "TaskCore", "TaskStore", "TestServers", logging,
            ]),
        .testTarget(
            name: "BackendTests",
            dependencies: [
                "ContainerBackend", "Filer", "HTTPClient", "KubernetesAPI", "KubernetesBackend", "KubernetesFake",
                "LocalSystem", "Orchestrator", "Postgres", "TES", "TaskCore", "TaskStore", "TestServers", logging,
            ]),
        .testTarget(
            name: "KubernetesBackendTests",
            dependencies: [
                "Filer", "HTTPClient", "KubernetesAPI", "KubernetesBackend", "KubernetesFake", "LocalSystem",
                "Orchestrator", "Postgres", "TES", "TaskCore", "TaskStore", "TestServers", logging,
            ],
            exclude: [
                "Golden", "Recordings", "expected.json", "expected-own.json", "expected-trec.json",
                "expected-trec-own.json",
            ]),
        .target(
            name: "KubernetesFake", dependencies: [nioCore, nioHTTP1, nioPosix], path: "Tests/KubernetesFake"),
        .testTarget(name: "KubernetesFakeTests", dependencies: ["KubernetesFake"]),
        .testTarget(name: "ArchitectureTests"),
    ]
)

for target in package.targets where [.regular, .executable, .test].contains(target.type) && target.name != "CLinux" {
    var own = settings
    if !wrapsC.contains(target.name) && target.type != .test { own.append(.strictMemorySafety()) }
    if Context.environment["CI"] != nil { own.append(.treatAllWarnings(as: .error)) }
    target.swiftSettings = own
}
