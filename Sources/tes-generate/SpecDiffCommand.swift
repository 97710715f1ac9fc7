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
        let report: DifferenceReport
        do {
            report = try GeneratorPipeline().difference(
                from: try options.input(document: old), to: try options.input(document: new))
        } catch {
            let message = (error as? UsageError)?.message ?? "\(error)"
            FileHandle.standardError.write(Data("tes-generate: \(message)\n".utf8))
            exit(2)
        }
        print(report.text)
        if let file = options.migration {
            let title = "A draft from \(old) to \(new): read it before it is used."
            try Data((report.draft?.file(title: title) ?? "-- \(title)\n").utf8).write(to: URL(filePath: file))
        }
        if !report.isEmpty { exit(1) }
    }
}
