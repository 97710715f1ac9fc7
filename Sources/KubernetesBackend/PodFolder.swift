package import LocalSystem
package import Orchestrator
import TES
package import TaskCore

/// The control folder of a TaskPod: what its parts leave for each other. docs/decisions/0006-kubernetes.md lists the files.
package struct PodFolder: Sendable {
    /// The executors' part, the same as on one machine.
    package let control: ControlFolder

    private var folder: Folder { control.folder }

    package init(_ folder: Folder) { control = ControlFolder(folder) }

    /// What `poiesis tif` and `poiesis tof` are called here.
    package enum Part: String, Sendable {
        case tif, tof
    }

    // MARK: trec writes

    /// Keeps what was claimed: a recorder that was killed goes on with it.
    package func keep(_ attempt: Attempt) throws(FileError) {
        try folder.makeFolders("trec", mode: 0o700)
        let key = "\(attempt.key.taskID) \(attempt.key.number) \(attempt.key.token)\n"
        try folder.write(
            "trec/claim", Array(key.utf8) + FilerPlan(principal: attempt.principal, task: attempt.task).encoded)
    }

    /// What ``keep(_:)`` kept; nil where nothing was claimed yet.
    package func kept() throws(FileError) -> Attempt? {
        guard let bytes = try folder.read("trec/claim", limit: 1 << 30),
            let end = bytes.firstIndex(of: 10),
            let plan = FilerPlan(encoded: Array(bytes[(end + 1)...]))
        else { return nil }
        let words = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ")
        guard words.count == 3, let id = TaskID(String(words[0])), let number = Int(words[1]) else { return nil }
        return Attempt(
            key: AttemptKey(taskID: id, number: number, token: String(words[2])), principal: plan.principal,
            task: plan.task, state: plan.task.state ?? .initializing)
    }

    package func write(_ plan: FilerPlan, for part: Part) throws(FileError) {
        try folder.makeFolders(part.rawValue, mode: 0o700)
        try folder.write("\(part.rawValue)/plan", plan.encoded)
    }

    package func hasPlan(of part: Part) throws(FileError) -> Bool { try folder.kind("\(part.rawValue)/plan") != nil }

    /// Says that there is nothing to run, and why.
    package func refuse(_ reason: String) throws(FileError) {
        try folder.write("refused", Array(reason.utf8), mode: 0o644)
    }

    /// Says that an executor's turn has come: it is given once, whatever its program does to its folder.
    package func noteTurn(of position: Int) throws(FileError) { try folder.write("trec/turn-\(position)", []) }

    /// Whether ``noteTurn(of:)`` was called for an executor, by this recorder or one before it.
    package func wasNoted(turnOf position: Int) throws(FileError) -> Bool {
        try folder.kind("trec/turn-\(position)") != nil
    }

    /// Says that the recorder lives: whoever waits for it looks at ``pulse()``.
    package func beat() throws(FileError) {
        // Executors see this folder, too, and cannot write to it.
        try folder.makeFolders("bin", mode: 0o755)
        try folder.write("bin/alive", Array("\(UInt64.random(in: 0...UInt64.max))".utf8), mode: 0o644)
    }

    /// - Parameter status: the exit status of `poiesis ack`.
    package func decide(_ status: Int32) throws(FileError) {
        try folder.write("verdict", Array("\(status)\n".utf8), mode: 0o644)
    }

    // MARK: trec reads

    /// Whether an executor was told what to do. Only one that ran can have made its folder unreadable.
    package func hasTurn(_ position: Int) throws(FileError) -> Bool {
        do throws(FileError) { return try folder.kind("exec-\(position)/turn") != nil } catch {
            guard error.isUnusable else { throw error }
            return true
        }
    }

    /// nil while the part has not ended.
    package func result(of part: Part) throws(FileError) -> FilerResult? {
        try folder.read("\(part.rawValue)/result", limit: 1 << 30).flatMap(FilerResult.init(encoded:))
    }

    /// Whether an executor's container has ended, as the next one's shim, or `tof`, runs.
    ///
    /// - Parameter executors: how many the task has.
    package func isOver(_ position: Int, of executors: Int) throws(FileError) -> Bool {
        try folder.kind(position + 1 < executors ? "exec-\(position + 1)/waiting" : "tof-waiting") != nil
    }

    /// The result of an executor whose container has ended, after its folder was opened again where a program had closed it.
    package func lateResult(_ position: Int) throws(FileError) -> ExecutorResult? {
        if let result = try control.result(position) { return result }
        // Only the folder's owner may, which a program can have changed.
        try? folder.setMode("exec-\(position)", 0o777)
        return try control.result(position)
    }

    // MARK: The other parts

    /// What the recorder wrote last to say that it lives; another text each time.
    package func pulse() throws(FileError) -> [UInt8]? { try folder.read("bin/alive", limit: 64) }

    /// Says that all executors have ended.
    package func noteWaiting() throws(FileError) { try folder.write("tof-waiting", []) }

    package func plan(of part: Part) throws(FileError) -> FilerPlan? {
        try folder.read("\(part.rawValue)/plan", limit: 1 << 30).flatMap(FilerPlan.init(encoded:))
    }

    package func write(_ result: FilerResult, of part: Part) throws(FileError) {
        try folder.write("\(part.rawValue)/result", result.encoded, mode: 0o644)
    }

    /// nil while nobody refused.
    package func refusal() throws(FileError) -> String? {
        try folder.read("refused", limit: 4096).map { String(decoding: $0, as: UTF8.self) }
    }

    /// nil while the outcome is not recorded.
    package func verdict() throws(FileError) -> Int32? {
        guard let bytes = try folder.read("verdict", limit: 16) else { return nil }
        return Int32(String(decoding: bytes.prefix { (48...57).contains($0) }, as: UTF8.self))
    }

    /// Puts the shim where executors see it.
    package func install(shim: Folder, name: String) throws(FileError) {
        try folder.makeFolders("bin", mode: 0o755)
        try folder.copy(try shim.openFile(name), to: "bin/poiesis-exec", mode: 0o755)
    }
}
