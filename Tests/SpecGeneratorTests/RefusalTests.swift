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

    @Test func coversTheRefusalsOfTheDesign() {
        #expect(SpecificationFolder.all(in: "Refusals").count >= 20)
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
