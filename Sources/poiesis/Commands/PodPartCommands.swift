import ArgumentParser
import Filer
import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import LocalSystem
import Logging
import Postgres
import TaskCore
import TaskStore
import UnixSignals

/// What the parts of a TaskPod have in common. The controller's Pods run them; a person rarely does.
private enum PodPart {
    static let hint = "A part of a task's Pod on Kubernetes; the controller makes Pods that run it."

    /// Ends as the part did, with its message where somebody outside the Pod can read it.
    static func exit(_ end: PartEnd) -> Never {
        // The kubelet makes the file; without it this is no Pod.
        if let file = FileHandle(forWritingAtPath: "/dev/termination-log") {
            try? file.write(contentsOf: Data(end.message.utf8))
        }
        if end.status != 0 { Terminal.error(end.message) }
        Foundation.exit(end.status)
    }

    /// As process 1 of a container a program without a handler ignores SIGTERM.
    static func endAtOnceWhenTold() { signal(SIGTERM) { _ in _exit(143) } }

    static func folder(_ path: String) throws -> Folder {
        do throws(FileError) { return try Folder(path) } catch {
            throw StartError("\(path) cannot be used: \(error). This command runs in a task's Pod")
        }
    }

    /// Its settings are the operator's: what is wrong with them is told where the controller reads it.
    static func filer(_ program: ProgramOptions, control: String, workspace: String) -> FilerPart {
        do {
            let settings = try program.settings([:])
            let composition = try Composition(
                settings: settings, logger: try settings.makeLogger(), roots: try settings.fileRoots(),
                closedFolders: []
            )
            return try FilerPart(
                folder: PodFolder(try folder(control)), workspace: try folder(workspace), filer: composition.filer)
        } catch { exit(PartEnd(1, "\(error)")) }
    }
}

struct TIFCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tif", abstract: "Stage a task's inputs.", discussion: PodPart.hint)

    @Option(help: "The Pod's control folder.")
    var control = PartPath.control
    @Option(help: "The task's volume.")
    var workspace = PartPath.workspace
    @Option(help: "The folder that holds poiesis-exec.")
    var shim = "/usr/bin"
    @OptionGroup var program: ProgramOptions

    func run() async throws {
        PodPart.endAtOnceWhenTold()
        try await StartError.exiting {
            let part = PodPart.filer(program, control: control, workspace: workspace)
            PodPart.exit(await part.stage(shim: try PodPart.folder(shim)))
        }
    }
}

struct TOFCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tof", abstract: "Upload a task's outputs.", discussion: PodPart.hint)

    @Option(help: "The Pod's control folder.")
    var control = PartPath.control
    @Option(help: "The task's volume.")
    var workspace = PartPath.workspace
    @OptionGroup var program: ProgramOptions

    func run() async throws {
        PodPart.endAtOnceWhenTold()
        try await StartError.exiting {
            PodPart.exit(await PodPart.filer(program, control: control, workspace: workspace).upload())
        }
    }
}

struct AckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ack", abstract: "Wait until a task's outcome is recorded, and end with it.",
        discussion: PodPart.hint)

    @Option(help: "The Pod's control folder.")
    var control = PartPath.control

    func run() async throws {
        PodPart.endAtOnceWhenTold()
        try await StartError.exiting {
            PodPart.exit(await PodFolder(try PodPart.folder(control)).acknowledge())
        }
    }
}

struct TRecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trec", abstract: "Record what happens in a task's Pod.",
        discussion: PodPart.hint + """


            Its variables: POIESIS_SUBMISSION (TASK/NUMBER), POIESIS_DATABASE_FILE (a file with the database's URL),
            POIESIS_GRACE_PERIOD (seconds), POIESIS_WALLTIME (seconds, of each executor), POD_NAME, POD_NAMESPACE, POD_UID,
            NODE_NAME.
            """)

    @Option(help: "The Pod's control folder.")
    var control = PartPath.control
    @OptionGroup var program: ProgramOptions

    func run() async throws {
        try await StartError.exiting { try await record() }
    }

    private func record() async throws {
        // First of all: until a handler is there, process 1 of a container ignores SIGTERM.
        let stop = StopFlag()
        let told = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let signals = Task { for await _ in told { stop.raise() } }
        defer { signals.cancel() }

        let settings = try program.settings([:])
        let variables = settings.variables
        func variable(_ name: String) throws -> String {
            guard let value = variables[name], !value.isEmpty else {
                throw StartError(usage: "the variable \(name) is missing: this command runs in a task's Pod")
            }
            return value
        }
        guard let submission = SubmissionKey(variable: try variable("POIESIS_SUBMISSION")) else {
            throw StartError(usage: "POIESIS_SUBMISSION must be TASK/NUMBER")
        }
        let logger = try settings.makeLogger()
        let pod = try variable("POD_NAME")
        let namespace = try variable("POD_NAMESPACE")

        // Ten thousand Pods must not hold ten thousand connections: each write has one of its own.
        let pool = PostgresPool(
            connections: 1, idleLimit: .milliseconds(100),
            url: try Settings.databaseURL(file: try variable("POIESIS_DATABASE_FILE")))
        let store = PostgresTaskStore(
            pool: pool, metadata: ["vm_price_per_hour_usd": settings.text("vm_price_per_hour_usd") ?? "0"],
            logger: logger, localClock: Composition.clock)
        var configuration = RecorderConfiguration()
        configuration.podGrace = variables["POIESIS_GRACE_PERIOD"].flatMap { Int($0) } ?? configuration.podGrace
        configuration.walltime = variables["POIESIS_WALLTIME"].flatMap { Int($0) }
        configuration.missingOutputsFail = try settings.choice("outputs.missing", ["warn", "fail"]) == "fail"
        configuration.metadata = ["pod": pod, "host": variables["NODE_NAME"] ?? "", "namespace": namespace]
        let client = HTTPClient()
        let cluster = cluster(variables, logger)
        let kubernetes = cluster.map { KubernetesClient($0, http: client) }
        let recorder = Recorder(
            submission: submission, pod: try variable("POD_UID"), folder: PodFolder(try PodPart.folder(control)),
            store: store, configuration: configuration, stop: stop, logger: logger,
            sight: {
                guard let kubernetes else { return nil }
                do throws(KubernetesError) {
                    return PodSight(try await kubernetes.get(Pod.self, pod, namespace: namespace))
                } catch {
                    logger.warning("this Pod could not be read", metadata: ["reason": "\(error)"])
                    return nil
                }
            })
        _ = await recorder.run()
        await pool.close()
        client.close()
    }

    /// How to read this Pod; a home folder's kubeconfig is somebody's, not the Pod's.
    private func cluster(_ variables: [String: String], _ logger: Logger) -> ClusterConfiguration? {
        do throws(ClusterConfigurationError) {
            if variables["KUBECONFIG"] != nil { return try .find(environment: variables) }
            return try .inCluster(environment: variables)
        } catch {
            logger.error(
                "this Pod cannot be read: which executors were killed stays unknown", metadata: ["reason": "\(error)"])
            return nil
        }
    }
}
