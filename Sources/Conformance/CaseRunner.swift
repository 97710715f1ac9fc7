import Foundation
package import HTTPClient
import Synchronization
import TES

/// How one check of a job ended.
struct CheckResult: Sendable {
    var name: String
    var description: String
    var failure: String?
    var start: Date
    var end: Date
}

/// One job that was run: its last exchange and its checks, of which the last may have failed.
struct JobResult: Sendable {
    var job: CaseJob
    var number: Int
    var start: Date
    var end: Date
    var checks: [CheckResult]
    var request = ""
    /// Empty where there was none.
    var answer = ""
    /// Whether an answer had a 2xx status and was JSON, as a TES server's are.
    var isServed = false
    /// Whether an answer showed a task that is COMPLETE.
    var hasCompleted = false
    /// The sentences that are broken where a check failed.
    var sentences: [Sentence] = []
}

/// How one case ended.
package struct CaseResult: Sendable {
    package enum Status: String, Sendable {
        case pass = "PASS"
        case warn = "WARN"
        case fail = "FAIL"
        case skip = "SKIP"
        /// The case file is wrong, not the server.
        case error = "ERROR"
    }

    package var id: String
    package var status: Status
    var conformanceCase: ConformanceCase
    /// Why it was skipped.
    var reason = ""
    var jobs: [JobResult]
    var start: Date
    var end: Date
}

/// What a run needs beside its cases.
package struct RunSettings: Sendable {
    /// With the base path, without a slash at its end.
    package var base: String
    package var image = "alpine"
    /// A URL below which tasks may write and read.
    package var outputURL: String?
    /// Sent with every request, such as credentials. A job's own go before them; no report shows them.
    package var headers: [(name: String, value: String)] = []

    package init(base: String) { self.base = base }
}

/// Runs cases against a server, and judges raw exchanges.
package struct CaseRunner: Sendable {
    private let settings: RunSettings
    private let client: HTTPClient
    private let schema: AnswerSchema

    package init(settings: RunSettings, client: HTTPClient) {
        self.settings = settings
        self.client = client
        schema = AnswerSchema(json: TESDescription.json)
    }

    /// Runs one case to its end, or to the first check that does not hold.
    package func run(_ example: ConformanceCase) async -> CaseResult {
        var run = CaseRun(example, settings: settings, client: client, schema: schema)
        return await run.result()
    }
}
