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
    var answer = ""
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
        var run = CaseRun(runner: self, example: example)
        return await run.result()
    }

    /// Everything that changes while one case runs.
    private struct CaseRun {
        let runner: CaseRunner
        let example: ConformanceCase
        var variables: Variables
        var jobs: [JobResult] = []
        /// Tasks of this case that were not seen to end.
        var open: Set<String> = []

        init(runner: CaseRunner, example: ConformanceCase) {
            self.runner = runner
            self.example = example
            let random = String(UInt64.random(in: 0..<(1 << 48)), radix: 16)
            var values: [String: JSONNode] = [
                "image": .string(runner.settings.image),
                "unique": .string(String(repeating: "0", count: 12 - random.count) + random),
            ]
            values["output_url"] = runner.settings.outputURL.map { .string($0) }
            variables = Variables(values)
            for (name, value) in example.variables { variables[name] = variables.fill(value) }
        }

        mutating func result() async -> CaseResult {
            let start = Date()
            func ended(_ status: CaseResult.Status, _ reason: String = "", _ jobs: [JobResult]) -> CaseResult {
                CaseResult(
                    id: example.id, status: status, conformanceCase: example, reason: reason, jobs: jobs, start: start,
                    end: Date())
            }
            let missing = example.requires.filter { variables[$0] == nil }
            if !missing.isEmpty {
                let options = missing.map { "--" + $0.replacing("_", with: "-") }.joined(separator: ", ")
                return ended(.skip, "needs \(options)", [])
            }
            for (index, job) in example.jobs.enumerated() {
                var result = JobResult(job: job, number: index + 1, start: Date(), end: Date(), checks: [])
                let outcome = await perform(job, &result)
                result.end = Date()
                jobs.append(result)
                switch outcome {
                case .goesOn: continue
                case .stops: return ended(.pass, "", jobs)
                case .skips(let reason):
                    await cancelOpen()
                    return ended(.skip, reason, jobs)
                case .isInError:
                    await cancelOpen()
                    return ended(.error, "", jobs)
                case .failed:
                    await cancelOpen()
                    return ended((job.level ?? example.level) == .must ? .fail : .warn, "", jobs)
                }
            }
            return ended(.pass, "", jobs)
        }

        private enum Outcome {
            case goesOn, stops, failed, isInError
            case skips(String)
        }

        /// One check: noted, and false where it did not hold.
        private func check(
            _ name: String, _ description: String, _ result: inout JobResult, _ sentences: [Sentence] = [],
            _ body: () throws(Mismatch) -> Void
        ) -> Bool {
            var check = CheckResult(name: name, description: description, start: Date(), end: Date())
            do throws(Mismatch) { try body() } catch { check.failure = error.message }
            check.end = Date()
            result.checks.append(check)
            if check.failure != nil {
                let own = sentences.isEmpty ? result.job.sentences : sentences
                result.sentences = own.isEmpty ? example.sentences : own
            }
            return check.failure == nil
        }

        /// Sends one request, and makes the checks of conformance/SYNTAX.md in their order.
        private mutating func perform(_ job: CaseJob, _ result: inout JobResult) async -> Outcome {
            var request = HTTPRequest(job.operation, url(job))
            var headers = ["accept": "application/json"]
            var bodyText: String?
            if let raw = job.rawBody {
                bodyText = variables.fill(raw).plainText
            } else if let body = job.requestBody {
                let text = Self.body(body, variables)
                bodyText = text
                let isJSON = check("request_body_json_validation", "The request's body is JSON", &result) {
                    () throws(Mismatch) in
                    if JSONNode(json: Array(text.utf8)) == nil {
                        throw Mismatch(
                            message: "\(job.place): the request's body is no JSON: the case file is in error")
                    }
                }
                if !isJSON {
                    result.request = "\(job.operation) \(shown(request.url))\n\(text)"
                    return .isInError
                }
            }
            if let bodyText {
                headers["content-type"] = "application/json"
                request.body = .bytes(Array(bodyText.utf8))
            }
            for header in job.headers {
                let value = variables.fill(header.value)
                headers[header.name.lowercased()] = value == .null ? nil : value.plainText
            }
            request.headers = headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            result.request = "\(job.operation) \(shown(request.url))" + (bodyText.map { "\n" + $0 } ?? "")

            let polling = job.polling
            let interval = seconds(polling?.interval, 0.5)
            let timeout = seconds(polling?.timeout, 300)
            let deadline = ContinuousClock.now + .seconds(timeout)
            var response: HTTPResponse
            var document: JSONNode?
            var pollingFailure: String?
            while true {
                do throws(HTTPError) {
                    response = try await runner.client.send(request)
                } catch {
                    _ = check("status_code", "The server answers", &result) { () throws(Mismatch) in
                        throw Mismatch(message: "no answer: \(error)")
                    }
                    return .failed
                }
                document = JSONNode(json: response.body)
                result.answer = "\(response.status) " + String(decoding: response.body.prefix(4096), as: UTF8.self)
                note(job, document, response.status)
                guard polling != nil, Self.status(response.status, job) != nil,
                    let ending = ending(job, document)
                else { break }
                if ending.isOver {
                    pollingFailure = ending.failure
                    break
                }
                if ContinuousClock.now >= deadline {
                    pollingFailure = "after \(timeout) s the task is still \(ending.state)"
                    break
                }
                try? await Task.sleep(for: .seconds(interval))
            }

            let status = response.status
            let isRight = check("status_code", "The answer's status is right", &result) { () throws(Mismatch) in
                guard Self.status(status, job) == nil else { return }
                let wanted = job.statuses.map(\.pattern).joined(separator: " or ")
                throw Mismatch(message: "expected status \(wanted), found \(status)")
            }
            if !isRight { return .failed }
            if Self.status(status, job)?.stops == true { return .stops }
            if job.checksSchema, (200..<300).contains(status), let answer = schema(job) {
                let isMinimal = isMinimal(job)
                let fits = check("response_schema_validation", "The answer fits its schema", &result) {
                    () throws(Mismatch) in
                    guard let document else { throw Mismatch(message: "the answer is no JSON") }
                    try runner.schema.check(document, answer, isMinimal: isMinimal)
                }
                if !fits { return .failed }
            }
            if polling != nil {
                let ended = check("polling", "The task came to a right state in time", &result) { () throws(Mismatch) in
                    if let pollingFailure { throw Mismatch(message: pollingFailure) }
                }
                if !ended { return .failed }
            }
            for condition in job.conditions {
                do throws(Mismatch) {
                    try Assertion(node: variables.fill(condition)).judge(document, headers: response.headers)
                } catch { return .skips(error.message) }
            }
            for (index, filter) in job.filters.enumerated() {
                let filled = variables.fill(filter)
                let holds = check("filter-\(index + 1)", filled["path"]?.plainText ?? "", &result) {
                    () throws(Mismatch) in
                    guard let document else { throw Mismatch(message: "the answer is no JSON") }
                    try Assertion.judge(filter: filled, document)
                }
                if !holds { return .failed }
            }
            for (index, expectation) in job.expectations.enumerated() {
                let assertion = Assertion(node: variables.fill(expectation))
                let holds = check("expect-\(index + 1)", assertion.node.json, &result, assertion.sentences) {
                    () throws(Mismatch) in
                    try assertion.judge(document, headers: response.headers)
                }
                if !holds { return .failed }
            }
            for (name, path) in job.storage {
                var found: JSONNode?
                let isThere = check("storage_vars", "\(path) is there", &result) { () throws(Mismatch) in
                    found = document.flatMap { Assertion.stored(variables.fill(path), in: $0) }
                    if found == nil { throw Mismatch(message: "\(path): expected a value, found nothing") }
                }
                if !isThere { return .failed }
                variables[name] = found
            }
            return .goesOn
        }

        /// A URL as it may be shown: without a password.
        private func shown(_ url: String) -> String { url.replacing(/\/\/[^\/@]*@/, with: "//") }

        private func seconds(_ given: JSONNode?, _ usual: Double) -> Double {
            let value = given.flatMap { Double(variables.fill($0).plainText) } ?? usual
            return value.isFinite ? min(max(value, 0), 86400) : usual
        }

        // MARK: Requests

        private static func body(_ body: JSONNode, _ variables: Variables) -> String {
            guard let text = body.text else { return variables.fill(body).json }
            if let whole = variables.whole(text) { return whole.text ?? whole.json }
            return variables.fill(text, .insideJSON)
        }

        private func url(_ job: CaseJob) -> String {
            var own = variables
            for parameter in job.pathParameters { own[parameter.name] = variables.fill(parameter.value) }
            var path = job.endpoint
            var start = runner.settings.base
            if path.hasPrefix("{server}") {
                path = String(path.dropFirst("{server}".count))
                let parts = URLComponents(string: start)
                start =
                    "\(parts?.scheme ?? "http")://\(parts?.percentEncodedHost ?? "")\(parts?.port.map { ":\($0)" } ?? "")"
            }
            let query = parameters(job).map { percentEncoded($0.name) + "=" + percentEncoded($0.value) }
            return start + own.fill(path, .percentEncoded) + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        }

        private func parameters(_ job: CaseJob) -> [(name: String, value: String)] {
            (variables.fill(job.query).items ?? []).flatMap { $0.members ?? [] }.flatMap { member in
                (member.value.items ?? [member.value]).map { value in
                    (member.name, value == .null ? "" : value.plainText)
                }
            }
        }

        private func isMinimal(_ job: CaseJob) -> Bool {
            let view = parameters(job).last { $0.name == "view" }?.value ?? ""
            return view.isEmpty || view.uppercased() == "MINIMAL"
        }

        private func schema(_ job: CaseJob) -> JSONNode? {
            var own = variables
            for parameter in job.pathParameters { own[parameter.name] = variables.fill(parameter.value) }
            return runner.schema.schema(method: job.operation, path: own.fill(job.endpoint, .percentEncoded))
        }

        private static func status(_ status: Int, _ job: CaseJob) -> (pattern: String, stops: Bool)? {
            job.statuses.first { $0.pattern == String(status) }
                ?? job.statuses.first { $0.pattern.hasSuffix("xx") && $0.pattern.first == String(status).first }
        }

        // MARK: Tasks

        private static let ends: Set = ["COMPLETE", "EXECUTOR_ERROR", "SYSTEM_ERROR", "CANCELED", "PREEMPTED"]

        /// Whether polling is over, and why that is wrong; nil where the answer has no state.
        private func ending(_ job: CaseJob, _ document: JSONNode?) -> (isOver: Bool, state: String, failure: String?)? {
            guard let state = document?["state"]?.text else { return (true, "", "the answer has no state") }
            if job.checksCancel {
                let isOver = Self.ends.contains(state)
                return (
                    isOver, state, isOver && state != "CANCELED" ? "the task ended in \(state), expected CANCELED" : nil
                )
            }
            guard let until = job.polling?.until else { return (Self.ends.contains(state), state, nil) }
            let wanted = (variables.fill(until).items ?? []).compactMap(\.text)
            if wanted.contains(state) { return (true, state, nil) }
            let isOver = Self.ends.contains(state)
            let names = wanted.joined(separator: " or ")
            return (isOver, state, isOver ? "the task ended in \(state), expected \(names)" : nil)
        }

        /// Remembers which tasks this case made, and which of them have ended.
        private mutating func note(_ job: CaseJob, _ document: JSONNode?, _ status: Int) {
            guard (200..<300).contains(status), let id = document?["id"]?.text else { return }
            if job.operation == "POST", job.endpoint == "/tasks" { open.insert(id) }
            if let state = document?["state"]?.text, Self.ends.contains(state) { open.remove(id) }
        }

        private mutating func cancelOpen() async {
            for id in open {
                let request = HTTPRequest("POST", "\(runner.settings.base)/tasks/\(percentEncoded(id)):cancel")
                _ = try? await runner.client.send(request)
            }
            open = []
        }
    }
}
