import Foundation
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// `Refusals/<case>/expected.txt` is exactly what the generator prints about the case's files.
@Suite struct RefusalTests {
    @Test(arguments: SpecificationFolder.all(in: "Refusals"))
    func printsTheExpectedDiagnostics(_ folder: SpecificationFolder) throws {
        let printed = try refusal(of: folder)
        let file = folder.url.appending(path: "expected.txt")
        if SpecificationFolder.updatesExpectations { try printed.write(to: file, atomically: true, encoding: .utf8) }
        #expect(printed == (try String(contentsOf: file, encoding: .utf8)))
    }

    @Test(arguments: SpecificationFolder.all(in: "Refusals"))
    func namesFileLineAndColumnOfEachError(_ folder: SpecificationFolder) throws {
        let lines = try refusal(of: folder).split(separator: "\n")
        #expect(!lines.isEmpty)
        for line in lines {
            #expect(line.wholeMatch(of: /[a-z-]+\.(yaml|json):[0-9]+:[0-9]+: (error|note): .+/) != nil, "\(line)")
        }
    }

    /// A file that is no YAML says where; everything else says what to do, too.
    @Test(arguments: SpecificationFolder.all(in: "Refusals"))
    func eachErrorIsFollowedByAHint(_ folder: SpecificationFolder) throws {
        if ["duplicate-key", "not-yaml", "configuration-duplicate-key"].contains(folder.description) { return }
        let lines = try refusal(of: folder).split(separator: "\n")
        for (index, line) in lines.enumerated() where line.contains(": error: ") {
            let place = line.prefix { $0 != " " }
            #expect(index + 1 < lines.count && lines[index + 1].hasPrefix(place + " note: "), "\(line)")
        }
    }

    /// Every message in the sources is what some case prints.
    @Test func eachMessageHasACase() throws {
        let printed = try SpecificationFolder.all(in: "Refusals").map {
            try String(contentsOf: $0.url.appending(path: "expected.txt"), encoding: .utf8)
        }.joined()
        // The one that no file of a case can cause: a part that needs the persistence file, without one.
        let exception = ["there is no persistence file"]
        var count = 0
        for folder in ["Sources/SpecDocument", "Sources/SpecGenerator"] {
            // What is wrong with a migration's file is said by Migrations: see MigrationTests.
            for file in try SwiftCompiler.sources(of: folder) where !file.hasSuffix("/RenderMigrations.swift") {
                for message in Self.messages(in: try String(contentsOfFile: file, encoding: .utf8)) {
                    count += 1
                    let pattern = try Regex(
                        "error: " + message.map { NSRegularExpression.escapedPattern(for: $0) }.joined(separator: ".*")
                            + "\n")
                    #expect(exception == message || printed.firstMatch(of: pattern) != nil, "\(file): \(message)")
                }
            }
        }
        #expect(count > 60)
    }

    /// The first literal of each `Diagnostic(…)`, in pieces between what is interpolated.
    private static func messages(in source: String) -> [[String]] {
        source.components(separatedBy: "Diagnostic(").dropFirst().compactMap { rest in
            guard rest.prefix(while: { $0 != "{" && $0 != "}" }).contains("\""), let start = rest.firstIndex(of: "\"")
            else { return nil }
            // A location may hold a literal, too: node["overlay"].
            var text = rest[start...].dropFirst()
            if rest[..<start].last == "[" {
                text = text.drop { $0 != "\"" }.dropFirst().drop { $0 != "\"" }.dropFirst()
            }
            var pieces = [""]
            while let character = text.popFirst(), character != "\"" {
                guard character == "\\", let escaped = text.popFirst() else {
                    pieces[pieces.count - 1].append(character)
                    continue
                }
                if escaped != "(" {
                    pieces[pieces.count - 1].append(escaped)
                    continue
                }
                var depth = 1
                while depth > 0, let inner = text.popFirst() { depth += inner == "(" ? 1 : inner == ")" ? -1 : 0 }
                pieces.append("")
            }
            return pieces
        }
    }

    private func refusal(of folder: SpecificationFolder) throws -> String {
        do {
            _ = try folder.generated(from: try folder.input())
        } catch let error as Diagnostics {
            return "\(error)\n"
        } catch let error as YAMLError {
            return "\(error)\n"
        }
        Issue.record("\(folder) was not refused")
        return ""
    }
}
