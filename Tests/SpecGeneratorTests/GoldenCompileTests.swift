import Foundation
import SpecGenerator
import Testing

/// Generated code is compiled as the product's own is, warnings being errors. `requests.txt` and `query.txt` of a case name a schema or
/// an operation in their first line and hold documents and queries after it: a small program reads them, and `exercised.txt`
/// is what it prints. `statements.sql` holds every statement of a case with tables: GoldenSchemaTests prepares them in PostgreSQL.
@Suite struct GoldenCompileTests {
    private static let folders = SpecificationFolder.all(in: "Golden").filter { !$0.hasConfiguration }
    /// They bring their own runtime.
    private static let configured = SpecificationFolder.all(in: "Golden").filter(\.hasConfiguration)

    @Test(arguments: folders)
    func compilesAndDoesWhatTheCaseSays(_ folder: SpecificationFolder) async throws {
        let generated = try GeneratorPipeline().everything(from: try folder.input())
        let code = try GeneratedCode(generated)
        defer { code.remove() }
        try await code.compile()
        try check(try await code.exercise(try folder.exercise()), folder, "exercised.txt")
        try check(try await code.statements(), folder, "statements.sql")
    }

    /// What a program prints has to be what a file of the case holds; without a program there is no file.
    private func check(_ printed: String?, _ folder: SpecificationFolder, _ name: String) throws {
        let file = folder.url.appending(path: name)
        guard let printed else {
            return #expect(!FileManager.default.fileExists(atPath: file.path(percentEncoded: false)))
        }
        if SpecificationFolder.updatesExpectations { try printed.write(to: file, atomically: true, encoding: .utf8) }
        #expect(printed == (try String(contentsOf: file, encoding: .utf8)))
    }

    @Test func casesAreExercised() throws {
        #expect(try SpecificationFolder.all(in: "Golden").count { try $0.exercise() != nil } >= 7)
    }

    /// Where this package was built elsewhere, routes are compared alone.
    @Test(
        .enabled(
            if: FileManager.default.fileExists(
                atPath: SwiftCompiler.root.appending(path: ".build/debug.yaml").path(percentEncoded: false)),
            "this package is built into .build/debug"))
    func routesAreCompiled() throws {
        #expect(try SwiftCompiler.hummingbirdFlags()?.contains("-I") == true)
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
        try await compile(generated)
    }

    @Test(
        .enabled(
            if: ProjectSpecificationTests.hasOfficialDocuments,
            "the official documents lie beside the clone in the project's workshop"))
    func theOfficialDocumentsCompile() async throws {
        let generated = try GeneratorPipeline().everything(from: try ProjectSpecificationTests.official())
        try await compile(generated)
    }

    /// Compiles everything that was generated.
    private func compile(_ generated: [String: String]) async throws {
        let code = try GeneratedCode(generated)
        defer { code.remove() }
        try await code.compile()
    }

    private func require(_ arguments: [String]) async throws {
        try await SwiftCompiler.shared.require(arguments)
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
