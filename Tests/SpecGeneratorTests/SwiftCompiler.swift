import Foundation
import Testing

/// Runs the compiler on generated files, two at a time: other tests need the machine, too.
actor SwiftCompiler {
    struct Result: Sendable {
        var status: Int32
        var output: String
    }

    static let shared = SwiftCompiler()
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private var free = 2
    private var waiting: [CheckedContinuation<Void, Never>] = []
    /// A module for others to import: flags that find it, and its object file.
    struct Module: Sendable {
        var flags: [String]
        var object: String
    }
    private var compiledPostgres: Task<Module, any Error>?

    /// What every target is compiled with: the manifest's upcoming features, warnings as errors.
    nonisolated static func settings(isStrict: Bool = true) throws -> [String] {
        let manifest = try String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
        let features = manifest.matches(of: /enableUpcomingFeature\("(\w+)"\)/).map { String($0.output.1) }
        return ["-swift-version", "6", "-package-name", "golden", "-warnings-as-errors"]
            + (isStrict ? ["-strict-memory-safety"] : [])
            + features.flatMap { ["-enable-upcoming-feature", $0] }
    }

    /// The files of the runtime part that stands beside the generated types.
    nonisolated static func runtime() throws -> [String] { try sources(of: "Sources/TES/Runtime") }

    nonisolated static func sources(of folder: String) throws -> [String] {
        let url = root.appending(path: folder)
        return try FileManager.default.contentsOfDirectory(atPath: url.path(percentEncoded: false)).filter {
            $0.hasSuffix(".swift")
        }
        .sorted().map { url.appending(path: $0).path(percentEncoded: false) }
    }

    /// The module that generated statements import; it is compiled once.
    func postgres() async throws -> Module {
        if compiledPostgres == nil {
            compiledPostgres = Task {
                let folder = Self.root.appending(path: ".build/golden-modules")
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                let include = try await run(["pkg-config", "--cflags", "libpq"]).output
                let flags =
                    include.split(whereSeparator: \.isWhitespace).flatMap { ["-Xcc", String($0)] }
                    + ["-I", Self.root.appending(path: "Sources/CLibPQ").path(percentEncoded: false)]
                let object = folder.appending(path: "Postgres.o").path(percentEncoded: false)
                try await require(
                    ["swiftc", "-wmo", "-parse-as-library", "-module-name", "Postgres", "-c", "-o", object]
                        + ["-emit-module", "-emit-module-path"]
                        + [folder.appending(path: "Postgres.swiftmodule").path(percentEncoded: false)]
                        + Self.settings(isStrict: false) + flags + Self.sources(of: "Sources/Postgres"))
                return Module(flags: flags + ["-I", folder.path(percentEncoded: false)], object: object)
            }
        }
        guard let compiledPostgres else { throw CancellationError() }
        return try await compiledPostgres.value
    }

    /// Flags that find Hummingbird as this package's build has it: those that the server is compiled with. Nil where it was not built
    /// into `.build/debug`.
    nonisolated static func hummingbirdFlags() throws -> [String]? {
        guard
            let plan = try? String(contentsOf: root.appending(path: ".build/debug.yaml"), encoding: .utf8),
            let line = plan.split(separator: "\n").first(where: {
                $0.hasPrefix("    args: [") && $0.contains("\"-module-name\",\"Server\",")
            })
        else { return nil }
        var arguments = try JSONDecoder().decode([String].self, from: Data(line.drop { $0 != "[" }.utf8))[...]
        var flags: [String] = []
        while let argument = arguments.popFirst() {
            if ["-I", "-Xcc"].contains(argument), let value = arguments.popFirst() { flags += [argument, value] }
        }
        return flags
    }

    nonisolated static func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "poiesis-golden-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    /// Runs a program and waits for its end; what it prints on both streams comes together.
    func run(_ arguments: [String]) async throws -> Result {
        await enter()
        defer { leave() }
        let log = FileManager.default.temporaryDirectory.appending(path: "poiesis-golden-\(UUID().uuidString).log")
        try Data().write(to: log)
        defer { try? FileManager.default.removeItem(at: log) }
        let handle = try FileHandle(forWritingTo: log)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        let status: Int32 = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        return Result(status: status, output: try String(contentsOf: log, encoding: .utf8))
    }

    /// Runs a program that has to succeed.
    func require(_ arguments: [String]) async throws {
        let result = try await run(arguments)
        try #require(result.status == 0, "\(result.output)")
    }

    private func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
