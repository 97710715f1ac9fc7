import Foundation
import SpecGenerator
import Testing

/// Generated code is compiled as the product's own is, warnings being errors. `requests.txt` and `query.txt` of a case name a schema or
/// an operation in their first line and hold documents and queries after it: a small program reads them, and `exercised.txt`
/// is what it prints.
@Suite struct GoldenCompileTests {
    private static let folders = SpecificationFolder.all(in: "Golden").filter { !$0.hasConfiguration }
    /// They bring their own runtime.
    private static let configured = SpecificationFolder.all(in: "Golden").filter(\.hasConfiguration)

    @Test(arguments: folders)
    func compilesAndDoesWhatTheCaseSays(_ folder: SpecificationFolder) async throws {
        let generated = try GeneratorPipeline().everything(from: try folder.input())
        let printed = try await compile(generated, main: try folder.exercise())
        let file = folder.url.appending(path: "exercised.txt")
        guard let printed else {
            return #expect(!FileManager.default.fileExists(atPath: file.path(percentEncoded: false)))
        }
        if SpecificationFolder.updatesExpectations { try printed.write(to: file, atomically: true, encoding: .utf8) }
        #expect(printed == (try String(contentsOf: file, encoding: .utf8)))
    }

    @Test func casesAreExercised() throws {
        #expect(try SpecificationFolder.all(in: "Golden").count { try $0.exercise() != nil } >= 7)
    }

    /// The settings are another package's: none of ours, or all of them; everything of it may belong to the main actor.
    @Test(arguments: [[], try SwiftCompiler.settings()], [[], ["-default-isolation", "MainActor"]])
    func compilesInATargetOfAnotherPackage(_ settings: [String], _ isolation: [String]) async throws {
        let folder = try SwiftCompiler.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let golden = try #require(Self.configured.first { $0.description == "public-access" })
        var files = try golden.generated(from: try golden.input())
        for path in try SwiftCompiler.runtime() {
            let name = URL(filePath: path).lastPathComponent
            let source = try String(contentsOfFile: path, encoding: .utf8)
            files[name] = GeneratedFile.runtime(name: name, source: source, access: .public).text
        }
        files["Use.swift"] = Self.use
        for (name, text) in files {
            try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
        }
        let sources = files.keys.sorted().map { folder.appending(path: $0).path(percentEncoded: false) }
        try await require(
            ["swiftc", "-typecheck", "-swift-version", "6", "-warnings-as-errors"] + settings + isolation + sources)
    }

    /// What a target does with the code of *public-access*, on the main actor and elsewhere.
    private static let use = """
        struct Screen {
            var client = JobClient(transport: Transport())
            var jobs: [Job] = []

            mutating func refresh() async throws {
                jobs = try await client.listJobs(.init(state: .queued)).jobs ?? []
            }
        }

        nonisolated struct Transport: ClientTransport {
            func send(
                method: String, path: String, query: [(name: String, value: String)], body: [UInt8]?
            ) async throws -> ClientAnswer {
                ClientAnswer(status: 200, body: [])
            }
        }

        nonisolated func copy(_ job: Job) throws -> Job? {
            var problems = RequestProblems()
            job.validate(&problems, at: "")
            guard problems.isEmpty, job.state != .done, Timestamp("now") != job.made else { return nil }
            var reader = JSONReader(JSONWriter.encode(job), purpose: .answer)
            return try reader.document(Job.self)
        }

        nonisolated func key<Value: Codable & Hashable & Sendable>(_ value: Value) -> Int { value.hashValue }

        nonisolated func keys() -> [Int] { [key(Job()), key(State.queued), key(Timestamp(microseconds: 0))] }

        """

    @Test(
        .enabled(
            if: ProjectSpecificationTests.hasOfficialDocuments,
            "the official documents lie beside the clone in the project's workshop"))
    func theVersionBeforeCompiles() async throws {
        let generated = try GeneratorPipeline().everything(from: try ProjectSpecificationTests.versionBefore())
        _ = try await compile(generated, main: nil)
    }

    @Test(
        .enabled(
            if: ProjectSpecificationTests.hasOfficialDocuments,
            "the official documents lie beside the clone in the project's workshop"))
    func theOfficialDocumentsCompile() async throws {
        let generated = try GeneratorPipeline().everything(from: try ProjectSpecificationTests.official())
        _ = try await compile(generated, main: nil)
    }

    /// What the program prints; nil where there is none to run.
    private func compile(_ generated: [String: String], main: String?) async throws -> String? {
        let folder = try SwiftCompiler.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ name: String, _ text: String) throws -> String {
            let file = folder.appending(path: name)
            try text.write(to: file, atomically: true, encoding: .utf8)
            return file.path(percentEncoded: false)
        }
        let settings = try SwiftCompiler.settings()
        let names = [
            "Types.swift", "JSON.swift", "Validation.swift", "Operations.swift", "Client.swift", "Description.swift",
        ]
        var types = try SwiftCompiler.runtime()
        for name in names { types.append(try write(name, try #require(generated[name]))) }
        var printed: String?
        if let main {
            let exercise = try String(
                contentsOf: SwiftCompiler.root.appending(path: "Tests/SpecGeneratorTests/Exercise.swift.txt"),
                encoding: .utf8)
            let program = folder.appending(path: "exercise").path(percentEncoded: false)
            let sources = types + [try write("Exercise.swift", exercise), try write("main.swift", main)]
            try await require(["swiftc", "-module-name", "Golden", "-o", program] + settings + sources)
            let result = try await SwiftCompiler.shared.run([program])
            #expect(result.status == 0, "\(result.output)")
            printed = result.output
        }
        guard let schema = generated["Schema.swift"], let statements = generated["Statements.swift"] else {
            if main == nil { try await require(["swiftc", "-typecheck"] + settings + types) }
            return printed
        }
        // Statements are compiled in another module than the types, as they are in the product.
        let module = folder.appending(path: "TES.swiftmodule").path(percentEncoded: false)
        try await require(["swiftc", "-emit-module", "-module-name", "TES", "-o", module] + settings + types)
        let postgres = try await SwiftCompiler.shared.postgresFlags()
        let store = [try write("Schema.swift", schema), try write("Statements.swift", statements)]
        try await require(
            ["swiftc", "-typecheck", "-I", folder.path(percentEncoded: false)] + postgres + settings + store)
        return printed
    }

    private func require(_ arguments: [String]) async throws {
        let result = try await SwiftCompiler.shared.run(arguments)
        try #require(result.status == 0, "\(result.output)")
    }
}

extension SpecificationFolder {
    fileprivate var hasConfiguration: Bool {
        FileManager.default.fileExists(atPath: url.appending(path: "tes-generate.json").path(percentEncoded: false))
    }

    /// The program that puts the case's documents and queries through the generated code; nil where it has none.
    fileprivate func exercise() throws -> String? {
        func lines(_ name: String) throws -> (first: String, rest: [String])? {
            let file = url.appending(path: name)
            guard FileManager.default.fileExists(atPath: file.path(percentEncoded: false)) else { return nil }
            let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
            return (lines[0], Array(lines.dropFirst()))
        }
        // Raw literals: the lines hold backslashes of their own.
        func array(_ lines: [String]) -> String { "[" + lines.map { "##\"\($0)\"##" }.joined(separator: ", ") + "]" }
        var main = ""
        if let (type, documents) = try lines("requests.txt") {
            main += "try exercise(\(type).self, \(array(documents)))\n"
        }
        if let (operation, queries) = try lines("query.txt") {
            main += "exerciseQueries(\(array(queries))) { \(operation).query(\(operation).input(&$0)) }\n"
        }
        return main.isEmpty ? nil : main
    }
}
