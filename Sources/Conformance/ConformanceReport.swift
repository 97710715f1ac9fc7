package import Foundation

/// The reports of a run: the GA4GH test bed's JSON, and JUnit's XML.
package struct ConformanceReport: Sendable {
    private let results: [CaseResult]
    private let base: String
    private let version: String
    private let start: Date
    private let end: Date

    /// - Parameter version: this program's.
    package init(_ results: [CaseResult], base: String, version: String, start: Date, end: Date) {
        self.results = results
        self.base = base
        self.version = version
        self.start = start
        self.end = end
    }

    /// The server's URL without a password.
    package var shown: String { base.replacing(/\/\/[^\/@]*@/, with: "//") }

    package func count(_ status: CaseResult.Status) -> Int { results.count { $0.status == status } }

    /// Whether cases failed because their tasks came to no good end, and no other task came to one.
    package var noTaskCompleted: Bool {
        let jobs = results.flatMap(\.jobs)
        return jobs.contains { $0.checks.last?.name == "polling" && $0.checks.last?.failure != nil }
            && !jobs.contains(where: \.hasCompleted)
    }

    /// How many cases with this tag failed.
    package func failures(tagged tag: String) -> Int {
        results.count { $0.status == .fail && $0.conformanceCase.tags.contains(tag) }
    }

    /// `3 passed, 1 failed`, without what did not happen.
    package var summary: String {
        let parts: [(CaseResult.Status, String)] = [
            (.pass, "passed"), (.warn, "warned"), (.fail, "failed"), (.error, "in error"), (.skip, "skipped"),
        ]
        let counts = parts.filter { count($0.0) > 0 }.map { "\(count($0.0)) \($0.1)" }
        return counts.isEmpty ? "no case was run" : counts.joined(separator: ", ")
    }

    /// The cases of each file, in the order in which they come.
    private var files: [(name: String, results: [CaseResult])] {
        var files: [(name: String, results: [CaseResult])] = []
        for result in results {
            if files.last?.name == result.conformanceCase.file {
                files[files.count - 1].results.append(result)
            } else {
                files.append((result.conformanceCase.file, [result]))
            }
        }
        return files
    }

    // MARK: JSON

    private struct Summary: Encodable {
        var unknown = 0
        var passed = 0
        var warned = 0
        var failed = 0
        var skipped = 0

        mutating func add(_ status: String) {
            switch status {
            case "PASS": passed += 1
            case "WARN": warned += 1
            case "FAIL": failed += 1
            case "SKIP": skipped += 1
            default: unknown += 1
            }
        }

        static func + (left: Summary, right: Summary) -> Summary {
            Summary(
                unknown: left.unknown + right.unknown, passed: left.passed + right.passed,
                warned: left.warned + right.warned, failed: left.failed + right.failed,
                skipped: left.skipped + right.skipped)
        }

        var status: String {
            failed > 0 ? "FAIL" : warned > 0 ? "WARN" : passed > 0 ? "PASS" : skipped > 0 ? "SKIP" : "UNKNOWN"
        }
    }

    private struct Report: Encodable {
        var schemaName = "ga4gh-testbed-report"
        var schemaVersion = "0.1.0"
        var testbedName = "Poiesis conformance"
        var testbedVersion: String
        var testbedDescription = "Cases for servers of the GA4GH Task Execution Service API"
        var platformName: String
        var platformDescription: String
        var inputParameters: [String: String] = [:]
        var startTime: String
        var endTime: String
        var status: String
        var summary: Summary
        var phases: [Phase]
    }

    private struct Phase: Encodable {
        var phaseName: String
        var phaseDescription: String
        var startTime: String
        var endTime: String
        var status: String
        var summary: Summary
        var tests: [Test]
    }

    private struct Test: Encodable {
        var testName: String
        var testDescription: String
        var startTime: String
        var endTime: String
        var status: String
        var summary: Summary
        var message: String
        var cases: [Case]
    }

    private struct Case: Encodable {
        var caseName: String
        var caseDescription: String
        var logMessages: [String]
        var startTime: String
        var endTime: String
        var status: String
        var message: String
    }

    package func json() throws -> Data {
        let phases = files.map(phase)
        let summary = phases.map(\.summary).reduce(Summary(), +)
        let report = Report(
            testbedVersion: version, platformName: shown, platformDescription: "TES server at \(shown)",
            startTime: Self.time(start), endTime: Self.time(end), status: summary.status, summary: summary,
            phases: phases)
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .withoutEscapingSlashes, .sortedKeys]
        return try encoder.encode(report)
    }

    private func phase(_ file: (name: String, results: [CaseResult])) -> Phase {
        let tests = file.results.flatMap(tests)
        let summary = tests.map(\.summary).reduce(Summary(), +)
        return Phase(
            phaseName: file.name + ".yml",
            phaseDescription: file.results.first?.conformanceCase.fileDescription ?? "",
            startTime: Self.time(file.results.map(\.start).min() ?? start),
            endTime: Self.time(file.results.map(\.end).max() ?? end), status: summary.status, summary: summary,
            tests: tests)
    }

    private func tests(_ result: CaseResult) -> [Test] {
        let name = result.conformanceCase.name
        // What was skipped half way is one test, that was not made.
        let jobs = result.status == .skip ? [] : result.jobs
        var tests = jobs.map { job in
            let cases = job.checks.map { check -> Case in
                let status =
                    check.failure == nil ? "PASS" : result.status == .warn ? "WARN" : "FAIL"
                let sentences = job.sentences.map { "\($0.place): \($0.says)" }
                return Case(
                    caseName: check.name, caseDescription: check.description,
                    logMessages: check.failure == nil
                        ? ["No logs for success"] : ["Request: " + job.request, "Answer: " + job.answer],
                    startTime: Self.time(check.start), endTime: Self.time(check.end), status: status,
                    message: ([check.failure ?? ""] + (check.failure == nil ? [] : sentences))
                        .filter { !$0.isEmpty }.joined(separator: "\n"))
            }
            var summary = Summary()
            for example in cases { summary.add(example.status) }
            return Test(
                testName: name.map { "\($0)/\(job.job.name)" } ?? job.job.name,
                testDescription: job.job.description, startTime: Self.time(job.start), endTime: Self.time(job.end),
                status: summary.status, summary: summary, message: "", cases: cases)
        }
        if result.status == .skip {
            var summary = Summary()
            summary.add("SKIP")
            tests.append(
                Test(
                    testName: name ?? result.id, testDescription: result.conformanceCase.description,
                    startTime: Self.time(result.start), endTime: Self.time(result.end), status: "SKIP",
                    summary: summary, message: result.reason, cases: []))
        }
        return tests
    }

    private static func time(_ date: Date) -> String {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        return formatter.string(from: date)
    }

    // MARK: JUnit

    package func junit() -> Data {
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        text +=
            "<testsuites name=\"conformance\" tests=\"\(results.count)\" failures=\"\(count(.fail))\" errors=\"\(count(.error))\" skipped=\"\(count(.skip))\" time=\"\(Self.seconds(start, end))\">\n"
        for file in files {
            let failures = file.results.count { $0.status == .fail }
            let errors = file.results.count { $0.status == .error }
            let skipped = file.results.count { $0.status == .skip }
            text +=
                "  <testsuite name=\"\(Self.xml(file.name))\" tests=\"\(file.results.count)\" failures=\"\(failures)\" errors=\"\(errors)\" skipped=\"\(skipped)\">\n"
            for result in file.results {
                text +=
                    "    <testcase classname=\"\(Self.xml(file.name))\" name=\"\(Self.xml(result.conformanceCase.name ?? result.id))\" time=\"\(Self.seconds(result.start, result.end))\">\n"
                switch result.status {
                case .pass: break
                case .skip: text += "      <skipped message=\"\(Self.xml(result.reason))\"/>\n"
                case .warn: text += "      <system-out>\(Self.xml(result.text))</system-out>\n"
                case .fail, .error:
                    let message = result.jobs.last?.checks.last?.failure ?? ""
                    let element = result.status == .fail ? "failure" : "error"
                    text +=
                        "      <\(element) message=\"\(Self.xml(message))\">\(Self.xml(result.text))</\(element)>\n"
                }
                text += "    </testcase>\n"
            }
            text += "  </testsuite>\n"
        }
        return Data((text + "</testsuites>\n").utf8)
    }

    private static func seconds(_ start: Date, _ end: Date) -> String {
        let milliseconds = Int((end.timeIntervalSince(start) * 1000).rounded())
        return "\(Double(milliseconds) / 1000)"
    }

    /// XML 1.0 has no control characters but tab and line ends.
    private static func xml(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\t", "\n", "\r": result.unicodeScalars.append(scalar)
            case _ where scalar.value < 32 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
