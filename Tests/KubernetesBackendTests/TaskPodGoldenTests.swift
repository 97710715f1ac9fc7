import Foundation
import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// `Golden/CASE.json` is what a case's task becomes; written anew with POIESIS_UPDATE_GOLDEN=1.
@Suite("TaskPod: golden files")
struct TaskPodGoldenTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

    /// As the client sends it, with its members in order.
    private func text(_ pod: TaskPod) throws -> String {
        var objects: [String: Any] = ["job": try JSONTree.value(pod.job), "warnings": pod.warnings]
        if let claim = pod.volumeClaim { objects["volumeClaim"] = try JSONTree.value(claim) }
        let data = try JSONSerialization.data(
            withJSONObject: objects, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    @Test(arguments: GoldenCase.all)
    func rendersTheExpectedObjects(_ item: GoldenCase) throws {
        #expect(item.configuration.problems.isEmpty)
        let text = try text(item.pod())
        let file = Self.folder.appending(path: "\(item).json")
        if ProcessInfo.processInfo.environment["POIESIS_UPDATE_GOLDEN"] == "1" {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let expected = try String(contentsOf: file, encoding: .utf8)
        #expect(text == expected, "\(item): \(JSONTree.firstDifference(text, expected))")
    }

    @Test func everyGoldenFileHasACase() throws {
        let files = try FileManager.default.contentsOfDirectory(
            atPath: Self.folder.path(percentEncoded: false))
        #expect(Set(files) == Set(GoldenCase.all.map { "\($0).json" }))
    }

    @Test(arguments: GoldenCase.all)
    func theSameTaskGivesTheSameBytes(_ item: GoldenCase) throws {
        var again = item
        // A dictionary of another capacity has another order.
        again.task.tags?.reserveCapacity(1000)
        again.task.resources?.backendParameters?.reserveCapacity(1000)
        again.configuration.labels.reserveCapacity(1000)
        again.configuration.environment.reserveCapacity(1000)
        again.configuration.scheduling.nodeSelector.reserveCapacity(1000)
        let first = try item.pod()
        let second = try again.pod()
        #expect(KubernetesAPI.JSONWriter.encode(first.job) == KubernetesAPI.JSONWriter.encode(second.job))
        #expect(first.volumeClaim == second.volumeClaim && first.warnings == second.warnings)
    }
}

/// JSON as Foundation's values.
enum JSONTree {
    static func value(_ value: some KubernetesAPI.JSONValue) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(KubernetesAPI.JSONWriter.encode(value)))
    }

    static func firstDifference(_ left: String, _ right: String) -> String {
        let pairs = zip(
            left.split(separator: "\n", omittingEmptySubsequences: false),
            right.split(separator: "\n", omittingEmptySubsequences: false))
        for (number, (new, old)) in pairs.enumerated() where new != old {
            return "line \(number + 1) is \"\(new)\", expected \"\(old)\""
        }
        return "one is longer than the other"
    }
}
