import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import TaskStore
import Testing

/// What a controller may end, and what it must leave to a recorder that was faster.
@Suite("End recorder")
struct EndRecorderTests {
    private static let key = Recording.key

    private func with(
        _ body: (InMemoryTaskStore, EndRecorder, SubmissionView) async throws -> Void
    ) async throws {
        let store = InMemoryTaskStore { Timestamp(microseconds: 1_800_000_000_000_000) }
        let task = TESTask(executors: [TESExecutor(image: "i", command: ["true"])])
        try await store.create(NewTask(id: Self.key.taskID, principal: .everyone, task: task))
        #expect(try await store.submit(Self.key.taskID)?.key == Self.key)
        var pod = Pod(metadata: ObjectMeta(name: "p", uid: "uid-1"))
        pod.status = PodStatus(phase: "Pending")
        var view = SubmissionView()
        view.pod = PodReading(pod)
        try await body(store, EndRecorder(store: store, limits: ControllerLimits()), view)
    }

    private func state(_ store: InMemoryTaskStore) async throws(TaskStoreError) -> TESState? {
        try await store.task(Self.key.taskID, view: .minimal, for: .everyone)?.state
    }

    @Test func aWaitingTaskIsEnded() async throws {
        try await with { store, recorder, view in
            let cause = try await recorder.record(.stalled, of: Self.key, row: .waiting, view: view)
            let state = try await state(store)
            #expect(cause != nil && state != .initializing)
        }
    }

    /// Between the row's reading and the end the Pod's own recorder, or that of another Pod, has claimed.
    @Test(arguments: ["uid-1", "uid-2"])
    func anAttemptThatWasClaimedMeanwhileGoesOn(_ claimant: String) async throws {
        try await with { store, recorder, view in
            let attempt = try #require(try await store.claim(Self.key, pod: claimant, metadata: [:]))
            #expect(try await recorder.record(.stalled, of: Self.key, row: .waiting, view: view) == nil)
            #expect(try await state(store) == .initializing)
            let task = try #require(try await store.submissionTask(Self.key.taskID))
            await #expect(throws: Never.self) {
                try await recorder.refuse(
                    Submission(key: Self.key, principal: .everyone, task: task), .cannotStart(reason: "too late"))
            }
            #expect(try await state(store) == .initializing)
            let record = AttemptRecord(state: .running, time: store.now())
            #expect(try await store.record(record, for: attempt.key) == .running)
        }
    }

    @Test func anAttemptThatTheRowTellsOfIsEnded() async throws {
        try await with { store, recorder, view in
            _ = try await store.claim(Self.key, pod: "uid-1", metadata: [:])
            let row = SubmissionRow.held(pod: "uid-1")
            let cause = try await recorder.record(.podEnded, of: Self.key, row: row, view: view)
            let state = try await state(store)
            #expect(cause != nil && state != .initializing)
        }
    }
}

extension InMemoryTaskStore {
    fileprivate func submissionTask(_ id: TaskID) async throws -> TESTask? {
        try await task(id, view: .full, for: .everyone)
    }
}
