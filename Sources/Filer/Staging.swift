import HTTPClient
package import LocalSystem
package import TES
package import TaskCore

extension Filer {
    /// One local file to make: where, and from what.
    private enum Source: Sendable {
        case content(String)
        case remote(any FilerStrategy, RemoteURL)
    }

    private struct Download: Sendable {
        var position: Int
        var path: String
        var url: String
        var source: Source
    }

    /// Stages a task's inputs below `root`, where container path P is `root` + P; the cause where that fails.
    ///
    /// Files are left 0666 and directories 0777, so that a container of any user can use them. A file appears under its name only
    /// when it is whole.
    package func stage(_ inputs: [TESInput], into root: Folder) async -> Cause? {
        var files: [String: Download] = [:]
        var order: [String] = []
        // Directories first: a FILE input inside one replaces what came with it.
        for (position, input) in inputs.enumerated().sorted(by: {
            $0.element.type == .directory && $1.element.type != .directory
        }) {
            guard let path = ContainerPath.normalized(input.path) else { continue }
            do throws(FilerError) {
                for download in try await downloads(input, position, path, root) {
                    if files[download.path] == nil { order.append(download.path) }
                    files[download.path] = download
                }
            } catch {
                return Self.inputCause(error, position, input.url ?? "", input.path)
            }
        }
        return await inParallel(order.compactMap { files[$0] }) { download in
            do throws(FilerError) {
                try await fetch(download, into: root)
                return nil
            } catch {
                return Self.inputCause(error, download.position, download.url, download.path)
            }
        }
    }

    private static func inputCause(_ error: FilerError, _ position: Int, _ url: String, _ path: String) -> Cause {
        if error.isDiskFull { return .diskFull(what: "while input \(position) was staged") }
        let shown = RemoteURL(url)?.redacted ?? (url.isEmpty ? "its content" : url)
        return .inputUnavailable(position: position, url: shown, path: path, reason: error.description)
    }

    /// The files of one input; its directories are made on the way.
    private func downloads(
        _ input: TESInput, _ position: Int, _ path: String, _ root: Folder
    ) async throws(FilerError) -> [Download] {
        if let content = input.literalContent {
            return [Download(position: position, path: path, url: "", source: .content(content))]
        }
        let text = input.url ?? ""
        guard input.type == .directory else {
            let (strategy, url) = try strategy(text)
            return [Download(position: position, path: path, url: text, source: .remote(strategy, url))]
        }
        try makeFolders(path, root)
        if text.hasPrefix("_:") { return [] }
        let (strategy, url) = try strategy(text)
        var entries: [RemoteEntry] = []
        try await retrying { () async throws(FilerError) in
            entries = try await strategy.list(url, for: principal)
        }
        var downloads: [Download] = []
        for entry in entries {
            guard let inner = ContainerPath.normalized("/" + entry.path) else {
                throw FilerError("it holds the name \(entry.path), which leads out of the directory")
            }
            if entry.isDirectory {
                try makeFolders(path + inner, root)
            } else {
                let source = url.appending(entry.path)
                downloads.append(
                    Download(
                        position: position, path: path + inner, url: source.description,
                        source: .remote(strategy, source)))
            }
        }
        return downloads
    }

    private func makeFolders(_ path: String, _ root: Folder) throws(FilerError) {
        do throws(FileError) { try root.makeFolders(path, mode: 0o777) } catch { throw FilerError(error) }
    }

    private func fetch(_ download: Download, into root: Folder) async throws(FilerError) {
        let parent = ContainerPath.parent(download.path)
        try makeFolders(parent, root)
        // The same each time, so that nothing is left of a transfer that was killed; of the longest file's name there is room for no more.
        let temporary = parent + "/.poiesis-part-" + SigV4.hash(Array(download.path.utf8)).prefix(32)
        do throws(FilerError) {
            try await retrying { () async throws(FilerError) in
                let file = try local { () throws(FileError) in try root.createFile(temporary, mode: 0o666) }
                switch download.source {
                case .content(let content): try local { () throws(FileError) in try file.write(Array(content.utf8)) }
                case .remote(let strategy, let url): try await strategy.download(url, to: file, for: principal)
                }
            }
            try local { () throws(FileError) in try root.rename(temporary, download.path) }
        } catch {
            try? root.remove(temporary)
            throw error
        }
    }

    func local<Value>(_ body: () throws(FileError) -> Value) throws(FilerError) -> Value {
        do throws(FileError) { return try body() } catch { throw FilerError(error) }
    }

    /// Runs a few at once; the first cause ends the rest.
    private func inParallel<Item: Sendable>(
        _ items: [Item], _ body: @escaping @Sendable (Item) async -> Cause?
    ) async -> Cause? {
        await withTaskGroup(of: Cause?.self) { group in
            var rest = items[...]
            for _ in 0..<parallelTransfers {
                if let item = rest.popFirst() { group.addTask { await body(item) } }
            }
            for await cause in group {
                if let cause {
                    group.cancelAll()
                    return cause
                }
                if let item = rest.popFirst() { group.addTask { await body(item) } }
            }
            return nil
        }
    }
}
