import KubernetesAPI
import KubernetesBackend
import KubernetesFake
import Postgres
import TES
import TaskCore
import TaskStore
import TestServers
import Testing

/// A database that is put back to where it was, under a controller and recorders that go on.
@Suite("Restored database")
struct RestoredDatabaseTests {
    /// Ends all sessions of a database, and lets none begin until `body` has ended.
    private static func alone(_ database: String, _ body: () async throws -> Void) async throws {
        try await DatabaseHarness.run("ALTER DATABASE \(database) ALLOW_CONNECTIONS false")
        try await DatabaseHarness.run(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '\(database)'")
        try await body()
    }

    /// Copies a database.
    private static func copy(_ database: String, to other: String) async throws {
        try await alone(database) {
            try await DatabaseHarness.run("CREATE DATABASE \(other) TEMPLATE \(database)")
        }
        try await DatabaseHarness.run("ALTER DATABASE \(database) ALLOW_CONNECTIONS true")
    }

    /// Puts a copy in the place of a database.
    private static func restore(_ copy: String, as database: String) async throws {
        try await alone(database) {
            try await DatabaseHarness.run("ALTER DATABASE \(database) RENAME TO \(database)_lost")
            try await DatabaseHarness.run("ALTER DATABASE \(copy) RENAME TO \(database)")
        }
    }

    private func job(_ id: TaskID, _ number: Int = 1) -> String {
        SubmissionKey(taskID: id, number: number).objectName
    }

    /// Each task that the copy knows comes to its end, what ran on runs on, and no Job is left of what the copy does not know.
    @Test(.timeLimit(.minutes(10)))
    func yesterdaysCopyLosesNoTask() async throws {
        try await DatabaseHarness.with { harness in
            await harness.addSecret()
            func create(held: Bool) async throws -> TaskID {
                let id = try await harness.create()
                if held { harness.pods.hold(id) }
                return id
            }
            func controller(_ most: Int) -> Controller {
                harness.controller {
                    $0.maxLiveJobs = most
                    // Between two comparisons there is time to take up what runs, also on a slow machine.
                    ($0.comparisonEvery, $0.orphanAge, $0.limits.podless) = (15, 1, 2)
                }
            }
            // Held before they can start.
            let ended = try await create(held: false)
            let (goesOn, endsLater, movesOn, canceledLater) = (
                try await create(held: true), try await create(held: true), try await create(held: true),
                try await create(held: true)
            )
            let running = [goesOn, endsLater, movesOn, canceledLater]
            try await harness.led(by: [controller(5)]) {
                try await harness.eventuallyRuns(running)
                try await harness.eventually("one has ended") { try await harness.state(ended) == .complete }
                try await harness.eventually("and its Job is gone") {
                    await !harness.names(.jobs).contains(job(ended))
                }
            }
            // They wait: nobody makes Jobs now.
            let (waitsThenRuns, waitsThenEnds, waits) = (
                try await create(held: true), try await create(held: false), try await create(held: false)
            )
            let copy = harness.database + "_copy"
            try await Self.copy(harness.database, to: copy)
            try await harness.eventuallyAnswers()

            // What happens after the copy was taken.
            var unknown: [TaskID] = []
            for _ in 0..<3 { unknown.append(try await create(held: true)) }
            harness.pods.hold(waits)
            try await harness.led(by: [controller(20)]) {
                try await harness.eventuallyRuns([waitsThenRuns, waits] + unknown)
                harness.pods.release([endsLater])
                for id in [waitsThenEnds, endsLater] {
                    try await harness.eventually("it has ended") { try await harness.state(id) == .complete }
                }
                try await harness.cancel(canceledLater)
                try await harness.eventually("it is cancelled") {
                    try await harness.state(canceledLater) == .canceled
                }
                // Its Pod is lost; a second submission runs.
                let lost = try await harness.client.list(Pod.self).items.first {
                    $0.metadata?.labels?[ObjectLabel.task] == movesOn.description
                }
                _ = try await harness.client.delete(
                    Pod.self, try #require(lost?.metadata?.name), propagation: .background)
                try await harness.eventually("it runs again") {
                    let isAgain = await harness.names(.jobs).contains(job(movesOn, 2))
                    let state = try await harness.state(movesOn)
                    return isAgain && state == .running
                }
                try await harness.eventually("what ended is gone") {
                    let jobs = await harness.names(.jobs)
                    return ![waitsThenEnds, endsLater, canceledLater].contains { jobs.contains(job($0)) }
                }
            }

            try await Self.restore(copy, as: harness.database)
            try await harness.eventuallyAnswers()
            try await harness.led(by: [controller(20)]) {
                try await harness.eventually("the Jobs that the copy knows nothing of are deleted") {
                    let jobs = await harness.names(.jobs)
                    return !unknown.contains { jobs.contains(job($0)) }
                }
                // The others run on.
                let jobs = await harness.names(.jobs)
                for kept in [job(goesOn), job(waitsThenRuns), job(waits), job(movesOn, 2)] {
                    #expect(jobs.contains(kept), "\(kept)")
                }
                harness.pods.release(running + [waitsThenRuns, waits])
                for id in running + [waitsThenRuns, waitsThenEnds, waits] {
                    try await harness.eventually("\(id) ends") { try await harness.state(id)?.isTerminal == true }
                    let task = try await harness.task(id)
                    #expect(task?.state == .complete, "\(task?.logs ?? [])")
                    #expect(try await harness.ends(id) == 1)
                }
                try await harness.eventuallyNothingIsLeft()
                #expect(try await harness.state(ended) == .complete)
            }
            // What had ended did not run again, and what ran on was not begun anew.
            for id in [ended, goesOn, waitsThenRuns, waits] {
                #expect(harness.pods.pods(of: SubmissionKey(taskID: id, number: 1)).count == 1)
                #expect(harness.pods.pods(of: SubmissionKey(taskID: id, number: 2)).isEmpty)
            }
            #expect(harness.pods.pods(of: SubmissionKey(taskID: movesOn, number: 2)).count == 1)
            for id in unknown { #expect(try await harness.task(id) == nil) }
        }
    }

    /// Puts a database under the name of another one, which gets a new name.
    private static func exchange(_ database: String, for other: String, keptAs kept: String) async throws {
        try await alone(database) {
            try await DatabaseHarness.run("ALTER DATABASE \(database) RENAME TO \(kept)")
            try await DatabaseHarness.run("ALTER DATABASE \(other) RENAME TO \(database)")
        }
        try await DatabaseHarness.run("ALTER DATABASE \(database) ALLOW_CONNECTIONS true")
    }

    /// Another installation's database under a controller that goes on: it deletes none of its Jobs. One that starts on it follows its
    /// own, and once the right one is back every task comes to its end.
    @Test(.timeLimit(.minutes(10)))
    func anotherInstallationsDatabaseCostsNoTask() async throws {
        try await DatabaseHarness.with { harness in
            await harness.addSecret()
            var ids: [TaskID] = []
            for _ in 0..<11 {
                ids.append(try await harness.create())
                harness.pods.hold(ids[ids.count - 1])
            }
            try await harness.led(by: [harness.controller()]) { try await harness.eventuallyRuns(ids) }

            let (other, ours) = (harness.database + "_other", harness.database + "_ours")
            try await DatabaseHarness.run("CREATE DATABASE \(other)")
            let pool = PostgresPool(url: try PostgresCluster.shared.get().url(other), connections: 1)
            try await SchemaSetup.prepare(pool)
            let stranger = PostgresTaskStore(
                pool: pool, metadata: [:], logger: DatabaseHarness.logger("store"), localClock: { harness.store.now() })
            let instance = try await stranger.instanceID()
            #expect(instance != harness.instance)
            await pool.close()
            try await Self.exchange(harness.database, for: other, keptAs: ours)
            try await harness.eventuallyAnswers()

            let goesOn = harness.controller { ($0.comparisonEvery, $0.orphanAge) = (1, 0) }
            let starts = harness.controller { ($0.instance, $0.comparisonEvery, $0.orphanAge) = (instance, 1, 0) }
            try await harness.led(by: [goesOn]) {
                try await harness.eventually("it has compared") { goesOn.isReady }
                // Some comparisons more.
                try await Task.sleep(for: .seconds(4))
            }
            try await harness.led(by: [starts]) {
                let own = try await harness.create()
                try await harness.eventually("its own runs") { try await harness.state(own) == .complete }
                try await harness.eventually("and its Job is gone") { await !harness.names(.jobs).contains(job(own)) }
            }
            #expect(await Set(harness.names(.jobs)) == Set(ids.map { job($0) }))

            try await Self.exchange(harness.database, for: ours, keptAs: other)
            try await harness.eventuallyAnswers()
            harness.pods.release(ids)
            try await harness.led(by: [harness.controller()]) {
                for id in ids {
                    try await harness.eventually("it ends") { try await harness.state(id)?.isTerminal == true }
                    let task = try await harness.task(id)
                    #expect(task?.state == .complete && task?.logs?.count == 1, "\(task?.logs ?? [])")
                }
                try await harness.eventuallyNothingIsLeft()
            }
        }
    }
}
