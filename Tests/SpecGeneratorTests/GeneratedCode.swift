import Foundation
import SpecGenerator
import Testing

/// Generated files in a folder, to be compiled as the product's own are: types in one module, statements and routes in others.
struct GeneratedCode {
    private static let types = [
        "Types.swift", "JSON.swift", "Validation.swift", "Operations.swift", "Client.swift", "Description.swift",
    ]

    private let generated: [String: String]
    private let folder: URL
    private let settings: [String]

    init(_ generated: [String: String]) throws {
        self.generated = generated
        folder = try SwiftCompiler.temporaryFolder()
        settings = try SwiftCompiler.settings()
    }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    /// Compiles the types to a module, and what stands on them.
    func compile() async throws {
        let module = ["-module-name", "TES", "-emit-module-path", path("TES.swiftmodule")]
        // Without a store nobody links the module.
        let output =
            generated["Statements.swift"] == nil ? ["-emit-module"] : ["-emit-module", "-c", "-o", path("TES.o")]
        try await require(["-wmo", "-parse-as-library"] + output + module + (try typeSources()))
        try await compileRoutes()
    }

    /// What a program prints that uses the types in their own module; nil where there is none.
    ///
    /// - Parameter main: its main file; `Exercise.swift.txt` stands beside it.
    func exercise(_ main: String?) async throws -> String? {
        guard let main else { return nil }
        let exercise = try String(
            contentsOf: SwiftCompiler.root.appending(path: "Tests/SpecGeneratorTests/Exercise.swift.txt"),
            encoding: .utf8)
        let sources = [try write("Exercise.swift", exercise), try write("main.swift", main)]
        return try await run("exercise", ["-module-name", "Golden"] + (try typeSources()) + sources)
    }

    /// Every statement that the generated code makes, each followed by a semicolon and an empty line; nil without tables.
    func statements() async throws -> String? {
        guard let schema = generated["Schema.swift"], let statements = generated["Statements.swift"] else { return nil }
        var main = """
            import Postgres
            import TES

            var all: [String] = []

            """
        for section in statements.split(separator: "package enum ").dropFirst() {
            let name = section.prefix { $0.isLetter || $0.isNumber }
            if section.contains("static let insert = ") { main += "all.append(\(name).insert)\n" }
            if section.contains("static let columnsFromJSON = ") {
                main += "all.append(\"SELECT \\(\(name).columnsFromJSON) FROM (SELECT '{}'::jsonb AS value) AS own\")\n"
            }
            guard section.contains("static func select(") else { continue }
            main += "for level in 0...2 { for isRange in [false, true] {\n"
            main += "    all.append(\(name).select(viewLevel: level, isRange: isRange))\n} }\n"
        }
        main += "var shown: Set<String> = []\n"
        main += "for sql in all where shown.insert(sql).inserted { print(sql + \";\\n\") }\n"
        let postgres = try await SwiftCompiler.shared.postgres()
        let sources = [try write("Schema.swift", schema), try write("Statements.swift", statements)]
        return try await run(
            "statements",
            ["-module-name", "Store", "-I", path("")] + postgres.flags + sources
                + [try write("main.swift", main), path("TES.o"), postgres.object, "-lpq"])
    }

    /// The routes are typed against the real Hummingbird, and a stand-in for what they call in the server.
    private func compileRoutes() async throws {
        guard let routes = generated["Routes.swift"], routes.contains("router.on("),
            let hummingbird = try SwiftCompiler.hummingbirdFlags()
        else { return }
        let server = try String(
            contentsOf: SwiftCompiler.root.appending(path: "Tests/SpecGeneratorTests/RouteSupport.swift.txt"),
            encoding: .utf8)
        try await require(
            ["-typecheck", "-module-name", "Server", "-I", path("")] + hummingbird
                + [try write("RouteSupport.swift", server), try write("Routes.swift", routes)])
    }

    // MARK: Files and programs

    private func path(_ name: String) -> String { folder.appending(path: name).path(percentEncoded: false) }

    private func write(_ name: String, _ text: String) throws -> String {
        try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
        return path(name)
    }

    private func typeSources() throws -> [String] {
        try SwiftCompiler.runtime() + Self.types.map { try write($0, try #require(generated[$0])) }
    }

    private func run(_ name: String, _ arguments: [String]) async throws -> String {
        try await require(["-o", path(name)] + arguments)
        let result = try await SwiftCompiler.shared.run([path(name)])
        #expect(result.status == 0, "\(result.output)")
        return result.output
    }

    private func require(_ arguments: [String]) async throws {
        try await SwiftCompiler.shared.require(["swiftc"] + settings + arguments)
    }
}
