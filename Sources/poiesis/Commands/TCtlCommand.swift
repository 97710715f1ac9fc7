import ArgumentParser
import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import LocalSystem
import Logging
import ServiceLifecycle
import TaskCore
import TaskStore
import UnixSignals

struct TCtlCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tctl",
        abstract: "The controller on Kubernetes: makes each waiting task a Job, and ends what cannot end by itself.",
        discussion: """
            Examples:
              poiesis tctl --database postgresql://poiesis_tctl@db/poiesis --config poiesis.yaml
              KUBECONFIG=~/.kube/config poiesis tctl --context lab --config poiesis.yaml

            In a Pod it uses the Pod's service account. Of several on one database one works and the others stand by.
            The API for it is `poiesis api` with `backend: kubernetes`. docs/guides/kubernetes.md shows how to install both.
            """)

    @Option(help: "URL of the PostgreSQL database that the API uses.")
    var database: String?
    @Option(help: "Context of the kubeconfig. Default: its current one.")
    var context: String?
    @OptionGroup var program: ProgramOptions

    func run() async throws {
        try await StartError.exiting { try await control() }
    }

    private func control() async throws {
        let settings = try program.settings(["database": [database]])
        guard let url = try settings.databaseURL() else {
            throw StartError(usage: "give the database that the API uses with --database URL")
        }
        let logger = try settings.makeLogger()
        let composition = try Composition(settings: settings, logger: logger, roots: [], closedFolders: [])
        let cluster = try ClusterParts(composition, context: context)
        let limits = try settings.controllerLimits()
        let database = try await Database(url: url, logger: logger)
        let store = try await database.store(composition)
        try await cluster.check()
        let controller = controller(cluster, store, limits, instance: try await store.instanceID(), logger)
        Terminal.print("controlling the namespace \(cluster.configuration.namespace)")
        var group = ServiceGroupConfiguration(
            services: [
                .init(service: controller),
                .init(service: Maintenance(store: store, isOpen: false, logger: logger)),
            ], gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        group.maximumGracefulShutdownDuration = .seconds(20)
        try await ServiceGroup(configuration: group).run()
        await database.close()
        composition.client.close()
    }

    private func controller(
        _ cluster: ClusterParts, _ store: PostgresTaskStore, _ limits: ControllerLimits, instance: String,
        _ logger: Logger
    ) -> Controller {
        let configuration = cluster.configuration
        var options = Controller.Options(instance: instance)
        options.maxLiveJobs = configuration.jobs.maximumLive
        options.limits = limits
        // Installations may share a namespace: each has a Lease of its own.
        let election = LeaderElection(
            cluster.client,
            options: LeaderElection.Options(
                name: "poiesis-tctl-\(instance)", identity: "\(Machine.hostName)_\(UUID().uuidString.lowercased())"),
            now: { store.now() }, logger: logger)
        return Controller(
            client: cluster.client, store: store, election: election, options: options, logger: logger
        ) { submission throws(Cause) in
            do throws(TaskRefusal) {
                let pod = try TaskPod(submission, configuration: configuration, instance: instance)
                return SubmissionObjects(job: pod.job, volumeClaim: pod.volumeClaim)
            } catch { throw .cannotStart(reason: error.description) }
        }
    }
}
