import Foundation
import HTTPClient
import LocalSystem
import Logging
import TES
import TaskCore
import TaskStore
import Testing

/// What one task's Pod costs those whom all Pods share: the database and the API server.
@Suite(
    "Cost of a task's Pod",
    .enabled(
        if: BackendPlace.playedCluster != nil,
        "needs the docker command and an engine: set POIESIS_TEST_ENGINE=unix://SOCKET"))
struct PodCostTests {
    /// To claim, to say RUNNING, for each executor and for the end; and its own Pod is looked at once.
    @Test(.timeLimit(.minutes(10)), arguments: [1, 4])
    func aRecorderConnectsOnceForEachWriteAndAsksOnceForItsPod(_ executors: Int) async throws {
        guard case .cluster(let socket) = try #require(BackendPlace.playedCluster) else { return }
        let folder = "/tmp/cost-\(UUID().uuidString.lowercased())"
        _ = try Folder.make(folder, mode: 0o755)
        defer { try? Folder("/tmp").remove(ContainerPath.name(folder)) }
        let http = HTTPClient()
        defer { http.close() }
        let cluster = try await PlayedCluster.start(
            socket: socket, folder: folder, settings: nil, http: http,
            logger: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await costs(cluster, executors: executors)
        } catch {
            await cluster.stop()
            throw error
        }
        await cluster.stop()
    }

    private func costs(_ cluster: PlayedCluster, executors: Int) async throws {
        try await cluster.noteConnections()
        // Longer than the second between two looks of a recorder that waits.
        let executor = TESExecutor(image: BackendHarness.image, command: ["sleep", "2"])
        let task = TESTask(executors: Array(repeating: executor, count: executors))
        let id = try await cluster.store.create(
            NewTask(id: cluster.store.newID(), principal: .everyone, task: task))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await cluster.control() }
            defer { group.cancelAll() }
            let end = try await eventually("the task's end") {
                let found = try await cluster.store.task(id, view: .full, for: .everyone)
                return found?.state?.isTerminal == true ? found : nil
            }
            #expect(end.state == .complete, "\(end.logs ?? [])")
            _ = try await eventually("nothing is left") { try await cluster.isEmpty() ? true : nil }
        }
        let connections = try await cluster.connections(of: "poiesis_recorder")
        #expect((1...3 + executors).contains(connections), "\(connections) connections for \(executors) executors")
        // The controller lists and watches all Pods; whoever asks for one by its name is that one's recorder.
        let looks = cluster.requests.filter { $0.contains("/pods/poiesis-") && !$0.hasPrefix("DELETE ") }
        #expect(looks.count == 1, "\(looks)")
    }
}
