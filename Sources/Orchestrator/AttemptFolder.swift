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
    package let control: ControlFolder

    /// - Parameter attempts: the data folder's part for attempts.
    package init(attempts: Folder, key: AttemptKey) throws(FileError) {
        let name = Self.name(key)
        try attempts.makeFolders(name, mode: 0o711)
        folder = try attempts.folder(name)
        try folder.makeFolders("workspace/fs", mode: 0o777)
        try folder.makeFolders("control", mode: 0o777)
        path = attempts.path + "/" + name
        workspace = try folder.folder("workspace/fs")
        control = ControlFolder(try folder.folder("control"))
    }

    package static func name(_ key: AttemptKey) -> String { "\(key.taskID)-\(key.number)" }

    package func isStaged() throws(FileError) -> Bool { try control.folder.kind("staged") != nil }

    package func markStaged() throws(FileError) { try control.folder.write("staged", []) }

    /// As the engine sees it.
    package func executorFolder(_ position: Int) -> String { "\(path)/control/exec-\(position)" }
    package var workspacePath: String { path + "/workspace/fs" }

    /// Bytes that are free on its disk.
    package var freeSpace: Int64 { workspace.freeSpace() }
}
