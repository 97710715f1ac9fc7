import LocalSystem
import TES
import TaskCore

/// One file of an output, or a directory in it that is empty.
struct OutputItem: Sendable {
    /// In the container.
    var path: String
    /// Below the output's URL, without a leading slash; empty for the URL itself.
    var relative = ""
    var isEmptyDirectory = false

    func target(_ url: RemoteURL) -> RemoteURL { relative.isEmpty ? url : url.appending(relative) }
}

/// Finds the files of one output in a workspace whose content is hostile.
///
/// Links are followed inside the workspace, but never in a circle. How many entries are looked at is bounded: a few folders with
/// links to each other look like a tree of any size.
struct OutputCollection {
    /// What there is of an output.
    struct Found: Sendable {
        var items: [OutputItem] = []
        /// What the user should read.
        var lines: [String] = []
        /// Entries that may still be looked at.
        var budget: Int
    }

    private static let maximumLines = 20
    private static let maximumDepth = 100

    private let root: Folder
    private let isCancelled: () -> Bool
    private let limit: Int
    private var result: Found
    private var omitted = 0

    init(root: Folder, budget: Int, isCancelled: @escaping () -> Bool) {
        self.root = root
        self.isCancelled = isCancelled
        limit = budget
        result = Found(budget: budget)
    }

    /// What ``collect(_:)`` found, up to where it failed.
    var found: Found {
        var found = result
        if omitted > 0 { found.lines.append("and \(omitted) more that were left out") }
        return found
    }

    /// Looks for an output's files; why that failed, if it did.
    mutating func collect(_ output: TESOutput) -> FilerError? {
        do throws(FilerError) {
            try visit(output)
            return nil
        } catch { return error }
    }

    private mutating func visit(_ output: TESOutput) throws(FilerError) {
        if output.isPattern { return try collectPattern(output) }
        guard let path = ContainerPath.normalized(output.path) else { return }
        switch (try local { () throws(FileError) in try root.kind(path, links: .insideRoot) }, output.type) {
        case (nil, _): return
        case (.directory, .directory): try visitTree(path, "", [])
        case (.directory, _): throw FilerError("it is a directory: declare the output's type as DIRECTORY")
        case (.regular, .directory): throw FilerError("it is a file: declare the output's type as FILE")
        case (.regular, _):
            let isFolder = output.url.utf8.last == UInt8(ascii: "/")
            result.items.append(OutputItem(path: path, relative: isFolder ? ContainerPath.name(path) : ""))
        case (.link, _), (.other, _): throw FilerError("it is no regular file")
        }
    }

    private func local<Value>(_ body: () throws(FileError) -> Value) throws(FilerError) -> Value {
        do throws(FileError) { return try body() } catch { throw FilerError(error) }
    }

    private mutating func leaveOut(_ line: String) {
        if result.lines.count < Self.maximumLines { result.lines.append(line) } else { omitted += 1 }
    }

    /// A folder's entries, as far as they may still be looked at.
    private mutating func entries(_ folder: String) throws(FilerError) -> [Folder.Entry] {
        if isCancelled() { throw FilerError("the upload was cancelled") }
        let entries = try local { () throws(FileError) in try root.list(folder, links: .insideRoot) }
        result.budget -= entries.count + 1
        if result.budget < 0 {
            throw FilerError(
                "more than \(limit) files and folders would have to be looked at: declare fewer, or pack them into one file"
            )
        }
        return entries
    }

    /// What an entry is once its links are followed inside the workspace; nil for a link into nothing or out of it.
    private func kind(_ entry: Folder.Entry, _ path: String) -> FileKind? {
        entry.kind == .link ? (try? root.kind(path, links: .insideRoot)) ?? nil : entry.kind
    }

    // MARK: Directories

    /// All regular files of a directory; empty directories too. What cannot be read fails the output.
    private mutating func visitTree(_ folder: String, _ relative: String, _ above: [String]) throws(FilerError) {
        let place = try local { () throws(FileError) in try root.folder(folder, links: .insideRoot).realPath }
        if above.contains(place) { return leaveOut("\(folder) leads back to a directory above it and was left out") }
        guard above.count < Self.maximumDepth else {
            throw FilerError("\(folder) lies deeper than \(Self.maximumDepth) directories: pack the tree into one file")
        }
        let entries = try entries(folder)
        if entries.isEmpty {
            result.items.append(OutputItem(path: folder, relative: relative, isEmptyDirectory: true))
        }
        for entry in entries {
            let path = folder + "/" + entry.name
            guard entry.isText else {
                throw FilerError("the name of \(path) is no UTF-8: rename it, or pack the directory into one file")
            }
            let below = relative.isEmpty ? entry.name : relative + "/" + entry.name
            switch kind(entry, path) {
            case .directory: try visitTree(path, below, above + [place])
            case .regular: result.items.append(OutputItem(path: path, relative: below))
            case .link, .other, nil: leaveOut("\(path) is no regular file and was left out")
            }
        }
    }

    // MARK: Patterns

    private mutating func collectPattern(_ output: TESOutput) throws(FilerError) {
        let pattern = PathPattern(output.path)
        let prefix = output.pathPrefix.flatMap(ContainerPath.normalized) ?? "/"
        let start = pattern.fixedPrefix
        // Where nothing lies, nothing matches.
        guard try local({ () throws(FileError) in try root.kind(start, links: .insideRoot) }) == .directory else {
            return
        }
        try visitPattern(start, ContainerPath.segments(start).count, pattern, prefix)
    }

    private mutating func visitPattern(
        _ folder: String, _ depth: Int, _ pattern: PathPattern, _ prefix: String
    ) throws(FilerError) {
        for entry in try entries(folder) {
            let path = (folder == "/" ? "" : folder) + "/" + entry.name
            guard entry.isText else {
                leaveOut("the name of \(path) is no UTF-8: it was left out")
                continue
            }
            let kind = kind(entry, path)
            if pattern.matches(path) {
                let relative = String((ContainerPath.below(prefix, path) ?? path).utf8.dropFirst()) ?? entry.name
                switch kind {
                case .directory: try visitTree(path, relative, [])
                case .regular: result.items.append(OutputItem(path: path, relative: relative))
                case .link, .other, nil: leaveOut("\(path) is no regular file and was left out")
                }
            } else if entry.kind == .directory, depth + 1 < pattern.maximumDepth ?? Self.maximumDepth {
                do throws(FilerError) { try visitPattern(path, depth + 1, pattern, prefix) } catch {
                    if result.budget < 0 || isCancelled() { throw error }
                    leaveOut("\(path) could not be read and was left out")
                }
            }
        }
    }
}
