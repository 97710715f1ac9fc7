import ArgumentParser
import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import LocalSystem
import Logging
import Server
import ServiceLifecycle
import TaskCore
import TaskStore

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
        let address = try settings.text("kubernetes.listen").map {
            try ListenAddress($0, setting: "kubernetes.listen")
        }
        let database = try await Database(url: url, logger: logger)
        let store = try await database.store(composition)
        try await cluster.check()
        let controller = controller(cluster, store, limits, instance: try await store.instanceID(), logger)
        Terminal.print("controlling the namespace \(cluster.configuration.namespace)")
        var services: [any Service] = [controller, Maintenance(store: store, isOpen: false, logger: logger)]
        if let address { services.insert(monitoring(controller, store, address, logger), at: 0) }
        try await ServiceGroup.run(services, listensOn: address)
        await database.close()
        composition.client.close()
    }

    /// What a cluster and its operators ask of the controller.
    private func monitoring(
        _ controller: Controller, _ store: PostgresTaskStore, _ address: ListenAddress, _ logger: Logger
    ) -> any Service {
        var configuration = ServerConfiguration()
        configuration.host = address.host
        configuration.port = address.port
        configuration.version = Poiesis.version
        return MonitoringApplication.make(
            probes: [.database(store), Probe(name: "controller") { controller.problem }],
            gauges: {
                [
                    Gauge("poiesis_controller_leads", "Whether this replica leads.", controller.leads ? 1 : 0),
                    Gauge("poiesis_controller_submissions", "What it follows.", Int64(controller.followed)),
                    Gauge("process_resident_memory_bytes", "Memory of this process.", Machine.residentBytes),
                ]
            }, configuration: configuration, logger: logger,
            onReady: { port in Terminal.print("listening on http://\(address.urlHost):\(port)") })
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
