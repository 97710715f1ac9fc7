package import LocalSystem
import Synchronization
package import TES
package import TaskCore

/// What came of a task's outputs.
package struct UploadReport: Sendable {
    /// One for each uploaded file, in the order of the outputs.
    package var records: [OutputRecord] = []
    /// What the user should read.
    package var lines: [String] = []
    /// Declared outputs of type FILE or DIRECTORY, without wildcards, that do not exist.
    package var missing: [Cause] = []
    /// Why an output could not be uploaded.
    package var failure: Cause?
}

extension Filer {
    private struct Upload: Sendable {
        var position: Int
        var output: TESOutput
        /// The path in the container.
        var path: String
        var url: RemoteURL
        var strategy: any FilerStrategy
        var isEmptyDirectory = false
    }

    /// Uploads a task's outputs from below `root`, whose content is hostile: nothing outside it is read, only regular files are.
    package func upload(_ outputs: [TESOutput], from root: Folder) async -> UploadReport {
        var report = UploadReport()
        var uploads: [Upload] = []
        for (position, output) in outputs.enumerated() {
            do throws(FilerError) {
                let found = try collect(output, position, root, &report)
                if found.isEmpty, !output.isPattern {
                    report.missing.append(.outputMissing(position: position, path: output.path))
                }
                if found.isEmpty, output.isPattern {
                    report.lines.append("output \(position) (\(output.path)) matches no file")
                }
                uploads += found
            } catch {
                report.failure = report.failure ?? Self.cause(error, position, output.url, output.path)
            }
        }
        let records = Mutex<[Int: OutputRecord]>([:])
        let failure = await inParallel(Array(uploads.enumerated())) { index, upload in
            do throws(FilerError) {
                guard let record = try await send(upload, root) else { return nil }
                records.withLock { $0[index] = record }
                return nil
            } catch {
                return Self.cause(error, upload.position, upload.url.description, upload.path)
            }
        }
        report.failure = report.failure ?? failure
        report.records = records.withLock { $0.sorted { $0.key < $1.key }.map(\.value) }
        return report
    }

    private static func cause(_ error: FilerError, _ position: Int, _ url: String, _ path: String) -> Cause {
        if error.isDiskFull { return .diskFull(what: "while output \(position) was uploaded") }
        let shown = RemoteURL(url)?.redacted ?? url
        return .outputFailed(position: position, url: shown, path: path, reason: error.description)
    }

    private func send(_ upload: Upload, _ root: Folder) async throws(FilerError) -> OutputRecord? {
        if upload.isEmptyDirectory {
            try await retrying { () async throws(FilerError) in
                try await upload.strategy.makeDirectory(upload.url, for: principal)
            }
            return nil
        }
        let source = try local { () throws(FileError) -> UploadSource in
            let file = try root.openFile(upload.path, links: .insideRoot)
            let size = try file.size()
            return UploadSource(file: file, size: size, sha256: try checksum(file, size: size))
        }
        try await retrying { () async throws(FilerError) in
            try await upload.strategy.upload(source, to: upload.url, for: principal)
        }
        // The client's own spelling of a file URL, not ours.
        let url =
            upload.url.scheme == "file" && upload.output.url.hasPrefix("/") ? upload.url.path : upload.url.description
        return OutputRecord(
            log: TESOutputFileLog(url: url, path: upload.path, sizeBytes: source.size),
            checksum: "sha256:" + source.sha256)
    }

    // MARK: What there is to upload

    private func collect(
        _ output: TESOutput, _ position: Int, _ root: Folder, _ report: inout UploadReport
    ) throws(FilerError) -> [Upload] {
        let (strategy, url) = try strategy(output.url)
        let model = Upload(position: position, output: output, path: "", url: url, strategy: strategy)
        if output.isPattern { return try collectPattern(model, root, &report) }
        guard let path = ContainerPath.normalized(output.path) else { return [] }
        let kind = try local { () throws(FileError) -> FileKind? in try self.kind(path, root) }
        switch (kind, output.type) {
        case (nil, _): return []
        case (.directory, .directory):
            var found = collectTree(model, path, url, root, &report)
            if found.isEmpty {
                var empty = model
                empty.path = path
                empty.isEmptyDirectory = true
                found = [empty]
            }
            return found
        case (.directory, _): throw FilerError("it is a directory: declare the output's type as DIRECTORY")
        case (.regular, .directory): throw FilerError("it is a file: declare the output's type as FILE")
        case (.regular, _):
            var upload = model
            upload.path = path
            if url.path.hasSuffix("/") { upload.url = url.appending(ContainerPath.name(path)) }
            return [upload]
        case (.link, _), (.other, _): throw FilerError("it is no regular file")
        }
    }

    /// What a path is once its links are followed inside the workspace; nil where there is nothing, or a link into nothing.
    private func kind(_ path: String, _ root: Folder) throws(FileError) -> FileKind? {
        try root.kind(path, links: .insideRoot)
    }

    private func collectPattern(_ model: Upload, _ root: Folder, _ report: inout UploadReport) throws(FilerError)
        -> [Upload]
    {
        let pattern = PathPattern(model.output.path)
        let prefix = model.output.pathPrefix.flatMap(ContainerPath.normalized) ?? "/"
        var found: [Upload] = []
        func visit(_ folder: String, _ depth: Int) {
            guard depth < 100, let entries = try? root.list(folder, links: .insideRoot) else { return }
            for entry in entries {
                let path = (folder == "/" ? "" : folder) + "/" + entry.name
                let kind = entry.kind == .link ? (try? kind(path, root)) ?? nil : entry.kind
                let url = model.url.appending(String(path.dropFirst(prefix == "/" ? 1 : prefix.count + 1)))
                if pattern.matches(path) {
                    if kind == .directory {
                        found += collectTree(model, path, url, root, &report)
                    } else if kind == .regular {
                        var upload = model
                        upload.path = path
                        upload.url = url
                        found.append(upload)
                    } else {
                        report.lines.append("output \(model.position): \(path) is no regular file and was left out")
                    }
                } else if kind == .directory, entry.kind == .directory {
                    visit(path, depth + 1)
                }
            }
        }
        visit(pattern.fixedPrefix, 0)
        return found
    }

    /// All regular files of a directory; empty directories too. Links are followed inside the workspace, but never in a circle.
    private func collectTree(
        _ model: Upload, _ path: String, _ url: RemoteURL, _ root: Folder, _ report: inout UploadReport
    ) -> [Upload] {
        var found: [Upload] = []
        func visit(_ folder: String, _ url: RemoteURL, _ above: [String]) {
            guard let opened = try? root.folder(folder, links: .insideRoot), !above.contains(opened.realPath),
                above.count < 100,
                let entries = try? root.list(folder, links: .insideRoot)
            else {
                report.lines.append("output \(model.position): \(folder) could not be read and was left out")
                return
            }
            if entries.isEmpty {
                var upload = model
                upload.path = folder
                upload.url = url
                upload.isEmptyDirectory = true
                found.append(upload)
            }
            for entry in entries {
                let path = folder + "/" + entry.name
                let kind = entry.kind == .link ? (try? kind(path, root)) ?? nil : entry.kind
                switch kind {
                case .directory: visit(path, url.appending(entry.name), above + [opened.realPath])
                case .regular:
                    var upload = model
                    upload.path = path
                    upload.url = url.appending(entry.name)
                    found.append(upload)
                case .link, .other, nil:
                    report.lines.append("output \(model.position): \(path) is no regular file and was left out")
                }
            }
        }
        visit(path, url, [])
        return found
    }
}
