import Foundation
import KubernetesAPI
import KubernetesBackend
import Synchronization
import TES
import TaskCore
import TaskStore
import Testing

/// What a controller records of a Pod whose recorder does nothing but claim, or not even that; and what both record together.
@Suite("Recordings")
struct RecordingTests {
    /// What is expected of one scenario; `POIESIS_UPDATE_GOLDEN=1` writes what there is.
    struct Scenario: Codable, Equatable {
        var scenario: String
        /// What the client's DELETE of the Job is taken for: `cancel`, or `none` where the replay stops before it.
        var deletion: String
        var claimed: Ending
        /// Where nobody claims the task; absent where it makes no difference.
        var unclaimed: Ending?
    }

    struct Ending: Codable, Equatable {
        var state: String
        var cause: String
        /// By position.
        var exitCodes: [String: Int]
        /// Of the last attempt that ended.
        var reads: [String]
        /// Seconds after the Job's creation, about.
        var after: Int?
    }

    /// What is expected of one scenario with a recorder at work.
    struct RecorderScenario: Codable, Equatable {
        var scenario: String
        /// How each recorder ended.
        var recorders: [String]
        /// The cause is the controller's, `none` where the recorder wrote the end.
        var rows: Ending
        /// By position, as are the two after it.
        var stdout: [String: String]
        var stderr: [String: String]
        /// Start and end.
        var times: [String: [String]]
        /// In order.
        var states: [String]
    }

    /// Who is at work in the Pods.
    private enum Work {
        case nobody
        /// A recorder that only claims.
        case claims
        case recorder
    }

    private static let file = Recording.here.appending(path: "expected.json")

    private static func isCancel(_ name: String) -> Bool { name.contains("cancel") }

    /// Plays a recording to a controller's readings, matrix and store.
    private static func replay(_ recording: Recording, _ work: Work) async throws -> RecorderScenario {
        let key = Recording.key
        let clock = Mutex(recording.start)
        let store = InMemoryTaskStore { clock.withLock { $0 } }
        let task = TESTask(executors: recording.executors)
        try await store.create(NewTask(id: key.taskID, principal: .everyone, task: task))
        #expect(try await store.submit(key.taskID)?.key == key)
        let matrix = ControllerMatrix()
        let recorder = EndRecorder(store: store, limits: matrix.limits)
        let player = RecorderPlayer(recording, store)
        player.states.add(.queued)
        /// What somebody else than a recorder has written.
        func noteState() async throws {
            let state = try await store.task(key.taskID, view: .minimal, for: .everyone)?.state
            if let state { player.states.add(state) }
        }
        // Its Pod is told that there is nothing to run.
        if work == .recorder, recording.name.contains("refused") {
            _ = try await store.cancel(key.taskID, for: .everyone)
            try await noteState()
        }
        var view = ClusterView()
        var causes: [(cause: Cause, after: Int)] = []
        var recheck: TES.Timestamp?

        /// Looks at everything until nothing more is to be done now.
        func look() async throws {
            for _ in 0..<5 {
                let now = clock.withLock { $0 }
                if view.view(key).obstacle != nil { view.set(EventReading(recording.events), for: key, now: now) }
                let seen = view.view(key)
                let open = try await store.openSubmissions(of: [key.taskID]).first { $0.key == key }
                let decision = matrix.decide(SubmissionRow(open), seen, now: now)
                recheck = decision.recheck
                var hasChanged = false
                for case .end(let ending) in decision.actions {
                    let cause = try await recorder.record(ending, of: key, row: SubmissionRow(open), view: seen)
                    guard let cause else { continue }
                    let after = (now.microseconds - recording.start.microseconds) / 1_000_000
                    causes.append((cause, Int(after)))
                    try await noteState()
                    hasChanged = true
                }
                if !hasChanged { return }
            }
        }

        /// Lets time pass.
        func wait(until time: TES.Timestamp) async throws {
            while let next = recheck, next <= time {
                clock.withLock { $0 = max($0, next) }
                recheck = nil
                try await look()
            }
            clock.withLock { $0 = max($0, time) }
        }

        // One that cannot reach the database does nothing.
        let works = work == .recorder && !recording.name.contains("keeps-ending")
        for (at, step) in recording.steps {
            try await wait(until: TES.Timestamp(microseconds: recording.start.microseconds + Int64(at * 1_000_000)))
            let now = clock.withLock { $0 }
            switch step {
            case .job(let change): _ = view.apply(change, now: now)
            case .volumeClaim(let change): _ = view.apply(change, now: now)
            case .pod(let change):
                _ = view.apply(change, now: now)
                switch change {
                case .changed(let pod?) where work == .claims && pod[.trec]?.isRunning == true && !pod.isDeleting:
                    _ = try await store.claim(key, pod: pod.uid, metadata: [:])
                case .changed(let pod?) where works: try await player.show(pod, isGone: false)
                case .deleted(let pod?) where works: try await player.show(pod, isGone: true)
                default: break
                }
            case .deletion:
                guard isCancel(recording.name) else {
                    // What would have come of it without that.
                    try await wait(until: TES.Timestamp(microseconds: now.microseconds + 7_200_000_000))
                    return try await result()
                }
                _ = try await store.cancel(key.taskID, for: .everyone)
                try await noteState()
            }
            try await look()
        }
        try await wait(until: TES.Timestamp(microseconds: clock.withLock { $0.microseconds } + 7_200_000_000))
        return try await result()

        func result() async throws -> RecorderScenario {
            let task = try #require(try await store.task(key.taskID, view: .full, for: .everyone))
            let log = task.logs?.last
            var codes: [String: Int] = [:]
            for (position, executor) in (log?.logs ?? []).enumerated() { codes["\(position)"] = Int(executor.exitCode) }
            #expect(causes.count <= 1, "\(recording.name): \(causes)")
            await player.close()
            var (stdout, stderr): ([String: String], [String: String]) = ([:], [:])
            var times: [String: [String]] = [:]
            for (position, executor) in (log?.logs ?? []).enumerated() {
                stdout["\(position)"] = executor.stdout
                stderr["\(position)"] = executor.stderr
                times["\(position)"] = [executor.startTime?.text ?? "", executor.endTime?.text ?? ""]
                #expect(
                    recording.times(of: position).contains(times["\(position)"] ?? []),
                    "\(recording.name): executor \(position) ran at other times than its container")
            }
            let rows = Ending(
                state: task.state?.rawValue ?? "", cause: causes.first?.cause.name ?? "none", exitCodes: codes,
                reads: log?.systemLogs ?? [], after: causes.first?.after)
            return RecorderScenario(
                scenario: recording.name, recorders: player.ends.map(\.rawValue), rows: rows, stdout: stdout,
                stderr: stderr, times: times, states: player.states.all)
        }
    }

    private static func play(_ folder: URL, _ name: String) async throws -> Scenario {
        let recording = try Recording(folder, name)
        let claimed = try await replay(recording, .claims).rows
        let unclaimed = try await replay(recording, .nobody).rows
        return Scenario(
            scenario: name, deletion: isCancel(name) ? "cancel" : "none", claimed: claimed,
            unclaimed: unclaimed == claimed ? nil : unclaimed)
    }

    private static func check(_ folder: URL, _ file: URL) async throws {
        let names = Recording.names(folder)
        #expect(!names.isEmpty)
        var found: [Scenario] = []
        for name in names { found.append(try await play(folder, name)) }
        try compare(found, file) { $0.scenario }
    }

    /// Recorders need their time: sixteen scenarios are played at once.
    private static func checkRecorders(_ folder: URL, _ file: URL) async throws {
        let names = Recording.names(folder)
        #expect(!names.isEmpty)
        let found = try await withThrowingTaskGroup(of: RecorderScenario.self) { group in
            var found: [RecorderScenario] = []
            for (number, name) in names.enumerated() {
                if number >= 16, let next = try await group.next() { found.append(next) }
                group.addTask { try await replay(try Recording(folder, name), .recorder) }
            }
            return try await group.reduce(into: found) { $0.append($1) }
        }
        try compare(found.sorted { $0.scenario < $1.scenario }, file) { $0.scenario }
    }

    private static func compare<Value: Codable & Equatable>(
        _ found: [Value], _ file: URL, name: (Value) -> String
    ) throws {
        if ProcessInfo.processInfo.environment["POIESIS_UPDATE_GOLDEN"] == "1" {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            var data = try encoder.encode(found)
            data.append(10)
            try data.write(to: file)
            return
        }
        let expected = try JSONDecoder().decode([Value].self, from: Data(contentsOf: file))
        #expect(expected.map(name) == found.map(name))
        for (expectation, result) in zip(expected, found) { #expect(result == expectation, "\(name(result))") }
    }

    @Test func aControllerAloneRecordsWhatSmallRecordingsTell() async throws {
        try await Self.check(Recording.own, Recording.here.appending(path: "expected-own.json"))
    }

    @Test(.enabled(if: !Recording.names(Recording.shared).isEmpty, "the recordings of a real cluster are not here"))
    func aControllerAloneRecordsWhatARealClusterDid() async throws {
        try await Self.check(Recording.shared, Self.file)
    }

    @Test func recorderAndControllerRecordWhatSmallRecordingsTell() async throws {
        try await Self.checkRecorders(Recording.own, Recording.here.appending(path: "expected-trec-own.json"))
    }

    @Test(.enabled(if: !Recording.names(Recording.shared).isEmpty, "the recordings of a real cluster are not here"))
    func recorderAndControllerRecordWhatARealClusterDid() async throws {
        try await Self.checkRecorders(Recording.shared, Recording.here.appending(path: "expected-trec.json"))
    }
}
