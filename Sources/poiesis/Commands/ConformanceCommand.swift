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
              poiesis conformance http://localhost:8000 --only '!poiesis'
              poiesis conformance https://tes.example/ga4gh/tes/v1 --only '!poiesis' --only '!slow' --jobs 8
              poiesis conformance http://localhost:8000 --output-url s3://bucket/conformance --report-junit junit.xml
              poiesis conformance --list --only 'list_*'

            --only takes globs of cases (views/minimal), files (views) and tags (run); one that begins with ! leaves \
            cases out. The tag poiesis has what the specification leaves open: for another server, leave it out.

            Ends with 0 if no case failed (warnings and skipped cases do not count), 1 if one did, 2 if a case file \
            is in error, 64 for wrong usage.
            """)

    @Argument(help: "The server, or the base of its API where that is not /ga4gh/tes/v1.")
    var url: String?
    @Option(
        help: ArgumentHelp(
            "Folder with case files; can be repeated. Default: those that come with this program.", valueName: "dir"))
    var cases: [String] = []
    @Option(help: ArgumentHelp("Only cases, files or tags that match; can be repeated.", valueName: "glob"))
    var only: [String] = []
    @Option(help: "Image that tasks run in: anything with a POSIX shell.")
    var image = "alpine"
    @Option(
        help: ArgumentHelp(
            "URL below which tasks may write and read; without it the cases with outputs are skipped.",
            valueName: "url"))
    var outputUrl: String?
    @Option(
        help: ArgumentHelp(
            "Sent with every request, as in 'Authorization: Bearer TOKEN'; can be repeated.", valueName: "name: value"))
    var header: [String] = []
    @Option(help: ArgumentHelp("How many cases run at once.", valueName: "n"))
    var jobs = 4
    @Option(help: ArgumentHelp("Writes a report as the GA4GH test bed does.", valueName: "file"))
    var reportJson: String?
    @Option(help: ArgumentHelp("Writes a report as JUnit does.", valueName: "file"))
    var reportJunit: String?
    @Flag(help: "Lists the cases and runs none.")
    var list = false

    func run() async throws {
        guard jobs > 0 else { throw ValidationError("--jobs is 1 or more") }
        let cases = try load()
        let selected = cases.filter { CaseSelection(globs: only).contains($0) }
        if list {
            for example in selected {
                let tags = example.tags.isEmpty ? "" : "  [\(example.tags.joined(separator: ", "))]"
                Terminal.print(printable("\(example.id): \(example.description)\(tags)"))
            }
            return
        }
        guard let url else { throw ValidationError("give the server's URL, as in http://localhost:8000, or --list") }
        let base = try Self.base(url)
        for glob in only {
            let pattern = glob.hasPrefix("!") ? String(glob.dropFirst()) : glob
            guard !cases.contains(where: CaseSelection(globs: [pattern]).contains) else { continue }
            // A wanted one that is misspelt would make a run that checks nothing of it, and passes.
            if pattern == glob { throw ValidationError("no case, file or tag matches --only '\(glob)': see --list") }
            Terminal.error("--only '\(glob)' leaves nothing out: no case, file or tag matches it")
        }
        guard !selected.isEmpty else { throw ValidationError("no case matches --only \(only.joined(separator: " "))") }
        var settings = RunSettings(base: base)
        settings.headers = try header.map(Self.header)
        settings.image = image
        settings.outputURL = outputUrl.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        let client = HTTPClient(
            trusting: try AdditionalAuthorities.named(in: ProcessInfo.processInfo.environment))
        defer { client.close() }
        let start = Date()
        let (results, stopped) = await ConformanceRun(
            runner: CaseRunner(settings: settings, client: client), atOnce: jobs
        )
        .run(selected) { Terminal.print(printable($0.text, keepingNewlines: true)) }
        let report = ConformanceReport(
            results, base: settings.base, version: Poiesis.version, start: start, end: Date())
        let areWritten = [write(try report.json(), to: reportJson), write(report.junit(), to: reportJunit)]
        Terminal.print("\n\(report.summary) in \(Int(Date().timeIntervalSince(start).rounded())) s: \(report.shown)")
        advise(stopped, report)
        if report.count(.fail) > 0 || stopped != nil { throw ExitCode(1) }
        if report.count(.error) > 0 { throw ExitCode(2) }
        if areWritten.contains(false) { throw ExitCode(74) }
    }

    /// What a person should know who sees failures that are not the server's.
    private func advise(_ stopped: StopReason?, _ report: ConformanceReport) {
        switch stopped {
        case .noAnswer:
            Terminal.error("nothing answers at \(report.shown): is this the server's address, and is it running?")
        case .noServer(let cases):
            Terminal.error(
                """
                after \(cases) cases, no answer of \(report.shown) was JSON with a 2xx status: \
                is this the base of its API, and does it want credentials (--header)?
                """)
        case nil:
            if report.noTaskCompleted {
                Terminal.error("no task of any case completed: can the server run --image \(image)?")
            }
            let own = report.failures(tagged: "poiesis")
            if own > 0 {
                Terminal.error(
                    """
                    \(own) of the failed cases ask for what only Poiesis promises, not the specification: \
                    leave them out with --only '!poiesis'
                    """)
            }
        }
    }

    /// `Authorization: Bearer x`.
    private static func header(_ text: String) throws -> (name: String, value: String) {
        guard let match = text.wholeMatch(of: /([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)/) else {
            throw ValidationError("--header wants NAME: VALUE, as in 'Authorization: Bearer TOKEN'")
        }
        return (String(match.1), String(match.2))
    }

    /// `localhost:8000` is taken for `http://localhost:8000`.
    private static func base(_ url: String) throws -> String {
        let full = url.contains("://") ? url : "http://" + url
        guard let parts = URLComponents(string: full), ["http", "https"].contains(parts.scheme?.lowercased()),
            parts.host?.isEmpty == false, parts.query == nil, parts.fragment == nil
        else {
            throw ValidationError("\(withoutPasswords(url)) is no server's URL: write it as in http://localhost:8000")
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
