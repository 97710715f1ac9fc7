import Foundation
import LocalSystem
import TaskCore

/// The server's own files: `attempts/`, `bin/`, `postgres/`, `worker`, `lock`.
struct DataFolder {
    let folder: Folder
    /// Held as long as the program runs: two servers on one folder would run each task twice.
    private let lock: LocalFile

    init(settings: Settings) throws {
        let path = Self.path(settings)
        do throws(FileError) {
            // As root, container users have to pass through to their workspaces; each part is closed itself.
            folder = try Folder.make(path, mode: Machine.isRoot ? 0o711 : 0o700)
            lock = try folder.createFile("lock", truncate: false)
        } catch {
            throw StartError("the data folder \(path) cannot be used: \(error.reason). Give another with --data DIR")
        }
        guard lock.lock() else {
            throw StartError("another poiesis uses the data folder \(path): stop it, or give another with --data DIR")
        }
    }

    static func path(_ settings: Settings) -> String {
        let path = settings.text("data") ?? defaultPath(settings)
        return path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    private static func defaultPath(_ settings: Settings) -> String {
        if Machine.isRoot { return "/var/lib/poiesis" }
        if let data = settings.variables["XDG_DATA_HOME"] { return data + "/poiesis" }
        return (settings.variables["HOME"] ?? "/tmp") + "/.local/share/poiesis"
    }

    /// Where attempts keep their workspaces.
    func attempts() throws -> Folder {
        try folder.makeFolders("attempts", mode: 0o700)
        return try Folder(folder.path + "/attempts")
    }

    /// Copies the shim to where the engine can bind it from; a running container keeps the one that it has.
    func installShim() throws -> String {
        let source = URL(filePath: Machine.programPath).deletingLastPathComponent().appending(path: "poiesis-exec")
            .path(percentEncoded: false)
        let program: LocalFile
        do throws(FileError) { program = try LocalFile.reading(source) } catch {
            throw StartError("the shim poiesis-exec is not beside this program (\(source)): run make build")
        }
        try folder.makeFolders("bin", mode: 0o700)
        // This one is what containers of any user see.
        try folder.makeFolders("bin/shim", mode: 0o755)
        let place = "bin/shim/poiesis-exec"
        if try folder.kind(place) == .regular, try folder.openFile(place).holdsTheSame(as: program) {
            return folder.path + "/bin/shim"
        }
        try folder.copy(program, to: place, mode: 0o755)
        return folder.path + "/bin/shim"
    }

    /// This machine's worker: the same after a restart, so that it finds its own attempts.
    func worker() throws -> WorkerID {
        if let bytes = try folder.read("worker", limit: 64),
            let id = TaskID(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        {
            return WorkerID(id: id, host: Machine.hostName)
        }
        guard let id = TaskID(UUID().uuidString) else { throw StartError("no id for this worker could be made") }
        try folder.write("worker", Array("\(id)\n".utf8))
        return WorkerID(id: id, host: Machine.hostName)
    }
}
