import Filer
import HTTPClient
import KubernetesAPI
import KubernetesBackend
import Logging
import TES
import TaskCore

/// What `api` and `tctl` share on Kubernetes: the operator's words and a client that speaks for this process.
struct ClusterParts {
    let configuration: KubernetesConfiguration
    let client: KubernetesClient
    private let logger: Logger

    /// - Parameter context: of the kubeconfig; nil takes its current one.
    init(_ composition: Composition, context: String? = nil) throws {
        let settings = composition.settings
        var configuration = try settings.kubernetes()
        configuration.environment.merge(settings.partVariables) { own, _ in own }
        self.configuration = configuration
        logger = composition.logger
        if settings.text("s3.access_key") != nil {
            logger.warning(
                "s3.access_key is not given to tasks' Pods: put the login into a Secret that kubernetes.secrets.storage names"
            )
        }
        var cluster: ClusterConfiguration
        do throws(ClusterConfigurationError) {
            cluster = try .find(environment: settings.variables, context: context)
        } catch { throw StartError("there is no cluster to use: \(error)") }
        cluster.namespace = configuration.namespace
        var options = KubernetesClient.Options()
        if let rate = try settings.integer("kubernetes.requests_per_second") {
            options.requestsPerSecond = Double(rate)
            options.burst = 2 * rate
        }
        client = KubernetesClient(cluster, http: composition.client, options: options)
    }

    /// URL prefixes of the storage that the Pods have logins for.
    var storage: [String] {
        configuration.secrets.storage.compactMap { login in
            guard let scope = login.scope, let known = try? S3Login("/\(login.secret)=\(scope)") else { return nil }
            return "\(known.scope)/"
        }
    }

    /// What a task asks of this cluster, for who takes it.
    var judge: @Sendable (TESTask) -> BackendJudgement {
        { [configuration] task in TaskRequirements(task, configuration: configuration).judgement }
    }

    /// Finds out at the start what would otherwise fail for ever: a cluster that refuses this process.
    func check() async throws {
        do throws(KubernetesError) {
            _ = try await client.list(Job.self, options: Self.first)
            _ = try await client.list(Pod.self, options: Self.first)
            _ = try await client.list(PersistentVolumeClaim.self, options: Self.first)
        } catch {
            switch error.refusal?.code {
            case 401?, 403?:
                throw StartError(
                    "\(error). The controller needs the rights that deploy/kubernetes/tctl.yaml gives in the namespace \(configuration.namespace)"
                )
            default: logger.warning("the cluster does not answer yet", metadata: ["reason": "\(error)"])
            }
        }
    }

    private static let first: ListOptions = {
        var options = ListOptions()
        options.limit = 1
        return options
    }()
}

extension Settings {
    /// Whether tasks run on a cluster.
    func isOnKubernetes() throws -> Bool { try choice("backend", ["container", "kubernetes"]) == "kubernetes" }

    /// Folders that `file` URLs reach in a task's Pod.
    func clusterFileRoots() throws -> [FileRoot] {
        try kubernetes().fileRoots.map { FileRoot(path: $0.path, isWritable: $0.isWritable) }
    }

    /// Settings that the parts of a Pod share with the server, as their variables. None is a secret.
    fileprivate var partVariables: [String: String] {
        var variables: [String: String] = [:]
        for key in [
            "outputs.missing", "vm_price_per_hour_usd", "log.level", "log.format", "s3.endpoint", "s3.region",
            "s3.path_style",
        ] {
            variables[Self.variable(key)] = text(key)
        }
        return variables
    }
}
