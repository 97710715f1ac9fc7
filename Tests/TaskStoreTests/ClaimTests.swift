import TES
import TaskCore
import Testing

/// The contract of every task store: workers claim tasks.
@Suite("Task store: claim")
struct ClaimTests {
    private func task(cpu: Int32? = nil, ram: Double? = nil) -> TESTask {
        TESTask(
            resources: TESResources(cpuCores: cpu, ramGb: ram), executors: [TESExecutor(image: "i", command: ["true"])])
    }

    @Test(arguments: StoreKind.allCases)
    func theOldestWaitingTaskComesFirst(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TaskID] = []
            for _ in 0..<4 { ids.append(try await harness.create()) }
            _ = try await harness.store.cancel(ids[1], for: .everyone)
            let worker = harness.worker()
            for id in [ids[0], ids[2], ids[3]] { #expect(try await harness.claim(worker)?.key.taskID == id) }
            #expect(try await harness.claim(worker) == nil)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aClaimOpensAnAttempt(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let alice = Principal(owner: "alice")
            let id = try await harness.create(CreateAndReadTests.fullTask, for: alice, warnings: ["one", "two"])
            let before = harness.store.now()
            let attempt = try #require(try await harness.claim(harness.worker()))
            #expect(attempt.key.taskID == id && attempt.key.number == 1 && attempt.key.token.count == 32)
            #expect(attempt.principal == alice && attempt.state == .initializing)
            #expect(attempt.task.executors == CreateAndReadTests.fullTask.executors)
            #expect(attempt.task.inputs == CreateAndReadTests.fullTask.inputs)
            let stored = try #require(try await harness.store.task(id, view: .full, for: alice))
            #expect(stored.state == .initializing)
            let log = try #require(stored.logs?.first)
            #expect(stored.logs?.count == 1 && log.endTime == nil && log.logs.isEmpty && log.outputs.isEmpty)
            #expect(try #require(log.startTime) >= Timestamp(microseconds: before.microseconds - 1_000_000))
            #expect(log.metadata == ["host": "here", "backend": "tests"])
            #expect(log.systemLogs == ["one", "two"])
        }
    }

    @Test(arguments: StoreKind.allCases)
    func whatDoesNotFitWaitsAndSmallerTasksPass(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let total = Capacity(cpuCores: 8, memory: 16_000_000_000)
            let large = try await harness.create(task(cpu: 4))
            let hungry = try await harness.create(task(cpu: 1, ram: 8.5))
            let small = try await harness.create(task(cpu: 2, ram: 1))
            let worker = harness.worker()
            let free = Capacity(cpuCores: 3, memory: 8_000_000_000)
            #expect(try await harness.claim(worker, free: free, total: total)?.key.taskID == small)
            #expect(try await harness.claim(worker, free: free, total: total) == nil)
            #expect(try await harness.claim(worker, free: total, total: total)?.key.taskID == large)
            #expect(try await harness.claim(worker, free: total, total: total)?.key.taskID == hungry)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aLargeTaskThatWaitedLongIsPassedNoMore(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let total = Capacity(cpuCores: 8, memory: 16_000_000_000)
            let free = Capacity(cpuCores: 3, memory: 16_000_000_000)
            let large = try await harness.create(task(cpu: 4))
            try await harness.passAnHour()
            let small = try await harness.create(task(cpu: 2))
            let worker = harness.worker()
            #expect(try await harness.claim(worker, free: free, total: total) == nil)
            #expect(try await harness.claim(worker, free: total, total: total)?.key.taskID == large)
            #expect(try await harness.claim(worker, free: free, total: total)?.key.taskID == small)
        }
    }

    @Test(arguments: StoreKind.allCases, [Int32?.none, 0, 1])
    func aTaskCountsAsOneCoreAtLeast(_ kind: StoreKind, _ cores: Int32?) async throws {
        try await StoreHarness.with(kind) { harness in
            let total = Capacity(cpuCores: 4, memory: 1_000_000_000)
            _ = try await harness.create(task(cpu: cores))
            #expect(
                try await harness.claim(harness.worker(), free: Capacity(cpuCores: 0, memory: 0), total: total) == nil)
            #expect(
                try await harness.claim(harness.worker(), free: Capacity(cpuCores: 1, memory: 0), total: total) != nil)
        }
    }

    @Test(arguments: StoreKind.allCases, [(Int32(9), 1.0), (1, 16.5), (1_000_000, 1_000_000_000)])
    func whatNeverFitsIsClaimedToBeRefused(_ kind: StoreKind, _ demand: (Int32, Double)) async throws {
        try await StoreHarness.with(kind) { harness in
            let id = try await harness.create(task(cpu: demand.0, ram: demand.1))
            let total = Capacity(cpuCores: 8, memory: 16_000_000_000)
            let claimed = try await harness.claim(
                harness.worker(), free: Capacity(cpuCores: 0, memory: 0), total: total)
            #expect(claimed?.key.taskID == id)
        }
    }

    /// Only a server's store has several workers at once.
    @Test func whatIsTooLargeForOneWorkerIsLeftToALargerOne() async throws {
        try await StoreHarness.with(.postgres) { harness in
            let (small, large) = (harness.worker("small"), harness.worker("large"))
            let less = Capacity(cpuCores: 2, memory: 4_000_000_000)
            let more = Capacity(cpuCores: 16, memory: 64_000_000_000)
            for worker in [small, large] { try await harness.store.heartbeat(worker) }
            let id = try await harness.create(task(cpu: 8))
            let younger = try await harness.create(task(cpu: 1))
            // Of the larger one nothing is known yet but that it lives.
            #expect(try await harness.claim(small, free: Capacity(cpuCores: 0, memory: 0), total: less) == nil)
            let free = Capacity(cpuCores: 0, memory: 0)
            #expect(try await harness.claim(large, free: free, total: more) == nil)
            try await harness.passAnHour()
            for worker in [small, large] { try await harness.store.heartbeat(worker) }
            // However long it has waited, it holds up only those that could run it.
            #expect(try await harness.claim(large, free: Capacity(cpuCores: 4, memory: 1), total: more) == nil)
            #expect(try await harness.claim(small, free: less, total: less)?.key.taskID == younger)
            #expect(try await harness.claim(large, free: more, total: more)?.key.taskID == id)
            let huge = try await harness.create(task(cpu: 64))
            #expect(try await harness.claim(small, free: free, total: less)?.key.taskID == huge)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func twoWorkersNeverGetTheSameTask(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind, connections: 8) { harness in
            var ids: Set<TaskID> = []
            for _ in 0..<60 { ids.insert(try await harness.create()) }
            let store = harness.store
            let workers = (0..<8).map { _ in harness.worker() }
            let claimed = try await withThrowingTaskGroup(of: [AttemptKey].self) { group in
                for worker in workers {
                    group.addTask {
                        var keys: [AttemptKey] = []
                        while let attempt = try await store.claim(
                            worker, backend: "tests", free: StoreHarness.plenty, total: StoreHarness.plenty)
                        { keys.append(attempt.key) }
                        return keys
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claimed.count == ids.count)
            #expect(Set(claimed.map(\.taskID)) == ids)
            #expect(Set(claimed.map(\.token)).count == ids.count)
            #expect(claimed.allSatisfy { $0.number == 1 })
        }
    }
}
