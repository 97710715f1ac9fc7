import LocalSystem
import TaskCore

/// A folder that `file` URLs may reach.
package struct FileRoot: Hashable, Sendable {
    package var path: String
    package var isWritable: Bool

    package init(path: String, isWritable: Bool) {
        self.path = path
        self.isWritable = isWritable
    }

    /// `DIR`, `DIR:ro` or `DIR:rw`; without a suffix it is read-only. Nil where the path is not absolute.
    package init?(argument: String) {
        isWritable = argument.hasSuffix(":rw")
        path = isWritable || argument.hasSuffix(":ro") ? String(argument.dropLast(3)) : argument
        if !ContainerPath.isAbsolute(path) { return nil }
    }
}

/// `file` URLs below allowed folders. Links are resolved first, so that none leads out of a root.
struct FileStrategy: FilerStrategy {
    private let roots: [FileRoot]
    private let closedFolders: [String]
    private let maximumEntries: Int

    init(_ configuration: FilerConfiguration) {
        roots = configuration.roots
        closedFolders = configuration.closedFolders
        maximumEntries = configuration.maximumEntries
    }

    var schemes: Set<String> { ["file"] }
    var storage: [String] { roots.map { "file://" + $0.path } }

    /// Where a URL leads.
    private struct Place {
        /// The root that holds it.
        var folder: Folder
        /// Below the root.
        var relative: String
        /// Without links.
        var resolved: String
    }

    /// The root that holds a path, and the path below it; the path's folder has to exist for writing.
    private func place(_ url: RemoteURL, forWriting: Bool) throws(FilerError) -> Place {
        guard url.authority.isEmpty || url.authority == "localhost" else {
            throw FilerError("a file URL names no host: write file:///path")
        }
        guard let path = ContainerPath.normalized(url.path) else {
            throw FilerError("the URL's path is not a plain absolute path")
        }
        if roots.isEmpty {
            throw FilerError(
                "this server serves no files of its own: start it with --allow-files DIR\(forWriting ? ":rw" : "")")
        }
        let allowed = roots.filter { !forWriting || $0.isWritable }.map(\.path)
        let places = allowed.isEmpty ? "none" : allowed.joined(separator: ", ")
        let outside = FilerError(
            "\(path) does not lie in a folder that this server may \(forWriting ? "write to" : "read") (\(places)): its operator allows one with --allow-files"
        )
        let resolved: String
        do throws(FilerError) { resolved = try resolve(path, forWriting: forWriting) } catch {
            // Of what lies outside in any case it is not said whether it is there.
            let isInside = allowed.contains { ContainerPath.below($0, path) != nil }
            throw isInside ? error : outside
        }
        try refuseClosed(resolved)
        for root in roots where !forWriting || root.isWritable {
            guard let rootPath = try? resolvedPath(root.path), let relative = ContainerPath.below(rootPath, resolved)
            else { continue }
            do throws(FileError) {
                return Place(folder: try Folder(rootPath), relative: relative, resolved: resolved)
            } catch { throw FilerError(error) }
        }
        throw outside
    }

    /// The server's own files are nobody's input or output.
    private func refuseClosed(_ resolved: String) throws(FilerError) {
        for folder in closedFolders where ContainerPath.contains((try? resolvedPath(folder)) ?? folder, resolved) {
            throw FilerError("\(resolved) is one of this server's own files, which no URL reaches")
        }
    }

    /// The path without links. For writing, the part that does not exist yet is kept as it is.
    private func resolve(_ path: String, forWriting: Bool) throws(FilerError) -> String {
        var existing = path
        var missing = ""
        while true {
            do throws(FileError) {
                let resolved = try resolvedPath(existing)
                return missing.isEmpty ? resolved : (resolved == "/" ? "" : resolved) + missing
            } catch {
                guard error.isMissing, forWriting, existing != "/" else {
                    throw FilerError(
                        error.isMissing ? "there is no file \(path) on this server" : error.description)
                }
            }
            missing = "/" + ContainerPath.name(existing) + missing
            existing = ContainerPath.parent(existing)
        }
    }

    func download(_ url: RemoteURL, to file: LocalFile, for principal: Principal) async throws(FilerError) {
        let place = try place(url, forWriting: false)
        do throws(FileError) {
            try file.truncate(to: 0)
            try await place.folder.openFile(place.relative).copy(to: file)
        } catch { throw FilerError(error) }
    }

    // MARK: Directories

    func list(_ url: RemoteURL, for principal: Principal) async throws(FilerError) -> [RemoteEntry] {
        try await onDisk { isCancelled throws(FilerError) in
            var entries: [RemoteEntry] = []
            try visit(url, "", [], &entries, isCancelled)
            return entries
        }
    }

    /// Links inside the tree are followed where they lead to something that may be read, but never in a circle.
    private func visit(
        _ url: RemoteURL, _ below: String, _ above: [String], _ entries: inout [RemoteEntry], _ isCancelled: () -> Bool
    ) throws(FilerError) {
        let here = try place(url, forWriting: false)
        guard !above.contains(here.resolved) else { throw FilerError("\(url.path) leads back to a directory above it") }
        guard above.count < 100 else { throw FilerError("\(url.path) lies deeper than 100 directories") }
        let found: [Folder.Entry]
        do throws(FileError) { found = try here.folder.list(here.relative) } catch { throw FilerError(error) }
        for entry in found {
            if isCancelled() { throw FilerError("the download was cancelled") }
            guard entry.isText else { throw FilerError("the name of \(url.path)/\(entry.name) is no UTF-8") }
            guard entries.count < maximumEntries else {
                throw FilerError("it holds more than \(maximumEntries) files and directories")
            }
            let name = below.isEmpty ? entry.name : below + "/" + entry.name
            let inner = url.appending(entry.name)
            switch entry.kind {
            case .directory:
                entries.append(RemoteEntry(path: name, isDirectory: true))
                try visit(inner, name, above + [here.resolved], &entries, isCancelled)
            case .link where isDirectory(inner):
                entries.append(RemoteEntry(path: name, isDirectory: true))
                try visit(inner, name, above + [here.resolved], &entries, isCancelled)
            case .regular, .link: entries.append(RemoteEntry(path: name, isDirectory: false))
            case .other: continue
            }
        }
    }

    private func isDirectory(_ url: RemoteURL) -> Bool {
        guard let place = try? place(url, forWriting: false) else { return false }
        return (try? place.folder.kind(place.relative)) == .directory
    }

    // MARK: Writing

    func upload(_ source: UploadSource, to url: RemoteURL, for principal: Principal) async throws(FilerError) {
        let place = try place(url, forWriting: true)
        let folder = place.folder
        let parent = ContainerPath.parent(place.relative)
        let temporary = parent + "/.poiesis-part-\(UInt64.random(in: 0 ... .max))"
        do throws(FileError) {
            try folder.makeFolders(parent, mode: 0o755)
            do throws(FileError) {
                // Without a name nothing is left of it where this server is killed.
                let unnamed = try folder.createUnnamed(parent, mode: 0o644)
                let target: LocalFile
                if let unnamed {
                    target = unnamed
                } else {
                    target = try folder.createFile(temporary, mode: 0o644, exclusive: true)
                }
                try await source.file.copy(to: target)
                try await onDisk { _ throws(FileError) in
                    try target.synchronize()
                    if unnamed != nil { try folder.name(target, temporary) }
                    try folder.rename(temporary, place.relative)
                    try folder.synchronize(parent)
                }
            } catch {
                try? folder.remove(temporary)
                throw error
            }
        } catch { throw FilerError(error) }
    }

    func makeDirectory(_ url: RemoteURL, for principal: Principal) async throws(FilerError) {
        let place = try place(url, forWriting: true)
        do throws(FileError) { try place.folder.makeFolders(place.relative, mode: 0o755) } catch {
            throw FilerError(error)
        }
    }
}
