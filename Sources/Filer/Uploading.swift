package import LocalSystem
package import TES
package import TaskCore

/// What came of a task's outputs.
package struct UploadReport: Sendable {
    /// One for each uploaded file, in the order of the outputs.
    package var records: [OutputRecord] = []
    /// What the user should read, the failures after the first among them.
    package var lines: [String] = []
    /// Declared outputs of type FILE or DIRECTORY, without wildcards, that do not exist.
    package var missing: [Cause] = []
    /// Why an output could not be uploaded: the first that failed.
    package var failure: Cause?
}

extension FilerResult {
    /// What a filer in this process found.
    package init(_ report: UploadReport) {
        self.init(failure: report.failure.map(CauseSummary.init))
        records = report.records
        lines = report.lines
        missing = report.missing.compactMap { cause in
            if case .outputMissing(let position, let path) = cause {
                Missing(position: position, path: path)
            } else {
                nil
            }
        }
    }
}

extension Filer {
    /// One output that can be uploaded, and the files that there are of it.
    private struct Upload: Sendable {
        var position: Int
        var output: TESOutput
        var url: RemoteURL
        var strategy: any FilerStrategy
        var items: [OutputItem] = []
    }

    /// What came of one file.
    private enum Outcome: Sendable {
        case uploaded(OutputRecord)
        /// An empty directory, of which nothing is recorded.
        case made
        case failed(Cause)
        /// Too many files of the same output failed before it.
        case skipped
    }

    /// After so many files of one output failed, the rest of that output is not tried.
    private static let maximumFailures = 5

    /// Uploads a task's outputs from below `root`, whose content is hostile: nothing outside it is read, only regular files are.
    ///
    /// All outputs are tried, whatever becomes of one of them.
    package func upload(_ outputs: [TESOutput], from root: Folder) async -> UploadReport {
        var report = UploadReport()
        var failures: [Int: [Cause]] = [:]
        let uploads = await collect(outputs, root, &report, &failures)
        let places = uploads.enumerated().flatMap { upload in upload.element.items.indices.map { (upload.offset, $0) } }
        let outcomes = await send(uploads, places, root)
        var skipped: [Int: Int] = [:]
        for (index, (upload, _)) in places.enumerated() {
            let position = uploads[upload].position
            switch outcomes[index] {
            case .uploaded(let record): report.records.append(record)
            case .failed(let cause): failures[position, default: []].append(cause)
            case .skipped: skipped[position, default: 0] += 1
            case .made, nil: break
            }
        }
        let all = failures.sorted { $0.key < $1.key }.flatMap(\.value)
        report.failure = all.first
        report.lines += all.dropFirst().compactMap(\.sentence)
        for (position, count) in skipped.sorted(by: { $0.key < $1.key }) {
            report.lines.append(
                "output \(position): \(count) more of its files were not tried after \(Self.maximumFailures) failed")
        }
        return report
    }

    // MARK: What there is to upload

    private func collect(
        _ outputs: [TESOutput], _ root: Folder, _ report: inout UploadReport, _ failures: inout [Int: [Cause]]
    ) async -> [Upload] {
        var uploads: [Upload] = []
        var budget = maximumEntries
        for (position, output) in outputs.enumerated() {
            do throws(FilerError) {
                let (strategy, url) = try strategy(output.url)
                let left = budget
                let (found, failure) = await onDisk { isCancelled in
                    var collection = OutputCollection(root: root, budget: left, isCancelled: isCancelled)
                    let failure = collection.collect(output)
                    return (collection.found, failure)
                }
                budget = max(0, found.budget)
                if let failure { throw failure }
                report.lines += found.lines.map { "output \(position): \($0)" }
                if found.items.isEmpty {
                    if output.isPattern {
                        report.lines.append("output \(position) (\(output.path)) matches no file")
                    } else {
                        report.missing.append(.outputMissing(position: position, path: output.path))
                    }
                }
                uploads.append(
                    Upload(position: position, output: output, url: url, strategy: strategy, items: found.items))
            } catch {
                failures[position] = [Self.outputCause(error, position, output.url, output.path)]
            }
        }
        return uploads
    }

    private static func outputCause(_ error: FilerError, _ position: Int, _ url: String, _ path: String) -> Cause {
        if error.isDiskFull { return .diskFull(what: "while output \(position) was uploaded") }
        let shown = RemoteURL(url)?.redacted ?? url
        return .outputFailed(position: position, url: shown, path: path, reason: error.description)
    }

    // MARK: Sending

    /// Outcomes by index of `places`, each an index of `uploads` and one of its items. A few are sent at once.
    private func send(_ uploads: [Upload], _ places: [(Int, Int)], _ root: Folder) async -> [Int: Outcome] {
        await withTaskGroup(of: (Int, Outcome).self) { group in
            var outcomes: [Int: Outcome] = [:]
            var failed: [Int: Int] = [:]
            var next = 0
            var running = 0
            while true {
                while running < parallelTransfers, next < places.count, !Task.isCancelled {
                    let index = next
                    let (upload, item) = places[index]
                    next += 1
                    if failed[upload, default: 0] >= Self.maximumFailures {
                        outcomes[index] = .skipped
                        continue
                    }
                    running += 1
                    let (model, one) = (uploads[upload], uploads[upload].items[item])
                    group.addTask { (index, await self.send(model, one, root)) }
                }
                guard let (index, outcome) = await group.next() else { return outcomes }
                running -= 1
                outcomes[index] = outcome
                if case .failed = outcome { failed[places[index].0, default: 0] += 1 }
            }
        }
    }

    private func send(_ upload: Upload, _ item: OutputItem, _ root: Folder) async -> Outcome {
        let target = item.target(upload.url)
        do throws(FilerError) {
            if item.isEmptyDirectory {
                try await retrying { () async throws(FilerError) in
                    try await upload.strategy.makeDirectory(target, for: principal)
                }
                return .made
            }
            let file = try local { () throws(FileError) in try root.openFile(item.path, links: .insideRoot) }
            let source = try await source(file)
            try await retrying { () async throws(FilerError) in
                try await upload.strategy.upload(source, to: target, for: principal)
            }
            // The client's own spelling of a file URL, not ours.
            let isPath = target.scheme == "file" && ContainerPath.isAbsolute(upload.output.url)
            let log = TESOutputFileLog(
                url: isPath ? target.path : target.description, path: item.path, sizeBytes: source.size)
            return .uploaded(OutputRecord(log: log, checksum: "sha256:" + source.sha256))
        } catch {
            return .failed(Self.outputCause(error, upload.position, target.description, item.path))
        }
    }

    private func source(_ file: LocalFile) async throws(FilerError) -> UploadSource {
        do throws(FileError) {
            let size = try file.size()
            return UploadSource(file: file, size: size, sha256: try await file.checksum(length: size))
        } catch { throw FilerError(error) }
    }
}
