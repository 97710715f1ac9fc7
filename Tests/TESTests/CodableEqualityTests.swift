import Foundation
import TES
import Testing

/// The direct reader and writer against Foundation's coders, which go through `Codable`.
@Suite struct CodableEqualityTests {
    @Test(arguments: 0..<20 as Range<UInt64>)
    func generatedTasksMeanTheSameToBoth(_ seed: UInt64) throws {
        var generator = TaskGenerator(seed: seed)
        for _ in 0..<25 {
            let task = generator.task()
            let ours = JSONWriter.encode(task)
            let theirs = Array(try JSONEncoder().encode(task))
            #expect(try JSONDecoder().decode(TESTask.self, from: Data(ours)) == task)
            #expect(try Reading(theirs, as: TESTask.self, .answer).value == task)
            let again = try Reading(ours, as: TESTask.self, .answer)
            #expect(again.problems.isEmpty)
            #expect(try JSONWriter.encode(#require(again.value)) == ours)
            #expect(try tree(ours) == tree(theirs))
        }
    }

    @Test func theGeneratorReachesEveryMember() throws {
        var generator = TaskGenerator(seed: 1)
        var text = ""
        for _ in 0..<50 { text += json(generator.task()) }
        let members = [
            "id", "state", "name", "description", "inputs", "outputs", "resources", "executors", "volumes", "tags",
            "logs",
            "creation_time", "url", "path", "type", "content", "streamable", "path_prefix", "cpu_cores", "preemptible",
            "ram_gb", "disk_gb", "zones", "backend_parameters", "backend_parameters_strict", "image", "command",
            "workdir", "stdin", "stdout", "stderr", "env", "ignore_error", "metadata", "start_time", "end_time",
            "system_logs", "exit_code", "size_bytes",
        ]
        for member in members { #expect(text.contains("\"\(member)\":"), "\(member)") }
    }

    @Test func serviceInfoMeansTheSameToBoth() throws {
        let info = TESServiceInfo(
            id: "org.example", name: "n",
            type: TESServiceType(group: "org.ga4gh", artifact: .tes, version: "1.1.0"), description: "d",
            organization: TESServiceInfoOrganization(name: "o", url: "https://example.org"),
            createdAt: Timestamp("2026-01-31T12:00:00Z"), version: "1", storage: ["s3://b"],
            tesResourcesBackendParameters: [])
        #expect(try JSONDecoder().decode(TESServiceInfo.self, from: Data(JSONWriter.encode(info))) == info)
        #expect(try Reading(Array(JSONEncoder().encode(info)), as: TESServiceInfo.self, .answer).value == info)
    }

    @Test(arguments: [
        "{\"size_bytes\":\"12\"}", "{\"size_bytes\":12}", "{\"size_bytes\":null}", "{}",
        "{\"url\":\"u\",\"path\":\"p\",\"size_bytes\":\"-9223372036854775808\",\"more\":[]}",
    ])
    func sizesMeanTheSameToBoth(_ text: String) throws {
        let theirs = try JSONDecoder().decode(TESOutputFileLog.self, from: Data(text.utf8))
        #expect(try Reading(text, as: TESOutputFileLog.self, .answer).value == theirs)
    }

    @Test(arguments: [
        "{\"size_bytes\":\"twelve\"}", "{\"size_bytes\":1.5}", "{\"url\":1}", "{\"size_bytes\":true}", "[]",
    ])
    func bothRefuse(_ text: String) throws {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(TESOutputFileLog.self, from: Data(text.utf8)) }
        #expect(try !Reading(text, as: TESOutputFileLog.self, .answer).problems.isEmpty)
    }

    @Test func timesMeanTheSameToBoth() throws {
        let text = "{\"start_time\":\"2026-01-31T12:00:00+02:00\",\"exit_code\":1}"
        let theirs = try JSONDecoder().decode(TESExecutorLog.self, from: Data(text.utf8))
        #expect(try Reading(text, as: TESExecutorLog.self, .answer).value == theirs)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(TESExecutorLog.self, from: Data("{\"start_time\":\"soon\"}".utf8))
        }
    }

    /// The document as Foundation sees it, the order of members aside.
    private func tree(_ bytes: [UInt8]) throws -> NSDictionary {
        try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? NSDictionary)
    }
}
