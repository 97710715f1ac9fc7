import Foundation
import Testing

/// The contract of every backend on a real cluster: Tests/Kubernetes says each case again, by HTTP.
@Suite("Contract on a real cluster")
struct ClusterContractTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Kubernetes")

    private static func source(_ file: String) throws -> String {
        try String(contentsOf: folder.appending(path: file), encoding: .utf8)
    }

    /// Names in the markers of all tests.
    private static func said() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
            $0.hasPrefix("test_") && $0.hasSuffix(".py")
        }
        .flatMap { file in
            try source(file).split(separator: "\n").compactMap { line in
                guard line.hasPrefix("@pytest.mark.case(\""), line.hasSuffix("\")") else { return nil }
                return String(line.dropFirst("@pytest.mark.case(\"".count).dropLast("\")".count))
            }
        }
    }

    /// Names that are given a reason.
    private static func excused() throws -> [String] {
        let source = try source("test_contract.py")
        let start = try #require(source.firstRange(of: "\nNOT_HERE = {\n"))
        let rest = source[start.upperBound...]
        let end = try #require(rest.firstRange(of: "\n}\n"))
        return rest[..<end.lowerBound].split(separator: "\n").compactMap { line in
            guard line.hasPrefix("    \""), line.hasSuffix("\":") else { return nil }
            return String(line.dropFirst("    \"".count).dropLast("\":".count))
        }
    }

    @Test func eachCaseIsTriedOnAClusterOrHasAReason() throws {
        let (said, excused) = (try Self.said(), try Self.excused())
        let cases = Set((BackendCase.everywhere + BackendCase.inContainers).map(\.name))
        let untold = cases.subtracting(said).subtracting(excused)
        #expect(untold == [], "neither marked in Tests/Kubernetes nor in NOT_HERE")
        #expect(Set(said).union(excused).subtracting(cases) == [], "no cases of the contract")
        #expect(Set(said).intersection(excused) == [], "tried, so no exceptions")
    }
}
