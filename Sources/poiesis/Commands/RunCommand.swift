import ArgumentParser
import Filer
import Foundation
import HTTPClient
import LocalSystem
import Logging
import Orchestrator
import ServiceLifecycle
import Synchronization
import TES
import TaskCore
import TaskStore
import UnixSignals

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs one task here: no server, no database.",
        discussion: """
            Example:
              poiesis run task.json

            File URLs reach whatever you can. Ends with 0 for COMPLETE, the failing executor's exit code, 70 for
            SYSTEM_ERROR, 130 after Ctrl-C, which cancels the task.
            """)

    @Argument(help: "The task's JSON document, or - for standard input.")
    var file: String
    @OptionGroup var machine: MachineOptions

    func run() async throws {
        let code: Int32
        do {
            code = try await runTask()
        } catch let error as InvalidRequest {
            for problem in error.problems { Terminal.error("\(file): \(problem)") }
            code = 65
        } catch let error as StartError where error.isUsage {
            Terminal.error("\(error)")
            code = 64
        } catch {
            Terminal.error("\(error)")
            code = 70
        }
        if code != 0 { throw ExitCode(code) }
    }

    private func runTask() async throws -> Int32 {
        // From the first moment on: what was made is removed again.
        let interruption = Interruption()
        let signals = Task { await interruption.wait() }
        defer { signals.cancel() }
        let scratch =
            machine.data ?? FileManager.default.temporaryDirectory.path(percentEncoded: false)
            + "poiesis-run-\(UUID().uuidString.lowercased())"
        let settings = try machine.settings(["data": [scratch]]).with(default: "warning", for: "log.level")
        let (task, problems) = try readTask()
        try settings.checkStorage()
        let roots = [FileRoot(path: "/", isWritable: true)]
        let data = try DataFolder(settings: settings)
        defer { if machine.data == nil { try? FileManager.default.removeItem(atPath: scratch) } }
        let composition = try Composition(
            settings: settings, logger: try settings.makeLogger(), roots: roots, closedFolders: [data.folder.path])
        let accepted = try TaskValidation.accept(task, read: problems, rules: composition.rules)
        let store = InMemoryTaskStore(metadata: composition.metadata, clock: Composition.clock)
        let worker = try data.worker()
        let backend = try await composition.backend(store: store, worker: worker, data: data)
        var stored = accepted.task
        stored.creationTime = store.now()
        let id = store.newID()
        try await store.create(NewTask(id: id, principal: .everyone, task: stored, warnings: accepted.warnings))
        let wakeUp = WakeUp()
        guard
            interruption.set({
                _ = try? await store.cancel(id, for: .everyone)
                wakeUp.signal()
            })
        else { return 130 }
        let service = Worker(id: worker, store: store, backend: backend, wakeUp: wakeUp, logger: composition.logger)
        let end = try await withThrowingTaskGroup(of: TESTask?.self) { group in
            group.addTask {
                try await service.run()
                return nil
            }
            group.addTask { try await Self.follow(id, store) }
            while let result = try await group.next() {
                if let result {
                    group.cancelAll()
                    return result
                }
            }
            throw StartError("the worker ended before the task")
        }
        composition.client.close()
        for line in TaskEnd.lines(end) { Terminal.error(line) }
        return TaskEnd.exitCode(end)
    }

    /// The document, and what in it could not be read.
    private func readTask() throws -> (TESTask, RequestProblems) {
        var reader = JSONReader(try readInput(file), purpose: .request)
        do throws(JSONSyntaxError) {
            if let task = try reader.document(TESTask.self) { return (task, reader.problems) }
        } catch { throw InvalidRequest([RequestProblem("", error.description)]) }
        throw InvalidRequest(reader.problems)
    }

    /// Prints what is new until the task has ended.
    private static func follow(_ id: TaskID, _ store: InMemoryTaskStore) async throws -> TESTask? {
        var progress = TaskProgress()
        var shown = 0
        while true {
            guard let task = try await store.task(id, view: .full, for: .everyone) else { return nil }
            for log in (task.logs?.last?.logs ?? []).dropFirst(shown) {
                Terminal.pass(log.stdout ?? "")
                Terminal.pass(log.stderr ?? "", toErrors: true)
                shown += 1
            }
            for line in progress.lines(task) { Terminal.error(line) }
            if task.state?.isTerminal == true { return task }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}

/// What Ctrl-C does: nothing but being noted before there is a task, then cancelling it.
private final class Interruption: Sendable {
    private let state = Mutex<(hasCome: Bool, cancel: (@Sendable () async -> Void)?)>((false, nil))

    /// - Returns: false where a signal has come already.
    func set(_ cancel: @escaping @Sendable () async -> Void) -> Bool {
        state.withLock { state in
            state.cancel = cancel
            return !state.hasCome
        }
    }

    /// Handles signals until the Swift task is cancelled.
    func wait() async {
        for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) {
            let cancel = state.withLock { state in
                state.hasCome = true
                return state.cancel
            }
            await cancel?()
        }
    }
}

/// A file's bytes, or standard input's for `-`.
func readInput(_ file: String) throws -> [UInt8] {
    if file == "-" { return Array(FileHandle.standardInput.readDataToEndOfFile()) }
    do { return Array(try Data(contentsOf: URL(filePath: file))) } catch {
        let reason = (error as? CocoaError)?.underlying.flatMap { ($0 as? POSIXError)?.code }
        let words = reason.map { FileError("read", file, code: $0.rawValue).reason } ?? error.localizedDescription
        throw StartError(usage: "cannot read \(file): \(words)")
    }
}
