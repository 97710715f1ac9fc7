import Foundation
import TaskService

/// Runs one command as a task of a TES server, and shows what became of it.
@main
struct TESClientCommand {
    private static let help = """
        Runs one command as a task of a TES server, waits for its end and shows what became of it.

        usage: tes-client [--server URL] [--tag KEY=VALUE] --image IMAGE COMMAND [ARGUMENT]...

          --server URL      the server; http://127.0.0.1:8000 where it is left out
          --tag KEY=VALUE   the tag that the task gets, and by which tasks are listed in the end; by default made-by=tes-client
          --image IMAGE     the container image

        It ends with 0 when the task is COMPLETE, with 1 when it ended otherwise, and with 2 when the server gave no answer.

        example: tes-client --image debian:12 echo hello
        """

    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.isEmpty || arguments.first == "--help" || arguments.first == "-h" { return print(help) }
        guard let options = Options(arguments) else { stop("see tes-client --help", status: 64) }
        let session = Session(options)
        guard session.problems.isEmpty else {
            stop(session.problems.map(\.description).joined(separator: "; "), status: 64)
        }
        do {
            let end = try await session.run()
            if end.state != .complete { exit(1) }
        } catch ClientError.refused(let status, let body) {
            stop("the server at \(options.server) answers \(status): \(body)", status: 2)
        } catch {
            stop("the server at \(options.server) gives no answer: \(error)", status: 2)
        }
    }

    private static func stop(_ message: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data("tes-client: \(message)\n".utf8))
        exit(status)
    }
}

/// What the command line says.
struct Options {
    var server = "http://127.0.0.1:8000"
    var tag = (key: "made-by", value: "tes-client")
    var image = ""
    var command: [String] = []

    /// Nil where it cannot be understood.
    init?(_ arguments: [String]) {
        var rest = arguments[...]
        while let option = rest.first, option.hasPrefix("--") {
            guard let value = rest.dropFirst().first else { return nil }
            switch option {
            case "--server": server = value
            case "--image": image = value
            case "--tag":
                let halves = value.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard halves.count == 2 else { return nil }
                tag = (String(halves[0]), String(halves[1]))
            default: return nil
            }
            rest = rest.dropFirst(2)
        }
        command = Array(rest)
    }
}

/// One task from its creation to its end.
struct Session {
    private let options: Options
    private let client: TaskServiceClient
    private let task: ServiceTask

    init(_ options: Options) {
        self.options = options
        client = TaskServiceClient(transport: URLSessionTransport(server: options.server))
        task = ServiceTask(
            name: "tes-client", executors: [ServiceExecutor(image: options.image, command: options.command)],
            tags: [options.tag.key: options.tag.value])
    }

    /// What the specification has against the task; seen without a server.
    var problems: [RequestProblem] {
        var problems = RequestProblems()
        task.validate(&problems, at: "")
        return problems.told
    }

    /// The task at its end.
    func run() async throws -> ServiceTask {
        let id = try await client.createTask(.init(body: task)).id
        print("created \(id)")
        let end = try await waitForEnd(of: id)
        show(end)
        try await list()
        return end
    }

    private func waitForEnd(of id: String) async throws -> ServiceTask {
        while true {
            let state = try await client.getTask(.init(id: id, view: .minimal)).state
            switch state {
            case nil, .unknown, .queued, .initializing, .running, .paused, .canceling:
                try await Task.sleep(for: .milliseconds(500))
            default: return try await client.getTask(.init(id: id, view: .full))
            }
        }
    }

    private func show(_ task: ServiceTask) {
        print("state: \(task.state?.rawValue ?? "none")")
        if let time = task.creationTime { print("created at \(time.text)") }
        for (index, executor) in (task.logs?.last?.logs ?? []).enumerated() {
            print("executor \(index): exit code \(executor.exitCode)")
            print(executor.stdout ?? "", terminator: "")
        }
    }

    /// Every task with the tag, page by page.
    private func list() async throws {
        print("tasks tagged \(options.tag.key)=\(options.tag.value):")
        var page: String?
        repeat {
            let answer = try await client.listTasks(
                .init(tagKey: [options.tag.key], tagValue: [options.tag.value], pageToken: page))
            for task in answer.tasks { print("  \(task.id ?? "") \(task.state?.rawValue ?? "")") }
            page = answer.nextPageToken
        } while page?.isEmpty == false
    }
}
