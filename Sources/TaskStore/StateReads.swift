import Synchronization
import TES
import TaskCore

/// Reads of single tasks' states, which clients ask for again and again: those that wait at the same moment share one statement.
///
/// A read begins after it was asked for, so that nobody sees an older state than the one of that moment.
final class StateReads: Sendable {
    typealias Row = (owner: String, state: TESState)
    typealias Answer = Result<Row?, TaskStoreError>

    private struct Question {
        let id: TaskID
        let answer: CheckedContinuation<Answer, Never>
    }

    /// Several, so that one that hangs does not hold up all others.
    private static let mostStatements = 2
    private static let mostTasks = 256

    private let state = Mutex<(waiting: [Question], running: Int)>(([], 0))

    /// - Parameter read: the rows of those tasks that exist.
    func state(
        of id: TaskID,
        _ read: @escaping @Sendable ([TaskID]) async throws(TaskStoreError) -> [TaskID: Row]
    ) async throws(TaskStoreError) -> Row? {
        let answer: Answer = await withCheckedContinuation { continuation in
            let starts = state.withLock { state in
                state.waiting.append(Question(id: id, answer: continuation))
                guard state.running < Self.mostStatements else { return false }
                state.running += 1
                return true
            }
            if starts { Task { await work(read) } }
        }
        return try answer.get()
    }

    /// Answers until nobody waits.
    @concurrent private func work(
        _ read: @Sendable ([TaskID]) async throws(TaskStoreError) -> [TaskID: Row]
    ) async {
        while true {
            let questions = state.withLock { state -> [Question] in
                let questions = Array(state.waiting.prefix(Self.mostTasks))
                state.waiting.removeFirst(questions.count)
                if questions.isEmpty { state.running -= 1 }
                return questions
            }
            if questions.isEmpty { return }
            do throws(TaskStoreError) {
                let rows = try await read(questions.map(\.id))
                for question in questions { question.answer.resume(returning: .success(rows[question.id])) }
            } catch {
                for question in questions { question.answer.resume(returning: .failure(error)) }
            }
        }
    }
}
