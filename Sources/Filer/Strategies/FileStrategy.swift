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
        if !path.hasPrefix("/") { return nil }
    }
}

/// `file` URLs below allowed folders. Links are resolved first, so that none leads out of a root.
struct FileStrategy: FilerStrategy {
    let roots: [FileRoot]

    var schemes: Set<String> { ["file"] }
    var storage: [String] { roots.map { "file://" + $0.path } }

    /// The root that holds a path, and the path below it; the path's folder has to exist for writing.
    private func place(_ url: RemoteURL, forWriting: Bool) throws(FilerError) -> (folder: Folder, relative: String) {
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
        let resolved = try resolve(path, forWriting: forWriting)
        for root in roots where !forWriting || root.isWritable {
            guard let rootPath = try? resolvedPath(root.path), ContainerPath.contains(rootPath, resolved) else {
                continue
            }
            do throws(FileError) {
                let relative = rootPath == "/" ? resolved : String(resolved.dropFirst(rootPath.count))
                return (try Folder(rootPath), relative)
            } catch { throw FilerError(error) }
        }
        let allowed = roots.filter { !forWriting || $0.isWritable }.map(\.path)
        let places = allowed.isEmpty ? "none" : allowed.joined(separator: ", ")
        throw FilerError(
            "\(path) does not lie in a folder that this server may \(forWriting ? "write to" : "read") (\(places)): its operator allows one with --allow-files"
        )
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
                        error.isMissing ? "there is no file \(path) on this server" : error.description,
                        isMissing: error.isMissing)
                }
            }
            missing = "/" + ContainerPath.name(existing) + missing
            existing = ContainerPath.parent(existing)
        }
    }

    func download(_ url: RemoteURL, to file: LocalFile, for principal: Principal) async throws(FilerError) {
        let (folder, relative) = try place(url, forWriting: false)
        do throws(FileError) { try copy(try folder.openFile(relative), to: file) } catch { throw FilerError(error) }
    }

    func list(_ url: RemoteURL, for principal: Principal) async throws(FilerError) -> [RemoteEntry] {
        let (folder, relative) = try place(url, forWriting: false)
        var entries: [RemoteEntry] = []
        do throws(FileError) { try visit(folder, relative, "", &entries) } catch { throw FilerError(error) }
        return entries
    }

    /// Links inside the tree are not followed: they may lead anywhere.
    private func visit(
        _ folder: Folder, _ path: String, _ below: String, _ entries: inout [RemoteEntry]
    ) throws(FileError) {
        for entry in try folder.list(path) {
            let name = below.isEmpty ? entry.name : below + "/" + entry.name
            switch entry.kind {
            case .directory:
                entries.append(RemoteEntry(path: name, isDirectory: true))
                try visit(folder, path + "/" + entry.name, name, &entries)
            case .regular, .link: entries.append(RemoteEntry(path: name, isDirectory: false))
            case .other: continue
            }
        }
    }

    func upload(_ source: UploadSource, to url: RemoteURL, for principal: Principal) async throws(FilerError) {
        let (folder, relative) = try place(url, forWriting: true)
        let parent = ContainerPath.parent(relative)
        let temporary = parent + "/.poiesis-part-\(UInt64.random(in: 0 ... .max))"
        do throws(FileError) {
            try folder.makeFolders(parent, mode: 0o755)
            do throws(FileError) {
                let target = try folder.createFile(temporary, mode: 0o644, exclusive: true)
                try copy(source.file, to: target)
                try target.synchronize()
                try folder.rename(temporary, relative)
            } catch {
                try? folder.remove(temporary)
                throw error
            }
        } catch { throw FilerError(error) }
    }

    func makeDirectory(_ url: RemoteURL, for principal: Principal) async throws(FilerError) {
        let (folder, relative) = try place(url, forWriting: true)
        do throws(FileError) { try folder.makeFolders(relative, mode: 0o755) } catch { throw FilerError(error) }
    }

    private func copy(_ source: LocalFile, to target: LocalFile) throws(FileError) {
        var offset: Int64 = 0
        while true {
            let bytes = try source.read(1 << 20, at: offset)
            if bytes.isEmpty { return }
            try target.write(bytes, at: offset)
            offset += Int64(bytes.count)
        }
    }
}
