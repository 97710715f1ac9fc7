package import TES

/// Which workspace paths appear where in each executor, and which files the shim carries: a pure function of the task.
///
/// Container path P lives at `<workspace>/fs<P>`. A directory that the task names and that is the task's own is mounted whole;
/// in the image's own folders single files are bound or carried, so that the image's other files stay visible.
package struct MountPlan: Hashable, Sendable {
    /// One bind mount: `<workspace>/fs<path>` at `path`.
    package struct Mount: Hashable, Sendable {
        package var path: String
        /// A single file; otherwise a directory.
        package var isFile: Bool
    }

    /// What the shim copies out of the image's folders after each executor, and back before the next.
    package struct Carried: Hashable, Sendable {
        /// A path, or a pattern where `isPattern`.
        package var path: String
        package var isPattern: Bool
    }

    /// In order of path, so that a directory comes before what is mounted in it.
    package private(set) var mounts: [Mount] = []
    package private(set) var carried: [Carried] = []
    /// Directories of ``carried``: each `<workspace>/fs<dir>` appears at `/.poiesis/carry<dir>`.
    package private(set) var carryDirectories: [String] = []

    /// Folders that images bring; a FILE path in or below them makes no mount of its directory.
    package static let imageFolders: Set = [
        "/", "/app", "/bin", "/boot", "/etc", "/home", "/opt", "/root", "/run", "/sbin", "/srv", "/usr", "/var",
    ]
    /// Below an image folder, but never an image's own.
    package static let notImageFolders: Set = ["/var/lib/cwl"]

    /// - Parameter task: a valid task; see ``TaskValidation``.
    package init(_ task: TESTask) {
        var directories: Set<String> = []
        var files: Set<String> = []
        var candidates: [Carried] = []

        func file(_ path: String, isPattern: Bool = false) {
            let directory = isPattern ? PathPattern(path).fixedPrefix : ContainerPath.parent(path)
            if Self.isInImage(directory) {
                candidates.append(Carried(path: path, isPattern: isPattern))
            } else {
                directories.insert(directory)
            }
        }

        for volume in task.volumes ?? [] { insert(volume, into: &directories) }
        for input in task.inputs ?? [] {
            guard let path = ContainerPath.normalized(input.path) else { continue }
            if input.type == .directory {
                directories.insert(path)
            } else if Self.isInImage(ContainerPath.parent(path)) {
                files.insert(path)
            } else {
                directories.insert(ContainerPath.parent(path))
            }
        }
        for output in task.outputs ?? [] {
            if output.isPattern {
                file(output.path, isPattern: true)
            } else if let path = ContainerPath.normalized(output.path) {
                if output.type == .directory { directories.insert(path) } else { file(path) }
            }
        }
        for executor in task.executors {
            for path in [executor.stdout, executor.stderr].compactMap({ $0 }) {
                if let path = ContainerPath.normalized(path) { file(path) }
            }
        }

        func isMounted(_ path: String) -> Bool {
            var path = path
            while path != "/" {
                if directories.contains(path) { return true }
                path = ContainerPath.parent(path)
            }
            return false
        }

        // What lies in a mounted directory needs no mount of its own.
        let outermost = directories.filter { !isMounted(ContainerPath.parent($0)) }
        let single = files.filter { !isMounted($0) }
        mounts = (outermost.map { Mount(path: $0, isFile: false) } + single.map { Mount(path: $0, isFile: true) })
            .sorted { $0.path < $1.path }
        var seen: Set<Carried> = []
        var seenDirectories: Set<String> = []
        for candidate in candidates where seen.insert(candidate).inserted {
            let directory =
                candidate.isPattern ? PathPattern(candidate.path).fixedPrefix : ContainerPath.parent(candidate.path)
            if isMounted(directory) || single.contains(candidate.path) { continue }
            carried.append(candidate)
            if seenDirectories.insert(directory).inserted { carryDirectories.append(directory) }
        }
    }

    private func insert(_ path: String, into directories: inout Set<String>) {
        if let path = ContainerPath.normalized(path) { directories.insert(path) }
    }

    /// Whether a directory is an image's, or below one of an image's.
    package static func isInImage(_ directory: String) -> Bool {
        if notImageFolders.contains(where: { ContainerPath.contains($0, directory) }) { return false }
        guard let top = ContainerPath.segments(directory).first else { return true }
        return imageFolders.contains("/" + top) || top.hasPrefix("lib")
    }

    /// The mount that hides an image's path, if one does: for the message about a missing program.
    package func mount(hiding path: String) -> String? {
        mounts.first { !$0.isFile && ContainerPath.contains($0.path, path) }?.path
    }
}

extension TESOutput {
    /// Whether its path selects files by a pattern: only with a `path_prefix`.
    package var isPattern: Bool {
        pathPrefix?.isEmpty == false && (PathPattern.hasWildcards(path) || path.contains("\\"))
    }
}

extension TESInput {
    /// The bytes to write instead of fetching a URL: content wins over the URL unless it is empty.
    package var literalContent: String? {
        if let content, !content.isEmpty || (url ?? "").isEmpty { return content }
        return nil
    }
}
