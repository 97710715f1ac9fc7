import Foundation
import SpecDocument
import SpecGenerator

/// `tes-generate diff OLD NEW`: the report that an update of the specification starts with.
struct SpecDiffCommand {
    private let old: String
    private let new: String
    private let options: Options

    init(_ arguments: [String]) throws {
        let documents = arguments.prefix { !$0.hasPrefix("--") }
        guard documents.count == 2 else { throw UsageError(message: "diff takes two documents, OLD and NEW") }
        old = documents[0]
        new = documents[1]
        options = try Options(arguments.dropFirst(2))
    }

    /// Ends the program with 1 where something differs, and with 2 where a document cannot be read.
    func run() throws {
        let changes: [SpecChange]
        let steps: [MigrationDraft.Step]
        do {
            (changes, steps) = try GeneratorPipeline().difference(
                from: try options.input(document: old), to: try options.input(document: new))
        } catch {
            let message = (error as? UsageError)?.message ?? "\(error)"
            FileHandle.standardError.write(Data("tes-generate: \(message)\n".utf8))
            exit(2)
        }
        for change in changes { print(change) }
        if !steps.isEmpty {
            print("\nfor the tables:")
            for step in steps { print("  \(step.phase.rawValue): \(step.meaning)") }
        }
        if let file = options.migration {
            let text = steps.map { "-- \($0.phase.rawValue): \($0.meaning)\n\($0.sql);\n" }.joined(separator: "\n")
            try Data(("-- A draft from \(old) to \(new): read it before it is used.\n\n" + text).utf8).write(
                to: URL(filePath: file))
        }
        if changes.isEmpty && steps.isEmpty { return print("no normative difference") }
        let breaking = changes.count { $0.weight == .breaking }
        print("\n\(breaking) breaking, \(changes.count - breaking) compatible")
        exit(1)
    }
}
