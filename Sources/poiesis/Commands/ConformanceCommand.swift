import ArgumentParser
import Conformance
import Foundation
import HTTPClient
import LocalSystem
import TaskCore
import YAML

struct ConformanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conformance",
        abstract: "Checks a TES server, ours or another, against the specification.",
        discussion: """
            Examples:
              poiesis conformance http://localhost:8000
              poiesis conformance https://tes.example/ga4gh/tes/v1 --only '!poiesis' --only '!slow' --jobs 8
              poiesis conformance http://localhost:8000 --output-url s3://bucket/conformance --report-junit junit.xml
              poiesis conformance --list --only 'list_*'

            --only takes globs of cases (views/minimal), files (views) and tags; one that begins with ! leaves cases out.
            Ends with 0 where every case passed, 1 where one failed, 2 where a case file is in error.
            """)

    @Argument(help: "The server, or the base of its API where that is not /ga4gh/tes/v1.")
    var url: String?
    @Option(help: "Folder with case files; can be repeated. Default: those that come with this program.")
    var cases: [String] = []
    @Option(help: "Only cases, files or tags that match the glob; can be repeated.")
    var only: [String] = []
    @Option(help: "Image that tasks run in: anything with a POSIX shell.")
    var image = "alpine"
    @Option(help: "URL below which tasks may write and read; without it some cases are skipped.")
    var outputUrl: String?
    @Option(help: "How many cases run at once.")
    var jobs = 4
    @Option(help: "Writes a report as the GA4GH test bed does.")
    var reportJson: String?
    @Option(help: "Writes a report as JUnit does.")
    var reportJunit: String?
    @Flag(help: "Lists the cases and runs none.")
    var list = false

    func run() async throws {
        let selected = try load().filter { CaseSelection(globs: only).contains($0) }
        if list {
            for example in selected {
                let tags = example.tags.isEmpty ? "" : "  [\(example.tags.joined(separator: ", "))]"
                Terminal.print(printable("\(example.id): \(example.description)\(tags)"))
            }
            return
        }
        guard let url else { throw ValidationError("give the server's URL, as in http://localhost:8000, or --list") }
        let base = try Self.base(url)
        guard !selected.isEmpty else { throw ValidationError("no case matches --only \(only.joined(separator: " "))") }
        var settings = RunSettings(base: base)
        settings.image = image
        settings.outputURL = outputUrl.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        let client = HTTPClient()
        defer { client.close() }
        let start = Date()
        let results = await ConformanceRun(runner: CaseRunner(settings: settings, client: client), atOnce: jobs)
            .run(selected) { Terminal.print(printable($0.text, keepingNewlines: true)) }
        let report = ConformanceReport(
            results, base: settings.base, version: Poiesis.version, start: start, end: Date())
        let areWritten = [write(try report.json(), to: reportJson), write(report.junit(), to: reportJunit)]
        Terminal.print("\n\(report.summary) in \(Int(Date().timeIntervalSince(start).rounded())) s: \(report.shown)")
        if report.count(.fail) > 0 { throw ExitCode(1) }
        if report.count(.error) > 0 { throw ExitCode(2) }
        if areWritten.contains(false) { throw ExitCode(74) }
    }

    /// `localhost:8000` is taken for `http://localhost:8000`.
    private static func base(_ url: String) throws -> String {
        let full = url.contains("://") ? url : "http://" + url
        guard let parts = URLComponents(string: full), ["http", "https"].contains(parts.scheme?.lowercased()),
            parts.host?.isEmpty == false, parts.query == nil, parts.fragment == nil
        else {
            throw ValidationError("\(url) is no server's URL: write it as in http://localhost:8000")
        }
        return HTTPTransport.base(full)
    }

    private func load() throws -> [ConformanceCase] {
        do {
            return try (cases.isEmpty ? [try Self.standardCases()] : cases).flatMap(CaseLoader().load(folder:))
        } catch let error as ValidationError {
            throw error
        } catch {
            Terminal.error("\(error)")
            throw ExitCode(2)
        }
    }

    /// The cases that come with this program: beside it, as in a release's archive, or in the project's folder.
    private static func standardCases() throws -> String {
        let program = URL(filePath: Machine.programPath).deletingLastPathComponent()
        let candidates = ["conformance", "../conformance", "../share/poiesis/conformance"].map {
            program.appending(path: $0).standardized.path(percentEncoded: false)
        }
        guard let folder = candidates.first(where: FileManager.default.fileExists) else {
            throw ValidationError(
                "no cases came with this program (looked in \(candidates.joined(separator: ", "))): give --cases DIR")
        }
        return folder
    }

    /// False where it cannot be; what the run showed is not lost for that.
    private func write(_ data: Data, to file: String?) -> Bool {
        guard let file else { return true }
        do { try data.write(to: URL(filePath: file)) } catch {
            Terminal.error("the report \(file) cannot be written: \(error.localizedDescription)")
            return false
        }
        return true
    }
}
