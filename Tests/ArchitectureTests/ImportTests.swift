import Testing

@Suite struct ImportTests {
    /// Modules that come with the toolchain.
    private static let toolchain: Set = ["Foundation", "Glibc", "Swift", "Synchronization"]

    @Test func theManifestIsUnderstood() throws {
        let dependencies = try Manifest().dependencies
        #expect(dependencies["TES"] == [])
        #expect(dependencies["YAML"] == ["CLibYAML"])
        #expect(dependencies["Server"]?.isSuperset(of: ["TES", "Hummingbird", "NIOCore"]) == true)
        #expect(dependencies["poiesis"]?.contains("UnixSignals") == true)
        for target in PackageFolder.targets { #expect(dependencies[target] != nil, "\(target)") }
        for (target, modules) in dependencies {
            for module in modules { #expect(!module.hasPrefix("unknown"), "\(target): \(module)") }
        }
    }

    @Test(arguments: PackageFolder.targets)
    func everyImportIsADirectDependency(of target: String) throws {
        let files = PackageFolder.sources(of: target)
        let allowed = try #require(try Manifest().dependencies[target]).union(Self.toolchain)
        #expect(!files.isEmpty)
        for file in files {
            for (module, line) in file.imports { #expect(allowed.contains(module), "\(file.path):\(line): \(module)") }
        }
    }

    @Test(arguments: ["TES", "TaskCore", "poiesis-exec"])
    func foundationStaysOut(of target: String) {
        let files = PackageFolder.sources(of: target)
        #expect(!files.isEmpty)
        for file in files {
            for (module, line) in file.imports { #expect(!module.hasPrefix("Foundation"), "\(file.path):\(line)") }
        }
    }

    @Test(arguments: [
        ("Hummingbird", ["Server", "poiesis"]), ("HTTPTypes", ["Server"]), ("NIOCore", ["Server"]),
        ("Postgres", ["TaskStore", "poiesis"]), ("CLibPQ", ["Postgres"]), ("CLibCurl", ["HTTPClient"]),
        ("CLibYAML", ["YAML"]), ("CLinux", ["LocalSystem", "poiesis-exec"]), ("ArgumentParser", ["poiesis"]),
        ("SpecDocument", ["SpecGenerator", "tes-generate"]), ("SpecGenerator", ["tes-generate"]),
        ("TaskStore", ["poiesis"]), ("Server", ["poiesis"]),
    ])
    func aModuleIsImportedOnlyWhereItBelongs(_ module: String, _ homes: [String]) {
        let importers = Set(
            PackageFolder.sources.filter { $0.imports.contains { $0.module == module } }.map(\.target))
        #expect(!importers.isEmpty)
        #expect(importers.subtracting(homes).isEmpty, "\(importers.sorted())")
    }

    @Test func importLinesAreFoundInEveryForm() {
        let file = SwiftFile(
            path: "A.swift",
            text: """
                import One
                package import Two
                @preconcurrency import Three
                @_spi(Test) package import struct Four.Value
                // import Five
                let text = "import Six"
                """)
        #expect(file.imports.map(\.module) == ["One", "Two", "Three", "Four"])
        #expect(file.imports.map(\.line) == [1, 2, 3, 4])
    }
}
