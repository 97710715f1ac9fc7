package import LocalSystem
package import TaskCore

/// The files that executors' shims read and write: `exec-N/plan` and `turn` in; `started`, `result` and captured streams out.
///
/// What lies in an executor's folder may be a hostile task's.
package struct ControlFolder: Sendable {
    package let folder: Folder

    package init(_ folder: Folder) { self.folder = folder }

    /// Writes an executor's plan.
    package func prepare(_ position: Int, _ plan: ExecutorPlan) throws(FileError) {
        try folder.makeFolders("exec-\(position)", mode: 0o777)
        try folder.write("exec-\(position)/plan", plan.encoded, mode: 0o444)
    }

    /// What an executor's shim waits for.
    package enum Turn: String, Sendable {
        case run, skip
    }

    package func give(_ turn: Turn, to position: Int) throws(FileError) {
        try folder.write("exec-\(position)/turn", Array("\(turn.rawValue)\n".utf8), mode: 0o444)
    }

    /// How an executor ended; nil while it has not, or where what lies there is no result.
    ///
    /// A program can write what looks like its result: it counts only once its container has ended.
    package func result(_ position: Int) throws(FileError) -> ExecutorResult? {
        do throws(FileError) {
            return try folder.read("exec-\(position)/result", limit: 1 << 20).flatMap(ExecutorResult.init(encoded:))
        } catch {
            guard error.isUnusable else { throw error }
            return nil
        }
    }

    /// Keeps a result that the shim could not write.
    package func store(_ result: ExecutorResult, _ position: Int) throws(FileError) {
        try folder.remove("exec-\(position)/result")
        try folder.write("exec-\(position)/result", result.encoded)
    }

    /// Whether the shim began with an executor.
    package func wasStarted(_ position: Int) throws(FileError) -> Bool {
        do throws(FileError) { return try folder.kind("exec-\(position)/started") != nil } catch {
            guard error.isUnusable else { throw error }
            return true
        }
    }

    /// What was captured of an executor's streams.
    package func streams(_ position: Int, limit: Int) -> (stdout: String, stderr: String) {
        (captured(position, "stdout", limit: limit), captured(position, "stderr", limit: limit))
    }

    private func captured(_ position: Int, _ name: String, limit: Int) -> String {
        let half = max(1, limit / 2)
        let head = (try? folder.read("exec-\(position)/\(name).head", limit: half)) ?? []
        let ring = (try? folder.read("exec-\(position)/\(name).tail", limit: half + 8)) ?? []
        return CapturedText(head: head, ring: ring, half: half).text
    }
}
