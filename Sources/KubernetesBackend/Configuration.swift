package import KubernetesAPI
package import TaskCore

/// Everything that an operator says of the cluster and of the TaskPods in it. docs/reference/kubernetes.md has the keys.
package struct KubernetesConfiguration: Hashable, Sendable {
    /// The namespace of the TaskPods.
    package var namespace = "poiesis"
    /// The image with `poiesis` and `poiesis-exec` in `/usr/bin`: one pull for `trec`, `tif`, `tof` and `ack`.
    package var image: String
    /// `Always`, `IfNotPresent` or `Never`; nil leaves it to Kubernetes.
    package var imagePullPolicy: String?
    /// Secrets with logins of image registries, for our image and the executors'.
    package var imagePullSecrets: [String] = []
    /// The account whose token `trec` gets. Executors get no token.
    package var serviceAccount = "poiesis-trec"
    /// Seconds between a Pod's SIGTERM and SIGKILL; the shim gives a program 5 less.
    package var gracePeriod: Int64 = 30
    /// Added to Job, Pod and claim; our own win.
    package var labels: [String: String] = [:]
    /// Added to the Pod; our own win.
    package var annotations: [String: String] = [:]
    /// Variables of `trec`, `tif` and `tof`, such as a proxy's; no secrets.
    package var environment: [String: String] = [:]

    package var jobs = Jobs()
    package var workspace = Workspace()
    package var resources = Resources()
    package var secrets = Secrets()
    package var security = Security()
    package var scheduling = Scheduling()
    package var allowed = AllowedParameters()
    package var tags = Tags()
    /// Folders that `file` URLs reach, at the same path in `tif` and `tof`.
    package var fileRoots: [MountedVolume] = []
    /// Folders that every executor sees, read-only.
    package var referenceData: [MountedVolume] = []

    package init(image: String) { self.image = image }

    /// Jobs and what becomes of them.
    package struct Jobs: Hashable, Sendable {
        /// Most Jobs that exist at a time; other tasks wait as QUEUED.
        package var maximumLive = 1000
        /// Seconds after its end at which Kubernetes deletes a Job itself; nil leaves that to the controller.
        package var ttlSecondsAfterFinished: Int32?
        /// Seconds after which Kubernetes ends a Job, time in the queue included and outputs lost; nil for no limit.
        package var activeDeadlineSeconds: Int64?
        /// Kueue's LocalQueue; with one, Jobs start suspended.
        package var queue: String?
    }

    /// The disk of a task, in bytes.
    package struct Workspace: Hashable, Sendable {
        /// Up to this size an emptyDir of the node, above it a PersistentVolumeClaim; 0 makes all of them claims.
        package var largestEmptyDir: Int64 = 10_000_000_000
        /// Of a task that names no `disk_gb`.
        package var defaultSize: Int64 = 10_000_000_000
        /// Sizes are multiples of this.
        package var rounding: Int64 = 1_000_000_000
        /// Most that a task may ask for; nil for no limit.
        package var maximumSize: Int64?
        /// StorageClass of claims; nil takes the cluster's default.
        package var storageClass: String?
        /// `ReadWriteOncePod` where the storage offers it.
        package var accessMode = "ReadWriteOnce"
    }

    /// What containers ask for.
    package struct Resources: Hashable, Sendable {
        /// Cores of an executor whose task names none.
        package var defaultCPUCores = 1
        /// Memory of an executor whose task names none, in bytes.
        package var defaultMemory: Int64 = 2_000_000_000
        /// The least memory of an executor, in bytes: real clients ask for 2 MB.
        package var memoryFloor: Int64 = 256 << 20
        package var trec = Part(millicores: 10, memory: 64 << 20)
        package var tif = Part(millicores: 100, memory: 128 << 20)
        package var tof = Part(millicores: 100, memory: 128 << 20)
        package var ack = Part(millicores: 10, memory: 32 << 20)
        /// What the largest node can give to a Pod; a task that needs more is refused. Nil where nobody knows, as with autoscaling.
        package var largestNode: Capacity?
    }

    /// Requests of one of our own containers.
    package struct Part: Hashable, Sendable {
        /// Thousandths of a core.
        package var millicores: Int
        /// In bytes.
        package var memory: Int64
        /// In bytes; nil for none.
        package var memoryLimit: Int64?

        package init(millicores: Int, memory: Int64, memoryLimit: Int64? = nil) {
            self.millicores = millicores
            self.memory = memory
            self.memoryLimit = memoryLimit
        }
    }

    /// Names of Secrets of the namespace. Each is mounted as files, in the containers that need it and in no other.
    package struct Secrets: Hashable, Sendable {
        /// With the database's URL for the role `poiesis_recorder`; seen by `trec`.
        package var database = "poiesis-recorder"
        /// The entry of ``database`` that holds the URL.
        package var databaseKey = "url"
        /// With certificates in its entry `ca.crt`, which `trec`, `tif` and `tof` trust.
        package var certificates: String?
        /// Logins of storage; seen by `tif` and `tof`.
        package var storage: [StorageLogin] = []
        /// A token of the Pod's service account that storage takes for a login; seen by `tif` and `tof`.
        package var webIdentity: WebIdentity?
    }

    /// A Secret with a login of S3 storage: entries `access_key`, `secret_key` and, if wanted, `session_token`, `endpoint`, `region`
    /// and `path_style`, as the settings `s3.*`.
    package struct StorageLogin: Hashable, Sendable {
        package var secret: String
        /// What it is for: `https://ENDPOINT` or `s3://BUCKET`; nil for all that no other login is for.
        package var scope: String?

        package init(secret: String, scope: String? = nil) {
            self.secret = secret
            self.scope = scope
        }
    }

    /// A web identity: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
    package struct WebIdentity: Hashable, Sendable {
        package var audience = "sts.amazonaws.com"
        /// The role's ARN.
        package var role: String
        /// Seconds that a token is valid; Kubernetes takes 600 or more.
        package var expirationSeconds: Int64 = 3600

        package init(role: String) { self.role = role }
    }

    /// Rights of containers; https://kubernetes.io/docs/concepts/security/pod-security-standards/.
    package struct Security: Hashable, Sendable {
        package enum Profile: String, Hashable, Sendable, CaseIterable {
            /// `tif` and `tof` are user 0 with three capabilities, so that executors' files may belong to anybody.
            case baseline
            /// One user for the whole Pod.
            case restricted
        }
        package var profile = Profile.baseline
        /// User and group of `trec` and `ack`; with `restricted` of every container.
        package var runAsUser: Int64 = 65532
        /// Group that owns the volumes; only with `restricted`.
        package var fsGroup: Int64 = 65532
    }

    /// Which nodes run TaskPods.
    package struct Scheduling: Hashable, Sendable {
        package var nodeSelector: [String: String] = [:]
        package var tolerations: [Toleration] = []
        /// Added for tasks with `preemptible`.
        package var preemptibleTolerations: [Toleration] = []
        /// `kubernetes.io/arch` of the nodes; nil for any, where all images are made for all.
        package var architecture: String? = Self.ownArchitecture
        /// The label of nodes that a task's `zones` are compared with.
        package var zoneLabel = "topology.kubernetes.io/zone"
        package var runtimeClass: String?
        package var priorityClass: String?

        /// The architecture that this program was built for, in Kubernetes' words.
        package static var ownArchitecture: String? {
            #if arch(x86_64)
                "amd64"
            #elseif arch(arm64)
                "arm64"
            #else
                nil
            #endif
        }
    }

    /// What `backend_parameters` may set. Empty lists allow nothing.
    package struct AllowedParameters: Hashable, Sendable {
        /// Labels of nodes that `node_selector` may name.
        package var nodeSelectorKeys: Set<String> = []
        package var tolerations: [Toleration] = []
        package var runtimeClasses: Set<String> = []
        /// `trec` gets the token of the account that a task chooses: each needs the rights of ``serviceAccount``.
        package var serviceAccounts: Set<String> = []
        package var priorityClasses: Set<String> = []
        /// The resource that `gpus` counts.
        package var gpuResource = "nvidia.com/gpu"
        package var maximumGPUs = 0
        /// Most seconds of `walltime`; nil for no limit.
        package var maximumWalltime: Int64?
        /// User ids of `run_as_user` and group ids of `run_as_group`.
        package var userIDs: [ClosedRange<Int64>] = []
        package var groupIDs: [ClosedRange<Int64>] = []
    }

    /// Tags of tasks that become labels.
    package struct Tags: Hashable, Sendable {
        /// Keys of tags.
        package var keys: Set<String> = []
        /// Before the key, with a slash between.
        package var prefix = "tag.poiesis.io"
    }
}

/// Storage that is there already, at a path in containers.
package struct MountedVolume: Hashable, Sendable {
    package enum Source: Hashable, Sendable {
        /// A folder of every node.
        case hostPath(String)
        case nfs(server: String, path: String)
        /// A PersistentVolumeClaim of the namespace, and a folder of it.
        case claim(String, subPath: String?)
    }
    /// Absolute.
    package var path: String
    package var source: Source
    package var isWritable = false

    package init(path: String, source: Source, isWritable: Bool = false) {
        self.path = path
        self.source = source
        self.isWritable = isWritable
    }
}
