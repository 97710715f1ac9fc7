import TES
import TaskCore
import Testing

@Suite("Life cycle")
struct LifeCycleTests {
    struct Step: Sendable, CustomTestStringConvertible {
        var from: TESState
        var write: TESState
        /// Nil where nothing changes.
        var reached: TESState?

        var testDescription: String { "\(from.rawValue) + \(write.rawValue)" }
    }

    static let terminal: [TESState] = [.complete, .executorError, .systemError, .canceled, .preempted]

    /// Every step that changes a state; all other pairs leave it.
    static let changes: [TESState: [TESState: TESState]] = [
        .queued: [.initializing: .initializing, .systemError: .systemError],
        .initializing: [
            .queued: .queued, .running: .running, .complete: .complete, .executorError: .executorError,
            .systemError: .systemError, .preempted: .preempted,
        ],
        .running: [
            .queued: .queued, .complete: .complete, .executorError: .executorError, .systemError: .systemError,
            .preempted: .preempted,
        ],
        .canceling: [
            .queued: .canceled, .complete: .canceled, .executorError: .canceled, .systemError: .canceled,
            .canceled: .canceled, .preempted: .canceled,
        ],
        .paused: [.systemError: .systemError],
        .unknown: [.systemError: .systemError],
    ]

    static let steps: [Step] = TESState.allCases.flatMap { from in
        TESState.allCases.map { Step(from: from, write: $0, reached: changes[from]?[$0]) }
    }

    @Test(arguments: steps)
    func writesOnlyTheStepsOfTheTable(_ step: Step) {
        var cycle = LifeCycle(step.from)
        let outcome = cycle.record(step.write)
        #expect(outcome == (step.reached.map { .changed($0) } ?? .unchanged))
        #expect(cycle.state == step.reached ?? step.from)
    }

    @Test(arguments: terminal)
    func endedTasksAreWrittenOnce(_ state: TESState) {
        #expect(state.isTerminal)
        var cycle = LifeCycle(state)
        #expect(TESState.allCases.allSatisfy { cycle.record($0) == .unchanged })
        #expect(cycle.cancel() == .unchanged)
        #expect(cycle.state == state)
    }

    @Test func onlyFiveStatesAreTerminal() {
        #expect(Set(TESState.allCases.filter(\.isTerminal)) == Set(Self.terminal))
        #expect(!TESState.unrecognized("LATER").isTerminal)
    }

    @Test(arguments: [
        (TESState.queued, TESState.canceled), (.initializing, .canceling), (.running, .canceling),
        (.paused, .canceling),
        (.unknown, .canceling),
    ])
    func cancelEndsWhatNobodyHoldsAndAsksTheRest(_ from: TESState, _ reached: TESState) {
        var cycle = LifeCycle(from)
        #expect(cycle.cancel() == .changed(reached))
        #expect(cycle.state == reached)
    }

    @Test func cancelingTwiceChangesNothing() {
        var cycle = LifeCycle(.canceling)
        #expect(cycle.cancel() == .unchanged)
        #expect(cycle.state == .canceling)
    }

    @Test(arguments: terminal)
    func cancelWinsOverEveryEnd(_ end: TESState) {
        var cycle = LifeCycle(.running)
        _ = cycle.cancel()
        #expect(cycle.record(.running) == .unchanged)
        #expect(cycle.record(end) == .changed(.canceled))
        #expect(cycle.record(.complete) == .unchanged)
        #expect(cycle.state == .canceled)
    }

    @Test func aLostAttemptStartsAgainFromTheQueue() {
        var cycle = LifeCycle()
        let writes: [TESState] = [.initializing, .running, .queued, .initializing, .queued, .initializing, .complete]
        for state in writes { #expect(cycle.record(state) == .changed(state)) }
        #expect(cycle.record(.queued) == .unchanged)
    }
}
