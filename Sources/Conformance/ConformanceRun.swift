import Foundation

/// Which cases are run: identifiers, files and tags against globs.
package struct CaseSelection: Sendable {
    private let wanted: [String]
    private let unwanted: [String]

    /// - Parameter globs: `*` and `?`; one that begins with `!` leaves cases out.
    package init(globs: [String]) {
        wanted = globs.filter { !$0.hasPrefix("!") }
        unwanted = globs.filter { $0.hasPrefix("!") }.map { String($0.dropFirst()) }
    }

    package func contains(_ example: ConformanceCase) -> Bool {
        let names = [example.id, example.file] + example.tags
        func matches(_ glob: String) -> Bool { names.contains { Self.matches(glob[...], $0[...]) } }
        return (wanted.isEmpty || wanted.contains(where: matches)) && !unwanted.contains(where: matches)
    }

    static func matches(_ glob: Substring, _ text: Substring) -> Bool {
        guard let first = glob.first else { return text.isEmpty }
        if first == "*" {
            return matches(glob.dropFirst(), text) || (!text.isEmpty && matches(glob, text.dropFirst()))
        }
        guard let head = text.first, first == "?" || first == head else { return false }
        return matches(glob.dropFirst(), text.dropFirst())
    }
}

/// Why a run sends nothing more: there seems to be no TES server.
package enum StopReason: Sendable {
    /// Nothing has been answered at all.
    case noAnswer
    /// So many cases have ended, and no answer had a 2xx status and was JSON.
    case noServer(cases: Int)
}

/// A whole run: several cases at once, results in the order of the cases.
package struct ConformanceRun: Sendable {
    private let runner: CaseRunner
    private let atOnce: Int
    /// Cases that may end before one answer is that of a TES server.
    private static let patience = 10

    /// - Parameter atOnce: how many cases run at the same time.
    package init(runner: CaseRunner, atOnce: Int) {
        self.runner = runner
        self.atOnce = max(1, atOnce)
    }

    /// The cases that were not run because there seems to be no server are skipped.
    ///
    /// - Parameter tell: called with each result as it comes, but for those.
    package func run(
        _ cases: [ConformanceCase], tell: (CaseResult) -> Void
    ) async -> (results: [CaseResult], stopped: StopReason?) {
        var results: [Int: CaseResult] = [:]
        var stopped: StopReason?
        await withTaskGroup(of: (Int, CaseResult).self) { group in
            var next = 0
            func startNext() {
                guard next < cases.count, stopped == nil else { return }
                let (index, example, runner) = (next, cases[next], runner)
                next += 1
                group.addTask { (index, await runner.run(example)) }
            }
            for _ in 0..<atOnce { startNext() }
            while let (index, result) = await group.next() {
                results[index] = result
                tell(result)
                stopped = stopped ?? Self.reasonToStop(results.values)
                startNext()
            }
        }
        let all = cases.enumerated().map { index, example in
            results[index]
                ?? CaseResult(
                    id: example.id, status: .skip, conformanceCase: example, reason: "not run: there is no TES server",
                    jobs: [], start: Date(), end: Date())
        }
        return (all, results.count < cases.count ? stopped : nil)
    }

    private static func reasonToStop(_ results: some Collection<CaseResult>) -> StopReason? {
        let tried = results.filter { !$0.jobs.isEmpty && $0.status != .error }
        let jobs = tried.flatMap(\.jobs)
        if jobs.contains(where: \.isServed) || tried.allSatisfy({ $0.status == .pass }) { return nil }
        if jobs.allSatisfy(\.answer.isEmpty) { return .noAnswer }
        return tried.count >= patience ? .noServer(cases: tried.count) : nil
    }
}

extension CaseResult {
    /// What a person reads of a case that did not pass; one line for the others.
    package var text: String {
        let head = "\(status.rawValue) \(id)"
        switch status {
        case .pass: return head
        case .skip: return head + ": " + reason
        case .fail, .warn, .error: break
        }
        guard let job = jobs.last, let check = job.checks.last else { return head }
        let description = conformanceCase.description
        var lines = [head + (description.isEmpty ? "" : ": " + description)]
        let request = job.request.split(separator: "\n", maxSplits: 1)
        lines.append("  \(request.first ?? "")  (job \(job.number), \(job.job.name))")
        if request.count > 1 { lines.append("  body: " + Self.short(String(request[1]))) }
        lines.append("  \(check.name): \(check.failure ?? "")")
        if !job.answer.isEmpty { lines.append("  answer: " + Self.short(job.answer)) }
        for sentence in job.sentences { lines.append("  \(sentence.place): “\(sentence.says)”") }
        return lines.joined(separator: "\n")
    }

    private static func short(_ text: String) -> String {
        text.count > 2000 ? text.prefix(2000) + "…" : text
    }
}
