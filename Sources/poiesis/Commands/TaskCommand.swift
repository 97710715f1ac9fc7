import ArgumentParser
import Foundation
import HTTPClient
import TES
import TaskCore

struct TaskCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "task",
        abstract: "Works with the tasks of a server.",
        discussion: """
            Examples:
              poiesis task create task.json --wait
              poiesis task list --state RUNNING --tag project=demo
              poiesis task logs 0190d3f2-…

            The server is http://127.0.0.1:8000 unless --url or POIESIS_URL names another.
            """,
        subcommands: [
            TaskCreateCommand.self, TaskGetCommand.self, TaskListCommand.self, TaskWatchCommand.self,
            TaskLogsCommand.self,
            TaskCancelCommand.self,
        ])
}

/// The server that a command talks to.
struct ServerOptions: ParsableArguments {
    @Option(help: "The server's URL. Default: $POIESIS_URL, else http://127.0.0.1:8000.")
    var url: String?

    /// Runs a command's work with a transport; what goes wrong is told in one sentence.
    func withTransport(_ body: (HTTPTransport) async throws -> Void) async throws {
        let environment = ProcessInfo.processInfo.environment
        let server = url ?? environment["POIESIS_URL"] ?? "http://127.0.0.1:8000"
        do {
            let client = HTTPClient(trusting: try AdditionalAuthorities.named(in: environment))
            try await body(HTTPTransport(url: server, client: client))
            client.close()
        } catch let code as ExitCode {
            throw code
        } catch ClientError.refused(let status, let body) {
            Terminal.error(Self.explain(status, body))
            throw ExitCode(status == 400 ? 65 : 69)
        } catch {
            Terminal.error("\(error)")
            throw ExitCode(69)
        }
    }

    /// The server's own words, one line for each problem.
    static func explain(_ status: Int, _ body: String) -> String {
        struct Answer: Decodable {
            struct Problem: Decodable {
                var pointer: String
                var message: String
            }
            var message: String
            var errors: [Problem]?
        }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(body.utf8)) else {
            return "the server answered with status \(status): \(body)"
        }
        // Of one problem the message says everything.
        let problems = (answer.errors ?? []).filter { !answer.message.hasSuffix($0.message) }
        return ([answer.message] + problems.map { "  \($0.pointer) \($0.message)" }).joined(separator: "\n")
    }
}

struct TaskCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Submits a task and prints its id.",
        discussion: """
            Examples:
              poiesis task create task.json
              make-task | poiesis task create - --wait

            With --wait it ends as `poiesis run` does: 0 for COMPLETE, the failing executor's exit code, 70, or 130.
            """)

    @Argument(help: "The task's JSON document, or - for standard input.")
    var file: String
    @Flag(help: "Wait for the task's end.")
    var wait = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let document: [UInt8]
        do { document = try readInput(file) } catch {
            Terminal.error("\(error)")
            throw ExitCode(64)
        }
        try await server.withTransport { transport in
            let answer = try await transport.send(method: "POST", path: "/tasks", query: [], body: document)
            let id = try answer.decode(TESCreateTaskResponse.self).id
            Terminal.print(printable(id))
            guard wait else { return }
            let task = try await waitForEnd(id, TESClient(transport: transport)) { Terminal.error($0) }
            for line in TaskEnd.lines(task) { Terminal.error(line) }
            let code = TaskEnd.exitCode(task)
            if code == 0 { return }
            if task.logs?.last?.logs.isEmpty == false {
                Terminal.error("what it wrote: poiesis task logs \(printable(id))")
            }
            throw ExitCode(code)
        }
    }
}

/// Polls a task until it has ended, and tells what is new.
func waitForEnd(_ id: String, _ client: TESClient, _ tell: (String) -> Void) async throws -> TESTask {
    var progress = TaskProgress()
    var task = try await client.getTask(.init(id: id, view: .full))
    while true {
        for line in progress.lines(task) { tell(line) }
        if task.state?.isTerminal == true { return task }
        try await Task.sleep(for: .milliseconds(200))
        task = try await patiently(tell) { try await client.getTask(.init(id: id, view: .full)) }
    }
}

/// Asks again for a minute while the server is away: the task runs on meanwhile.
private func patiently<Value>(_ tell: (String) -> Void, _ ask: () async throws -> Value) async throws -> Value {
    var tries = 0
    while true {
        do { return try await ask() } catch let error {
            switch error {
            case is StartError where tries < 60, ClientError.refused(503, _) where tries < 60:
                if tries == 0 { tell("\(error); asking again for a minute") }
            default: throw error
            }
        }
        tries += 1
        try await Task.sleep(for: .seconds(1))
    }
}

struct TaskGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Prints a task as JSON.",
        discussion: """
            Example:
              poiesis task get 0190d3f2-… --view BASIC
            """)

    @Argument(help: "The task's id.") var id: String
    @Option(help: "MINIMAL, BASIC or FULL.") var view = "FULL"
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let chosen = TESView(rawValue: view.uppercased())
        guard chosen.position >= 0 else { throw ValidationError("--view must be \(TESView.choices), not \(view)") }
        try await server.withTransport { transport in
            let task = try await TESClient(transport: transport).getTask(.init(id: id, view: chosen))
            Terminal.print(json: JSONWriter.encode(task, viewLevel: chosen.position))
        }
    }
}

struct TaskListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists tasks, newest first.",
        discussion: """
            Examples:
              poiesis task list --state QUEUED
              poiesis task list --tag project=demo --tag user --name-prefix align --output json
            """)

    enum Output: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(help: "Only tasks in this state.") var state: String?
    @Option(help: "Only tasks with this tag, KEY=VALUE or KEY; can be repeated.") var tag: [String] = []
    @Option(help: "Only tasks whose name starts so.") var namePrefix: String?
    @Option(help: "At most so many tasks.") var limit = 256
    @Option(help: "table or json.") var output = Output.table
    @OptionGroup var server: ServerOptions

    func run() async throws {
        let wanted = state.map { TESState(rawValue: $0.uppercased()) }
        if let wanted, wanted.position < 0 { throw ValidationError("--state must be \(TESState.choices)") }
        guard limit > 0 else { throw ValidationError("--limit must be above 0") }
        try await server.withTransport { transport in
            let tasks = try await collect(TESClient(transport: transport), wanted)
            switch output {
            case .json:
                Terminal.print(json: JSONWriter.encode(TESListTasksResponse(tasks: tasks)))
            case .table: printTable(tasks)
            }
        }
    }

    private func collect(_ client: TESClient, _ wanted: TESState?) async throws -> [TESTask] {
        let pairs = tag.map {
            $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        }
        var tasks: [TESTask] = []
        var token: String?
        repeat {
            let page = try await client.listTasks(
                .init(
                    namePrefix: namePrefix, state: wanted, tagKey: pairs.map { $0[0] },
                    tagValue: pairs.map { $0.count > 1 ? $0[1] : "" },
                    pageSize: Int32(min(256, limit - tasks.count)), pageToken: token, view: .basic))
            tasks += page.tasks
            token = page.nextPageToken.flatMap { $0.isEmpty ? nil : $0 }
        } while token != nil && tasks.count < limit
        return tasks
    }

    private func printTable(_ tasks: [TESTask]) {
        let rows =
            [["ID", "STATE", "CREATED", "NAME"]]
            + tasks.map { task in
                [task.id ?? "", task.state?.rawValue ?? "", task.creationTime?.text ?? "", task.name ?? ""].map {
                    printable($0)
                }
            }
        let widths = (0..<4).map { column in rows.map { $0[column].count }.max() ?? 0 }
        for row in rows {
            let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            Terminal.print(cells.joined(separator: "  ").trimmingCharacters(in: .whitespaces))
        }
    }
}

struct TaskWatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follows a task until its end.",
        discussion: """
            Example:
              poiesis task watch 0190d3f2-…
            """)

    @Argument(help: "The task's id.") var id: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withTransport { transport in
            let task = try await waitForEnd(id, TESClient(transport: transport)) { Terminal.print($0) }
            for line in TaskEnd.lines(task) { Terminal.print(line) }
        }
    }
}

struct TaskLogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Prints what a task's executors wrote, and the system's lines.",
        discussion: """
            Example:
              poiesis task logs 0190d3f2-…
            """)

    @Argument(help: "The task's id.") var id: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withTransport { transport in
            let task = try await TESClient(transport: transport).getTask(.init(id: id, view: .full))
            for (number, log) in (task.logs ?? []).enumerated() {
                for (position, executor) in log.logs.enumerated() {
                    let name = "attempt \(number + 1), executor \(position)"
                    for (stream, text) in [("stdout", executor.stdout), ("stderr", executor.stderr)] {
                        guard let text, !text.isEmpty else { continue }
                        Terminal.print("== \(name), \(stream)")
                        Terminal.pass(text.hasSuffix("\n") ? text : text + "\n")
                    }
                }
                for line in log.systemLogs ?? [] { Terminal.print("== system: " + printable(line)) }
            }
        }
    }
}

struct TaskCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancels tasks; one that has ended stays as it is.",
        discussion: """
            Example:
              poiesis task cancel 0190d3f2-… 0190d3f3-…
            """)

    @Argument(help: "The tasks' ids.") var ids: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withTransport { transport in
            var failed = false
            for id in ids {
                do {
                    _ = try await TESClient(transport: transport).cancelTask(.init(id: id))
                } catch ClientError.refused(let status, let body) {
                    Terminal.error(ServerOptions.explain(status, body))
                    failed = true
                }
            }
            if failed { throw ExitCode(69) }
        }
    }
}
