import Foundation
import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import LocalSystem
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// Two real `poiesis tctl`, of which SIGSTOP makes one sleep for longer than its Lease lasts.
@Suite("Sleeping leader")
struct SleepingLeaderTests {
    /// One `poiesis tctl` on a harness' cluster and database.
    private struct Replica {
        let process: BoundProcess
        let log: String

        init(_ name: String, _ harness: DatabaseHarness, folder: String) throws {
            log = "\(folder)/\(name).log"
            let database =
                "postgresql://tests@/\(harness.database)?host=\(try PostgresCluster.shared.get().folder)"
            process = try BoundProcess(
                "/usr/bin/env",
                [
                    "-i", "PATH=/usr/bin:/bin", "HOME=\(folder)", "KUBECONFIG=\(folder)/kubeconfig",
                    try Self.program(), "tctl", "--database", database, "--config", "\(folder)/poiesis.yaml",
                ], user: nil, folder: "/", log: log)
        }

        /// The built program: beside the tests, or in the package's build folder.
        private static func program() throws -> String {
            let package = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
            let folders = [
                ContainerPath.parent(Machine.programPath),
                ContainerPath.parent(ContainerPath.parent(Machine.programPath)),
                package.appending(path: ".build/debug").path(percentEncoded: false),
            ]
            let programs = folders.map { $0 + "/poiesis" }
            return try #require(programs.first { FileManager.default.isExecutableFile(atPath: $0) })
        }

        var said: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
        /// How often it has begun to lead, and how often it lost the lead.
        var leads: Int { said.components(separatedBy: "this replica leads no more").count - 1 }
        var begun: Int { said.components(separatedBy: "this replica leads").count - 1 - leads }

        func sleeps() { kill(process.pid, SIGSTOP) }
        func wakes() { kill(process.pid, SIGCONT) }
        func stop() {
            wakes()
            process.stop()
        }
    }

    private func with(_ body: (DatabaseHarness, _ folder: String) async throws -> Void) async throws {
        try await DatabaseHarness.with { harness in
            await harness.addSecret()
            let folder = "/tmp/sleeper-\(UUID().uuidString.lowercased())"
            let made = try Folder.make(folder, mode: 0o755)
            defer { try? Folder("/tmp").remove(ContainerPath.name(folder)) }
            let kubeconfig = """
                {"kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": "\(harness.server.url)"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "poiesis"}}],
                "users": [{"name": "u", "user": {}}]}
                """
            try made.write("kubeconfig", Array(kubeconfig.utf8))
            let settings = "kubernetes:\n  image: poiesis:test\n  grace_period: \(DatabaseHarness.grace)\n"
            try made.write("poiesis.yaml", Array(settings.utf8))
            try await body(harness, folder)
        }
    }

    private func job(_ id: TaskID, _ number: Int = 1) -> String {
        SubmissionKey(taskID: id, number: number).objectName
    }

    /// It sleeps in the middle of its work. The other one goes on with that, and when the first wakes with its old view it does nothing.
    @Test(.timeLimit(.minutes(10)))
    func itsOldViewDoesNoHarm() async throws {
        try await with { harness, folder in
            let a = try Replica("a", harness, folder: folder)
            defer { a.stop() }
            try await harness.eventually("the first leads") { a.begun == 1 || !a.process.isRunning }
            try #require(a.process.isRunning, "\(a.said)")
            let b = try Replica("b", harness, folder: folder)
            defer { b.stop() }
            var held: [TaskID] = []
            for _ in 0..<3 {
                held.append(try await harness.create())
                harness.pods.hold(held[held.count - 1])
            }
            let (goesOn, canceled, lost) = (held[0], held[1], held[2])
            try await harness.eventuallyRuns(held)
            func created() -> Int { harness.server.requests.count { $0.hasPrefix("POST /apis/batch") } }
            var quick: [TaskID] = []
            for _ in 0..<12 { quick.append(try await harness.create()) }
            // What is made late by one that slept the next test has.
            try await harness.eventually("it has made their Jobs") { created() == quick.count + held.count }
            a.sleeps()

            // What it does not see.
            try await harness.cancel(canceled)
            let pod = try await harness.client.list(Pod.self).items.first {
                $0.metadata?.labels?[ObjectLabel.task] == lost.description
            }
            _ = try await harness.client.delete(Pod.self, try #require(pod?.metadata?.name), propagation: .background)
            try await harness.eventually("the other one leads: \(b.said)") { b.begun == 1 }
            for id in quick {
                try await harness.eventually("it ends") { try await harness.state(id) == .complete }
            }
            let left = Set([job(goesOn), job(lost, 2)])
            try await harness.eventually("all that is left runs") {
                let (running, again) = (try await harness.state(goesOn), try await harness.state(lost))
                let jobs = await Set(harness.names(.jobs))
                return running == .running && again == .running && jobs == left
            }
            #expect(try await harness.state(canceled) == .canceled)

            let before = harness.server.requests.count
            a.wakes()
            try await harness.eventually("it leads no more: \(a.said)") { a.leads == 1 }
            // Time for what it might do wrong.
            try await Task.sleep(for: .seconds(3))
            let writes = harness.server.requests[before...].filter { !$0.hasPrefix("GET ") && !$0.contains("/leases/") }
            // What was on its way when it fell asleep concerns Jobs of tasks that have ended, by their uid.
            for id in [goesOn, lost] { #expect(!writes.contains { $0.contains(id.description) }, "\(writes)") }
            #expect(!writes.contains { $0.hasPrefix("POST ") }, "\(writes)")
            #expect(await Set(harness.names(.jobs)) == left, "\(writes)")
            for id in quick { #expect(harness.pods.pods(of: SubmissionKey(taskID: id, number: 1)).count == 1) }

            // It leads again once the other one sleeps, with what there is then.
            b.sleeps()
            try await harness.eventually("the first leads again: \(a.said)") { a.begun == 2 }
            harness.pods.release(held)
            for id in [goesOn, lost] {
                try await harness.eventually("it ends") { try await harness.state(id) == .complete }
            }
            try await harness.eventuallyNothingIsLeft()
            b.wakes()
            try await harness.eventually("the other one leads no more: \(b.said)") { b.leads == 1 }
            try await Task.sleep(for: .seconds(2))
            try await harness.eventuallyNothingIsLeft()

            for id in quick + held {
                #expect(try await harness.ends(id) == 1)
                let task = try #require(try await harness.task(id))
                #expect(task.logs?.count == (id == lost ? 2 : 1))
            }
            #expect(Set(harness.pods.submissions.map(\.objectName)).count == quick.count + 4)
            #expect(try await harness.state(canceled) == .canceled)
        }
    }

    /// The POST of a leader that fell asleep before it was sent, and woke after the task's end: nothing runs, and the Job goes.
    @Test(.timeLimit(.minutes(10)))
    func aJobThatIsMadeTooLateRunsNothing() async throws {
        try await DatabaseHarness.with { harness in
            await harness.addSecret()
            let id = try await harness.create()
            let submission = try #require(try await harness.store.submit(id))
            let late = try TaskPod(
                submission, configuration: KubernetesConfiguration(image: "poiesis:test"), instance: harness.instance
            ).job
            let controller = harness.controller { ($0.comparisonEvery, $0.orphanAge) = (1, 2) }
            try await harness.led(by: [controller]) {
                try await harness.eventually("it ends") { try await harness.state(id) == .complete }
                try await harness.eventuallyNothingIsLeft()
                _ = try await harness.client.create(late)
                try await harness.eventually("its Pod is refused") {
                    harness.pods.pods(of: submission.key).last.flatMap { harness.pods.end(of: $0) } == .refused
                }
                try await harness.eventuallyNothingIsLeft()
            }
            #expect(harness.pods.pods(of: submission.key).count == 2)
            let task = try #require(try await harness.task(id))
            #expect(task.state == .complete && task.logs?.count == 1)
            #expect(try await harness.ends(id) == 1)
        }
    }
}
