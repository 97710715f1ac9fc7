package import TES

/// What this server makes of tasks beyond the specification's structure.
package struct TaskRules: Hashable, Sendable {
    /// URL schemes that a filer knows, in lower case.
    package var schemes: Set<String>
    /// Keys of `backend_parameters` that the backend supports, in lower case.
    package var backendParameters: Set<String> = []
    /// Most bytes of one input's `content`.
    package var contentLimit = 1024 * 1024

    package init(schemes: Set<String>) { self.schemes = schemes }
}

/// What a backend makes of a task that is valid otherwise.
package struct BackendJudgement: Hashable, Sendable {
    /// Why it can never run there.
    package var problems: [RequestProblem] = []
    /// What its author should read.
    package var warnings: [String] = []
    /// Keys of `backend_parameters` that count as not given: neither stored nor returned.
    package var dropped: [String] = []

    package init() {}

    /// Drops what counts as not given, and returns the warnings; throws the problems.
    package func apply(to task: inout TESTask) throws(InvalidRequest) -> [String] {
        guard problems.isEmpty else { throw InvalidRequest(problems) }
        for key in dropped { task.resources?.backendParameters?[key] = nil }
        if task.resources?.backendParameters?.isEmpty == true { task.resources?.backendParameters = nil }
        return warnings
    }
}

/// The rules that the specification states in prose, and those that keep a task runnable; each problem has its JSON pointer.
package struct TaskValidation {
    private let rules: TaskRules
    private var problems: RequestProblems
    private var warnings: [String] = []

    private init(_ rules: TaskRules, _ problems: RequestProblems) {
        self.rules = rules
        self.problems = problems
    }

    /// A client's task as it is to be stored, and what its author should read; throws all problems at once.
    ///
    /// - Parameter read: what the document's reader found already.
    package static func accept(
        _ task: TESTask, read: RequestProblems = RequestProblems(), rules: TaskRules
    ) throws(InvalidRequest) -> (task: TESTask, warnings: [String]) {
        var validation = TaskValidation(rules, read)
        task.validate(&validation.problems, at: "")
        validation.check(task)
        var task = task
        validation.dropBackendParameters(&task)
        guard validation.problems.isEmpty else { throw InvalidRequest(validation.problems) }
        return (task, validation.warnings)
    }

    private mutating func add(_ pointer: String, _ message: String) { problems.add(pointer, message) }

    private static let mostWarnings = 100

    private mutating func warn(_ text: String) {
        if warnings.count < Self.mostWarnings {
            warnings.append(text)
        } else if warnings.count == Self.mostWarnings {
            warnings.append("and more: these are the first \(Self.mostWarnings) warnings")
        }
    }

    private mutating func check(_ task: TESTask) {
        for (index, input) in (task.inputs ?? []).enumerated() where !problems.hasMore {
            check(input, index, at: "/inputs/\(index)")
        }
        for (index, output) in (task.outputs ?? []).enumerated() where !problems.hasMore {
            check(output, at: "/outputs/\(index)")
        }
        for (index, volume) in (task.volumes ?? []).enumerated() where !problems.hasMore {
            path(volume, at: "/volumes/\(index)")
            directory(volume, at: "/volumes/\(index)")
        }
        for (index, executor) in task.executors.enumerated() where !problems.hasMore {
            check(executor, at: "/executors/\(index)")
        }
    }

    private mutating func check(_ input: TESInput, _ index: Int, at pointer: String) {
        path(input.path, at: pointer + "/path")
        if input.type == .directory { directory(input.path, at: pointer + "/path") }
        if let content = input.content, content.utf8.count > rules.contentLimit {
            add(pointer + "/content", "may have at most \(rules.contentLimit) bytes; put larger data behind a url")
        }
        let url = input.url ?? ""
        if input.literalContent == nil {
            if url.isEmpty {
                add(pointer + "/url", "is required unless content is set")
            } else if !(input.type == .directory && url.hasPrefix("_:")) {
                scheme(url, at: pointer + "/url")
            }
        } else if input.type == .directory {
            add(pointer + "/type", "must be FILE where content is set")
        } else if !url.isEmpty {
            warn(
                "input \(index) (\(input.path)) has both url and content: the content is used, the url \(url) is ignored"
            )
        }
    }

    private mutating func check(_ output: TESOutput, at pointer: String) {
        let hasPrefix = output.pathPrefix?.isEmpty == false
        if let prefix = output.pathPrefix, hasPrefix { path(prefix, at: pointer + "/path_prefix", mayBeRoot: true) }
        if !hasPrefix, output.path.contains("*") || output.path.contains("?") {
            add(pointer + "/path_prefix", "is required where the path has wildcards")
        }
        path(output.path, at: pointer + "/path")
        if output.type == .directory, !output.isPattern { directory(output.path, at: pointer + "/path") }
        if output.isPattern, !problems.contains(pointer + "/path") {
            // What quotes and braces hide shows in the alternatives.
            let pattern = PathPattern(output.path)
            if pattern.climbs {
                add(pointer + "/path", "must not contain \"..\"")
            } else {
                path(pattern.fixedPrefix, at: pointer + "/path", mayBeRoot: true)
            }
        }
        if output.isPattern, !problems.contains(pointer + "/path"),
            let prefix = output.pathPrefix.flatMap(ContainerPath.normalized),
            !ContainerPath.contains(prefix, PathPattern(output.path).fixedPrefix)
        {
            add(pointer + "/path_prefix", "must be the beginning of the path, before its first wildcard")
        }
        if !output.url.isEmpty { scheme(output.url, at: pointer + "/url") }
    }

    private mutating func check(_ executor: TESExecutor, at pointer: String) {
        if let first = executor.command.first, first.isEmpty { add(pointer + "/command/0", "must name a program") }
        if let stdout = executor.stdout { path(stdout, at: pointer + "/stdout") }
        if let stderr = executor.stderr { path(stderr, at: pointer + "/stderr") }
        if let stdin = executor.stdin { path(stdin, at: pointer + "/stdin", mayBeSystem: true) }
        if let workdir = executor.workdir, !workdir.isEmpty {
            path(workdir, at: pointer + "/workdir", mayBeSystem: true)
        }
        for name in (executor.env ?? [:]).keys.sorted() where name.isEmpty || name.contains("=") {
            add(pointer + "/env", "has a name that is empty or holds \"=\": \(name)")
        }
    }

    private mutating func path(_ path: String, at pointer: String, mayBeSystem: Bool = false, mayBeRoot: Bool = false) {
        if path.isEmpty { return }
        guard ContainerPath.isAbsolute(path) else { return add(pointer, "must be an absolute path") }
        guard let normalized = ContainerPath.normalized(path) else {
            return add(pointer, "must not contain \"..\"")
        }
        for folder in ["/proc", "/sys", "/dev"] where !mayBeSystem && ContainerPath.contains(folder, normalized) {
            add(pointer, "must not lie in \(folder)")
        }
        if ContainerPath.contains("/.poiesis", normalized) {
            add(pointer, "must not lie in /.poiesis, which is the server's")
        }
        if normalized == "/", !mayBeSystem, !mayBeRoot { add(pointer, "must not be the root folder") }
        if normalized.utf8.count > 4000 { add(pointer, "may have at most 4000 bytes") }
    }

    /// Folders without which no image works cannot be replaced by a directory of the task.
    private mutating func directory(_ path: String, at pointer: String) {
        guard let normalized = ContainerPath.normalized(path) else { return }
        let isLibrary = normalized.hasPrefix("/lib") && ContainerPath.parent(normalized) == "/"
        if ["/bin", "/etc", "/sbin", "/usr"].contains(normalized) || isLibrary {
            add(pointer, "must not be \(normalized) itself, which would hide the image's own files")
        }
    }

    private mutating func scheme(_ url: String, at pointer: String) {
        if ContainerPath.isAbsolute(url) { return }
        guard let colon = url.firstIndex(of: ":"), url[colon...].hasPrefix("://") || url.hasPrefix("file:") else {
            return add(pointer, "must be an absolute path or a URL such as \(example)")
        }
        let scheme = url[..<colon].lowercased()
        if !rules.schemes.contains(scheme) {
            add(
                pointer,
                "has the scheme \"\(scheme)\", which this server does not serve; it serves \(rules.schemes.sorted().joined(separator: ", "))"
            )
        }
    }

    private var example: String { rules.schemes.contains("s3") ? "s3://bucket/key" : "file:///folder/file" }

    /// Unknown keys are neither stored nor returned; strict tasks refuse them.
    private mutating func dropBackendParameters(_ task: inout TESTask) {
        guard let parameters = task.resources?.backendParameters else { return }
        let unknown = parameters.keys.filter { !rules.backendParameters.contains($0.lowercased()) }.sorted()
        for name in unknown {
            if task.resources?.backendParametersStrict == true {
                add("/resources/backend_parameters/" + pointerSegment(name), "is not supported by this server")
            } else {
                task.resources?.backendParameters?[name] = nil
                warn("the backend parameter \"\(name)\" is not supported by this server and was dropped")
            }
        }
        if task.resources?.backendParameters?.isEmpty == true { task.resources?.backendParameters = nil }
    }
}
