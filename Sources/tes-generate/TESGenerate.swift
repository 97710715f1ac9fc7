import Foundation
import SpecDocument
import SpecGenerator
import YAML

/// The generator's command line; the only part of it that touches the disk.
@main
struct TESGenerate {
    private static let help = """
        Turns an OpenAPI description into Swift and SQL.

        usage: tes-generate COMMAND --document FILE [--reference URL=FILE]... [--overlay FILE] [--persistence FILE]
                            [--migrations FOLDER]
               tes-generate generate|check|print --configuration FILE [--runtime FILE]...

          generate --part types|routes|description|store --output FOLDER   write the files of one part
          check                                                 say what is wrong, write nothing
          diff OLD NEW                                          what changes, and what it means for the tables
          update --from FILE [--from-reference URL=FILE]...     take another document, and draft the migration
          print --part types|routes|description|store | --ddl               print instead of writing

        --configuration is what another package says in its tes-generate.json; --runtime is a source that the generated code
        needs beside itself, which is written with the same access level.

        diff takes two documents in place of --document and ends with 0 where nothing differs, 1 where something does, 2 where
        one cannot be read. --migration FILE writes the migration's draft, too.

        update prints what diff prints, and then replaces the documents and writes the draft into the folder of migrations, as
        the next number; --name gives its name. With --dry-run, or where the new documents are refused, nothing is touched.

        examples:
          tes-generate check --document spec/tes/1.1.0/openapi.yaml --overlay spec/overlay.yaml
          tes-generate diff old.yaml new.yaml --overlay spec/overlay.yaml --persistence spec/persistence.yaml
          swift package --allow-writing-to-package-directory update-spec --from new.yaml --dry-run
        """

    static func main() {
        do {
            try run(Array(CommandLine.arguments.dropFirst()))
        } catch let error as Diagnostics {
            stop("\(error)", status: 1)
        } catch let error as UsageError {
            stop("tes-generate: \(error.message)\n\n\(help)", status: 64)
        } catch let error as RefusedUpdate {
            stop("\(error)", status: 1)
        } catch {
            stop("tes-generate: \(error)", status: 1)
        }
    }

    private static func run(_ arguments: [String]) throws {
        guard let command = arguments.first, command != "--help", command != "-h" else { return print(help) }
        if command == "diff" { return try SpecDiffCommand(Array(arguments.dropFirst())).run() }
        if command == "update" { return try UpdateCommand(Array(arguments.dropFirst())).run() }
        let options = try Options(arguments.dropFirst())
        if let configuration = options.configuration {
            return try run(command, try ConfigurationFile(configuration).generate(runtime: options.runtime), options)
        }
        let input = try options.input()
        let pipeline = GeneratorPipeline()
        switch command {
        case "generate":
            guard let output = options.output else { throw UsageError(message: "--output FOLDER is missing") }
            for file in try pipeline.generate(try options.requiredPart(), from: input) { try write(file, to: output) }
        case "check":
            for part in GeneratedPart.allCases where part != .store || input.persistence != nil {
                _ = try pipeline.generate(part, from: input)
            }
        case "print":
            if options.printsDDL {
                print(try pipeline.schema(from: input), terminator: "")
            } else {
                for file in try pipeline.generate(try options.requiredPart(), from: input) { print(file.text) }
            }
        default: throw UsageError(message: "unknown command \(command)")
        }
    }

    /// A command on what another package's configuration asks for.
    private static func run(_ command: String, _ files: [GeneratedFile], _ options: Options) throws {
        switch command {
        case "generate":
            guard let output = options.output else { throw UsageError(message: "--output FOLDER is missing") }
            for file in files { try write(file, to: output) }
        case "check": break
        case "print": for file in files { print(file.text) }
        default: throw UsageError(message: "\(command) takes no --configuration")
        }
    }

    /// A file whose content did not change is left alone, so that nothing is compiled again for it.
    private static func write(_ file: GeneratedFile, to folder: String) throws {
        let url = URL(filePath: folder).appending(path: file.name)
        if let old = try? Data(contentsOf: url), old == Data(file.text.utf8) { return }
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(file.text.utf8).write(to: url, options: .atomic)
    }

    private static func stop(_ message: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(status)
    }
}

struct UsageError: Error {
    var message: String
}

/// The command line's options.
struct Options {
    private(set) var document: String?
    private(set) var references: [String: String] = [:]
    private var overlay: String?
    private var persistence: String?
    private(set) var part: GeneratedPart?
    private(set) var output: String?
    private(set) var printsDDL = false
    private(set) var migration: String?
    private(set) var configuration: String?
    private(set) var runtime: [String] = []
    /// The folder of the migrations' files.
    private(set) var migrations: String?

    init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        while let option = rest.popFirst() {
            if option == "--ddl" {
                printsDDL = true
                continue
            }
            guard let value = rest.popFirst() else { throw UsageError(message: "\(option) needs a value") }
            switch option {
            case "--document": document = value
            case "--overlay": overlay = value
            case "--persistence": persistence = value
            case "--output": output = value
            case "--migration": migration = value
            case "--configuration": configuration = value
            case "--runtime": runtime.append(value)
            case "--migrations": migrations = value
            case "--part":
                guard let part = GeneratedPart(rawValue: value) else {
                    throw UsageError(message: "--part is types, routes, description or store, not \(value)")
                }
                self.part = part
            case "--reference":
                let (url, file) = try Self.reference(value, option)
                references[url] = file
            default: throw UsageError(message: "unknown option \(option)")
            }
        }
        if configuration != nil,
            document ?? overlay ?? persistence != nil || part != nil || !references.isEmpty || printsDDL
        {
            throw UsageError(message: "the configuration names documents and parts: it takes no other option for them")
        }
    }

    static func reference(_ value: String, _ option: String) throws -> (url: String, file: String) {
        let halves = value.split(separator: "=", maxSplits: 1)
        guard halves.count == 2 else { throw UsageError(message: "\(option) takes URL=FILE") }
        return (String(halves[0]), String(halves[1]))
    }

    /// The files of migrations, in the order of their names.
    func migrationFiles() throws -> [(path: String, text: String)] {
        guard let migrations else { return [] }
        let names = try FileManager.default.contentsOfDirectory(atPath: migrations).filter { $0.hasSuffix(".sql") }
        return try names.sorted().map { name in
            let path = migrations + "/" + name
            return (path, try String(contentsOf: URL(filePath: path), encoding: .utf8))
        }
    }

    func requiredPart() throws -> GeneratedPart {
        guard let part else { throw UsageError(message: "--part types, routes, description or store is missing") }
        return part
    }

    /// - Parameters:
    ///   - given: another main document than that of the options; its name in messages and references.
    ///   - replaced: other files for some of the references.
    func input(
        document given: String? = nil, replacing replaced: [String: String] = [:]
    ) throws -> GeneratorPipeline.Input {
        guard configuration == nil, runtime.isEmpty else {
            throw UsageError(
                message: "--configuration and --runtime are for generate, check and print, and go together")
        }
        guard let document = given ?? document else { throw UsageError(message: "--document FILE is missing") }
        let references = references.merging(replaced) { _, new in new }
        var files: [String: YAMLNode] = [:]
        for file in [document] + references.values { files[file] = try read(file) }
        return GeneratorPipeline.Input(
            document: document, files: files, references: references, overlay: try overlay.map(read),
            persistence: try persistence.map(read), migrations: try migrationFiles())
    }

    private func read(_ file: String) throws -> YAMLNode {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw UsageError(message: "cannot read \(file)")
        }
        do throws(YAMLError) {
            return try parseYAML(String(decoding: data, as: UTF8.self), file: file)
        } catch {
            throw Diagnostics([
                Diagnostic(error.location, error.message, hint: "the file must be YAML or JSON, one document")
            ])
        }
    }
}
