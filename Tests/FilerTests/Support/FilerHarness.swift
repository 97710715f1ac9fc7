import Filer
import Foundation
import HTTPClient
import LocalSystem
import TES
import TaskCore
import Testing

/// A filer with a workspace, and beside it folders that its file URLs may reach.
struct FilerHarness: Sendable {
    /// May be read and written.
    let shared: String
    /// May be read.
    let readOnly: String
    /// May not be reached.
    let outside: String
    /// Container path P is this and P.
    let workspace: String
    let root: Folder
    let filer: Filer

    static func with(
        retries: Int = 0, configuration given: FilerConfiguration = FilerConfiguration(),
        _ body: (FilerHarness) async throws -> Void
    ) async throws {
        let folder = "/tmp/filer-\(UUID().uuidString.lowercased())"
        for name in ["shared", "read-only", "outside", "workspace"] {
            _ = try Folder.make("\(folder)/\(name)", mode: 0o755)
        }
        defer { try? Folder("/tmp").remove(ContainerPath.name(folder)) }
        let client = HTTPClient()
        defer { client.close() }
        var configuration = given
        configuration.roots = [
            FileRoot(path: folder + "/shared", isWritable: true),
            FileRoot(path: folder + "/read-only", isWritable: false),
        ]
        configuration.retryPauses = Array(repeating: .milliseconds(1), count: retries)
        configuration.closedFolders = [folder + "/shared/closed"]
        try await body(
            FilerHarness(
                shared: folder + "/shared", readOnly: folder + "/read-only", outside: folder + "/outside",
                workspace: folder + "/workspace", root: try Folder(folder + "/workspace"),
                filer: Filer.standard(configuration, client: client)))
    }

    func write(_ path: String, _ text: String) throws {
        try FileManager.default.createDirectory(atPath: ContainerPath.parent(path), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: path))
    }

    func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    func read(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// A staged file.
    func staged(_ path: String) -> String? { read(workspace + path) }

    func mode(_ path: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.posixPermissions] as? Int
    }

    func isFolder(_ path: String) -> Bool {
        var isFolder = ObjCBool(false)
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }

    /// All paths below a folder, in order.
    func tree(_ path: String) -> [String] {
        (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted()
    }

    func stage(_ inputs: TESInput...) async -> Cause? { await filer.stage(inputs, into: root) }
    func upload(_ outputs: TESOutput...) async -> UploadReport { await filer.upload(outputs, from: root) }

    func file(_ url: String, _ path: String) -> TESInput { TESInput(url: url, path: path, type: .file) }
    func directory(_ url: String, _ path: String) -> TESInput { TESInput(url: url, path: path, type: .directory) }
    func output(_ path: String, _ url: String, _ type: TESFileType = .file, prefix: String? = nil) -> TESOutput {
        TESOutput(url: url, path: path, pathPrefix: prefix, type: type)
    }
}
