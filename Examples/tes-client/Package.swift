// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "tes-client",
    dependencies: [
        // Without its traits it is the generator alone: nothing of the server is fetched or built.
        .package(name: "poiesis", path: "../..", traits: [])
    ],
    targets: [
        .target(name: "TaskService", plugins: [.plugin(name: "GenerateFromSpec", package: "poiesis")]),
        .executableTarget(name: "tes-client", dependencies: ["TaskService"]),
    ]
)
