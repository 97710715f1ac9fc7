import Foundation
import HTTPClient
import TES

/// Everything that changes while one case runs.
struct CaseRun {
    private let settings: RunSettings
    private let client: HTTPClient
    private let schema: AnswerSchema
    private let example: ConformanceCase
    private var variables: Variables
    private var jobs: [JobResult] = []
    /// Tasks of this case that were not seen to end.
    private var open: Set<String> = []

    init(_ example: ConformanceCase, settings: RunSettings, client: HTTPClient, schema: AnswerSchema) {
        self.settings = settings
        self.client = client
        self.schema = schema
        self.example = example
        let random = String(UInt64.random(in: 0..<(1 << 48)), radix: 16)
        var values: [String: JSONNode] = [
            "image": .string(settings.image),
            "unique": .string(String(repeating: "0", count: 12 - random.count) + random),
        ]
        values["output_url"] = settings.outputURL.map { .string($0) }
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

    /// The last answer to a job's request.
    private struct Answer {
        var response: HTTPResponse
        /// Nil where it is no JSON.
        var document: JSONNode?
        /// Why polling did not come to a right end.
        var pollingFailure: String?
    }

    /// Sends one request, and makes the checks of conformance/SYNTAX.md in their order.
    private mutating func perform(_ job: CaseJob, _ result: inout JobResult) async -> Outcome {
        guard let request = request(job, &result) else { return .isInError }
        guard let answer = await answer(to: request, job, &result), hasRightStatus(answer, job, &result) else {
            return .failed
        }
        if Self.status(answer.response.status, job)?.stops == true { return .stops }
        guard fitsSchema(answer, job, &result), endedPolling(answer, job, &result) else { return .failed }
        if let reason = reasonToSkip(answer, job) { return .skips(reason) }
        guard passesFilters(answer, job, &result), meetsExpectations(answer, job, &result),
            keepsValues(of: answer, job, &result)
        else { return .failed }
        return .goesOn
    }

    // MARK: Exchanges

    /// What is sent; nil where `request_body` is no JSON.
    private func request(_ job: CaseJob, _ result: inout JobResult) -> HTTPRequest? {
        var request = HTTPRequest(job.operation, url(job))
        request.timeout = .seconds(300)
        let text = job.rawBody.map { variables.fill($0).plainText } ?? job.requestBody.map(body)
        result.request = "\(job.operation) \(shown(request.url))" + (text.map { "\n" + $0 } ?? "")
        if job.rawBody == nil, let text {
            let isJSON = check("request_body_json_validation", "The request's body is JSON", &result) {
                () throws(Mismatch) in
                if JSONNode(json: Array(text.utf8)) == nil {
                    throw Mismatch(message: "\(job.place): the request's body is no JSON: the case file is in error")
                }
            }
            if !isJSON { return nil }
        }
        var headers = ["accept": "application/json"]
        if let text {
            headers["content-type"] = "application/json"
            request.body = .bytes(Array(text.utf8))
        }
        for header in settings.headers { headers[header.name.lowercased()] = header.value }
        for header in job.headers {
            let value = variables.fill(header.value)
            headers[header.name.lowercased()] = value == .null ? nil : value.plainText
        }
        request.headers = headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        return request
    }

    /// Sends the request, again and again where the job polls; nil where a request had no answer.
    private mutating func answer(to request: HTTPRequest, _ job: CaseJob, _ result: inout JobResult) async -> Answer? {
        let interval = seconds(job.polling?.interval, 0.5)
        let timeout = seconds(job.polling?.timeout, 300)
        let deadline = ContinuousClock.now + .seconds(timeout)
        while true {
            var answer: Answer
            do throws(HTTPError) {
                let response = try await client.send(request)
                answer = Answer(response: response, document: JSONNode(json: response.body))
            } catch {
                _ = check("status_code", "The server answers", &result) { () throws(Mismatch) in
                    throw Mismatch(message: "no answer: \(error)")
                }
                return nil
            }
            let response = answer.response
            result.answer = "\(response.status) " + String(decoding: response.body.prefix(4096), as: UTF8.self)
            if (300..<400).contains(response.status), let place = response.header("location") {
                result.answer += "(location: \(shown(place)))"
            }
            if (200..<300).contains(response.status), answer.document != nil { result.isServed = true }
            if answer.document?["state"]?.text == "COMPLETE" { result.hasCompleted = true }
            note(job, answer.document, response.status)
            guard job.polling != nil, Self.status(response.status, job) != nil else { return answer }
            let ending = ending(job, answer.document)
            if ending.isOver {
                answer.pollingFailure = ending.failure
                return answer
            }
            if ContinuousClock.now >= deadline {
                answer.pollingFailure = "after \(timeout) s the task is still \(ending.state)"
                return answer
            }
            try? await Task.sleep(for: .seconds(interval))
        }
    }

    // MARK: Checks

    private func hasRightStatus(_ answer: Answer, _ job: CaseJob, _ result: inout JobResult) -> Bool {
        let status = answer.response.status
        return check("status_code", "The answer's status is right", &result) { () throws(Mismatch) in
            guard Self.status(status, job) == nil else { return }
            let wanted = job.statuses.map(\.pattern).joined(separator: " or ")
            throw Mismatch(message: "expected status \(wanted), found \(status)")
        }
    }

    private func fitsSchema(_ answer: Answer, _ job: CaseJob, _ result: inout JobResult) -> Bool {
        guard job.checksSchema, (200..<300).contains(answer.response.status), let wanted = schema(job) else {
            return true
        }
        let isMinimal = isMinimal(job)
        return check("response_schema_validation", "The answer fits its schema", &result) { () throws(Mismatch) in
            guard let document = answer.document else { throw Mismatch(message: "the answer is no JSON") }
            try schema.check(document, wanted, isMinimal: isMinimal)
        }
    }

    private func endedPolling(_ answer: Answer, _ job: CaseJob, _ result: inout JobResult) -> Bool {
        guard job.polling != nil else { return true }
        return check("polling", "The task came to a right state in time", &result) { () throws(Mismatch) in
            if let failure = answer.pollingFailure { throw Mismatch(message: failure) }
        }
    }

    private func reasonToSkip(_ answer: Answer, _ job: CaseJob) -> String? {
        for condition in job.conditions {
            do throws(Mismatch) {
                try Assertion(node: variables.fill(condition))
                    .judge(answer.document, headers: answer.response.headers)
            } catch { return error.message }
        }
        return nil
    }

    private func passesFilters(_ answer: Answer, _ job: CaseJob, _ result: inout JobResult) -> Bool {
        for (index, filter) in job.filters.enumerated() {
            let filled = variables.fill(filter)
            let holds = check("filter-\(index + 1)", filled["path"]?.plainText ?? "", &result) {
                () throws(Mismatch) in
                guard let document = answer.document else { throw Mismatch(message: "the answer is no JSON") }
                try Assertion.judge(filter: filled, document)
            }
            if !holds { return false }
        }
        return true
    }

    private func meetsExpectations(_ answer: Answer, _ job: CaseJob, _ result: inout JobResult) -> Bool {
        for (index, expectation) in job.expectations.enumerated() {
            let assertion = Assertion(node: variables.fill(expectation))
            let holds = check("expect-\(index + 1)", assertion.node.json, &result, assertion.sentences) {
                () throws(Mismatch) in
                try assertion.judge(answer.document, headers: answer.response.headers)
            }
            if !holds { return false }
        }
        return true
    }

    private mutating func keepsValues(of answer: Answer, _ job: CaseJob, _ result: inout JobResult) -> Bool {
        for (name, path) in job.storage {
            let found = answer.document.flatMap { Assertion.stored(variables.fill(path), in: $0) }
            let isThere = check("storage_vars", "\(path) is there", &result) { () throws(Mismatch) in
                if found == nil { throw Mismatch(message: "\(path): expected a value, found nothing") }
            }
            if !isThere { return false }
            variables[name] = found
        }
        return true
    }

    // MARK: Requests

    /// A URL as it may be shown: without a password.
    private func shown(_ url: String) -> String { url.replacing(/\/\/[^\/@]*@/, with: "//") }

    private func seconds(_ given: JSONNode?, _ usual: Double) -> Double {
        let value = given.flatMap { Double(variables.fill($0).plainText) } ?? usual
        return value.isFinite ? min(max(value, 0), 86400) : usual
    }

    private func body(_ body: JSONNode) -> String {
        guard let text = body.text else { return variables.fill(body).json }
        if let whole = variables.whole(text) { return whole.text ?? whole.json }
        return variables.fill(text, .insideJSON)
    }

    private func url(_ job: CaseJob) -> String {
        var own = variables
        for parameter in job.pathParameters { own[parameter.name] = variables.fill(parameter.value) }
        var path = job.endpoint
        var start = settings.base
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
        return schema.schema(method: job.operation, path: own.fill(job.endpoint, .percentEncoded))
    }

    private static func status(_ status: Int, _ job: CaseJob) -> (pattern: String, stops: Bool)? {
        job.statuses.first { $0.pattern == String(status) }
            ?? job.statuses.first { $0.pattern.hasSuffix("xx") && $0.pattern.first == String(status).first }
    }

    // MARK: Tasks

    private static let ends: Set = ["COMPLETE", "EXECUTOR_ERROR", "SYSTEM_ERROR", "CANCELED", "PREEMPTED"]

    /// Whether polling is over, and why that is wrong.
    private func ending(_ job: CaseJob, _ document: JSONNode?) -> (isOver: Bool, state: String, failure: String?) {
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
            var request = HTTPRequest("POST", "\(settings.base)/tasks/\(percentEncoded(id)):cancel")
            request.headers = settings.headers
            _ = try? await client.send(request)
        }
        open = []
    }
}
