package import LocalSystem
import TES
package import TaskCore

/// The files of one attempt: its workspace and its control folder, in the data folder.
///
///     attempts/TASK-N/workspace/fs      container path P lives at fs + P
///     attempts/TASK-N/control/exec-N    plan and turn in; result, stdout and stderr out
///     attempts/TASK-N/control/staged    the inputs are there
package struct AttemptFolder: Sendable {
    /// As the engine sees it.
    package let path: String
    private let folder: Folder
    package let workspace: Folder
    private let control: Folder

    /// - Parameter attempts: the data folder's part for attempts.
    package init(attempts: Folder, key: AttemptKey) throws(FileError) {
        let name = Self.name(key)
        try attempts.makeFolders(name, mode: 0o711)
        folder = try attempts.folder(name)
        try folder.makeFolders("workspace/fs", mode: 0o777)
        try folder.makeFolders("control", mode: 0o777)
        path = attempts.path + "/" + name
        workspace = try folder.folder("workspace/fs")
        control = try folder.folder("control")
    }

    package static func name(_ key: AttemptKey) -> String { "\(key.taskID)-\(key.number)" }

    package func isStaged() throws(FileError) -> Bool { try control.kind("staged") != nil }

    package func markStaged() throws(FileError) { try control.write("staged", []) }

    /// As the engine sees it.
    package func executorFolder(_ position: Int) -> String { "\(path)/control/exec-\(position)" }
    package var workspacePath: String { path + "/workspace/fs" }

    /// Writes an executor's plan and its turn.
    package func prepare(_ position: Int, _ plan: ExecutorPlan) throws(FileError) {
        let name = "exec-\(position)"
        try control.makeFolders(name, mode: 0o777)
        try control.write(name + "/plan", plan.encoded, mode: 0o444)
        try control.write(name + "/turn", Array("run\n".utf8), mode: 0o444)
    }

    /// Makes the folders that the mount plan mounts.
    package func makeMountPoints(_ plan: MountPlan) throws(FileError) {
        for mount in plan.mounts where !mount.isFile { try workspace.makeFolders(mount.path, mode: 0o777) }
        for directory in plan.carryDirectories { try workspace.makeFolders(directory, mode: 0o777) }
    }

    /// A directory or file that no longer is what the plan made of it; nil where all are.
    ///
    /// Executors may write to what holds the sources of later mounts: a link in such a place would lead the engine, which follows
    /// it, anywhere on this machine.
    package func replacedMount(_ plan: MountPlan) throws(FileError) -> String? {
        let wanted =
            plan.mounts.map { ($0.path, $0.isFile ? FileKind.regular : .directory) }
            + plan.carryDirectories.map { ($0, .directory) }
        for (path, kind) in wanted {
            do throws(FileError) {
                if try workspace.kind(path) != kind { return path }
            } catch {
                guard error.isUnusable else { throw error }
                return path
            }
        }
        return nil
    }

    /// How an executor ended; nil while it has not, or where what lies there is no result.
    ///
    /// A program can write what looks like its result: it counts only once its container has ended.
    package func result(_ position: Int) throws(FileError) -> ExecutorResult? {
        do throws(FileError) {
            return try control.read("exec-\(position)/result", limit: 1 << 20).flatMap(ExecutorResult.init(encoded:))
        } catch {
            guard error.isUnusable else { throw error }
            return nil
        }
    }

    /// Keeps a result that the shim could not write.
    package func store(_ result: ExecutorResult, _ position: Int) throws(FileError) {
        try control.remove("exec-\(position)/result")
        try control.write("exec-\(position)/result", result.encoded)
    }

    /// Whether the shim began with an executor.
    package func wasStarted(_ position: Int) throws(FileError) -> Bool {
        do throws(FileError) { return try control.kind("exec-\(position)/started") != nil } catch {
            guard error.isUnusable else { throw error }
            return true
        }
    }

    /// What was captured of a stream; `name` is `stdout` or `stderr`.
    package func captured(_ position: Int, _ name: String, limit: Int) -> String {
        let half = max(1, limit / 2)
        let head = (try? control.read("exec-\(position)/\(name).head", limit: half)) ?? []
        let ring = (try? control.read("exec-\(position)/\(name).tail", limit: half + 8)) ?? []
        return CapturedText(head: head, ring: ring, half: half).text
    }

    /// Bytes that are free on its disk.
    package var freeSpace: Int64 { workspace.freeSpace() }
}

/// Head and tail of a stream as text: repaired, cut at code points, with a line that says what was left out.
struct CapturedText {
    let text: String

    /// - Parameter ring: eight bytes that count, little-endian, all bytes after the head; then a ring of the last of them.
    init(head: [UInt8], ring: [UInt8], half: Int) {
        var count: UInt64 = 0
        for byte in ring.prefix(8).reversed() { count = count << 8 | UInt64(byte) }
        let kept = Array(ring.dropFirst(8))
        guard ring.count > 8, count > 0, count < UInt64(Int64.max) else {
            text = String(decoding: head, as: UTF8.self)
            return
        }
        let total = Int(count)
        if total <= kept.count || total <= half {
            text = String(decoding: head + kept.prefix(total), as: UTF8.self)
            return
        }
        let place = kept.isEmpty ? 0 : total % half
        let tail = Array(kept.dropFirst(place) + kept.prefix(place))
        let start = Self.withoutCutEnd(head)
        let end = tail.drop { $0 & 0xC0 == 0x80 }
        text =
            String(decoding: start, as: UTF8.self) + "\n[… \(total - half) bytes were left out …]\n"
            + String(decoding: end, as: UTF8.self)
    }

    /// Without a UTF-8 sequence that the cut broke off.
    private static func withoutCutEnd(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.count - length]
            if byte & 0xC0 == 0x80 { continue }
            let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return needed > length ? bytes.dropLast(length) : bytes[...]
        }
        return bytes[...]
    }
}
