import Foundation
import SpecDocument
import SpecGenerator

/// `tes-generate update --from FILE`: replaces the document after it printed the difference, and drafts the migration.
///
/// Nothing is touched unless the new document gives code and tables, with the overlay and the persistence file as they are.
struct UpdateCommand {
    private var document: String?
    private var references: [String: String] = [:]
    private var isDryRun = false
    private var name: String?
    private let options: Options

    init(_ arguments: [String]) throws {
        var others: [String] = []
        var rest = arguments[...]
        func value(of option: String) throws -> String {
            guard let value = rest.popFirst() else { throw UsageError(message: "\(option) needs a value") }
            return value
        }
        while let option = rest.popFirst() {
            switch option {
            case "--dry-run": isDryRun = true
            case "--from": document = try value(of: option)
            case "--name": name = try value(of: option)
            case "--from-reference":
                let (url, file) = try Options.reference(try value(of: option), option)
                references[url] = file
            default: others.append(option)
            }
        }
        options = try Options(others[...])
        guard document != nil || !references.isEmpty else {
            throw UsageError(message: "--from FILE is missing: the document to take")
        }
        if let name, name.isEmpty || name.contains(where: { !($0.isLetter || $0.isNumber || "-._".contains($0)) }) {
            throw UsageError(message: "--name takes letters, digits, dots and dashes, not \(name)")
        }
    }

    func run() throws {
        let report: DifferenceReport
        do {
            let old = try options.input()
            var new = try options.input(document: document, replacing: references)
            // An earlier draft may still wait for its review.
            new.migrations = []
            for part in GeneratedPart.allCases where part != .store || new.persistence != nil {
                _ = try GeneratorPipeline().generate(part, from: new)
            }
            report = try GeneratorPipeline().difference(from: old, to: new)
        } catch let error as Diagnostics {
            throw RefusedUpdate(description: "\(error)\ntes-generate: nothing was changed")
        }
        print(report.text)
        let draft = try draft(report)
        if isDryRun {
            if let draft { print("\n\(draft.path) would be:\n\n\(draft.text)", terminator: "") }
            return print("\nnothing was changed (--dry-run)")
        }
        try replace(draft)
        print("\n" + next(draft))
    }

    private func draft(_ report: DifferenceReport) throws -> (path: String, text: String)? {
        guard let text = report.draft?.file(title: "The specification \(report.version). Drafted by update-spec.")
        else {
            return nil
        }
        guard let folder = options.migrations else {
            throw UsageError(message: "the tables change: --migrations FOLDER says where the draft goes")
        }
        let files = try options.migrationFiles()
        // A run that was broken off may have left the very same draft.
        if let last = files.last, last.text == text { return last }
        let highest =
            files.compactMap { Int($0.path.split(separator: "/").last?.prefix { $0 != "-" } ?? "") }.max() ?? 1
        let number = "\(highest + 1)"
        let file =
            String(repeating: "0", count: max(0, 4 - number.count)) + "\(number)-\(name ?? "tes-\(report.version)").sql"
        return (folder + "/" + file, text)
    }

    /// Each file is written beside its place and moved there, the main document last.
    private func replace(_ draft: (path: String, text: String)?) throws {
        var replaced: [(from: String, to: String)] = []
        for (url, file) in references {
            guard let old = options.references[url] else { throw UsageError(message: "nothing refers to \(url)") }
            replaced.append((file, old))
        }
        if let document, let old = options.document { replaced.append((document, old)) }
        let contents = try replaced.map { try Data(contentsOf: URL(filePath: $0.from)) }
        if let draft { try Data(draft.text.utf8).write(to: URL(filePath: draft.path), options: .atomic) }
        for (file, content) in zip(replaced, contents) {
            do { try content.write(to: URL(filePath: file.to), options: .atomic) } catch {
                if let draft { try? FileManager.default.removeItem(atPath: draft.path) }
                throw error
            }
            print("replaced \(file.to)")
        }
        if let draft { print("wrote \(draft.path)") }
    }

    private func next(_ draft: (path: String, text: String)?) -> String {
        var lines = ["what then:"]
        if draft != nil {
            lines += [
                "  read the migration; a line \"-- review: …\" asks for a decision and stops the build until it is removed",
                "  make schema          docs/reference/schema.sql",
            ]
        }
        return
            (lines + [
                "  swift build          the compiler names what the code above has to follow",
                "  make test            the tests name the rest",
            ]).joined(separator: "\n")
    }
}

/// Why the new document was not taken.
struct RefusedUpdate: Error, CustomStringConvertible {
    var description: String
}
