import KubernetesAPI
import KubernetesBackend
import TaskCore
import Testing

@Suite("Kubernetes configuration")
struct ConfigurationTests {
    typealias Change = @Sendable (inout KubernetesConfiguration) -> Void

    @Test func theDefaultsHaveNoProblems() {
        #expect(KubernetesConfiguration(image: "poiesis").problems == [])
        #expect(GoldenCase.configuration(GoldenCase.everything).problems == [])
    }

    /// A change and the key that its problem begins with.
    static let mistakes: [(String, Change)] = [
        ("namespace", { $0.namespace = "Tasks" }), ("namespace", { $0.namespace = "a.b" }),
        ("image", { $0.image = "" }),
        ("image_pull_policy", { $0.imagePullPolicy = "Sometimes" }),
        ("image_pull_secrets", { $0.imagePullSecrets = ["a_b"] }), ("service_account", { $0.serviceAccount = "" }),
        ("grace_period", { $0.gracePeriod = 5 }), ("labels", { $0.labels = ["a": "b c"] }),
        ("labels", { $0.labels = ["poiesis.io/task": "x"] }), ("annotations", { $0.annotations = ["a b": "c"] }),
        ("environment", { $0.environment = ["1A": ""] }),
        ("environment", { $0.environment = ["AWS_SECRET_ACCESS_KEY": "x"] }),
        ("environment", { $0.environment = ["POIESIS_DATABASE": "x"] }),
        ("jobs.maximum_live", { $0.jobs.maximumLive = 0 }),
        ("jobs.ttl_seconds_after_finished", { $0.jobs.ttlSecondsAfterFinished = -1 }),
        ("jobs.active_deadline_seconds", { $0.jobs.activeDeadlineSeconds = 0 }),
        ("jobs.queue", { $0.jobs.queue = "A" }),
        ("workspace.largest_empty_dir", { $0.workspace.largestEmptyDir = -1 }),
        ("workspace.default_size", { $0.workspace.defaultSize = 0 }),
        ("workspace.rounding", { $0.workspace.rounding = 0 }),
        ("workspace.maximum_size", { $0.workspace.maximumSize = 1 }),
        ("workspace.storage_class", { $0.workspace.storageClass = "Fast" }),
        ("workspace.access_mode", { $0.workspace.accessMode = "ReadOnlyMany" }),
        ("resources.default_cpu_cores", { $0.resources.defaultCPUCores = 0 }),
        ("resources.default_memory", { $0.resources.defaultMemory = 0 }),
        ("resources.tof.memory_limit", { $0.resources.tof.memoryLimit = 1 }),
        ("resources.ack", { $0.resources.ack.memory = -1 }),
        ("secrets.database", { $0.secrets.database = "" }), ("secrets.database_key", { $0.secrets.databaseKey = "" }),
        ("secrets.certificates", { $0.secrets.certificates = "/etc/ca" }),
        ("secrets.storage", { $0.secrets.storage = [.init(secret: "a", scope: "minio.example")] }),
        ("secrets.storage", { $0.secrets.storage = [.init(secret: "a"), .init(secret: "b")] }),
        ("secrets.web_identity", { $0.secrets.webIdentity = .init(role: "") }),
        (
            "secrets.web_identity.expiration",
            {
                $0.secrets.webIdentity = .init(role: "r")
                $0.secrets.webIdentity?.expirationSeconds = 60
            }
        ),
        ("security.run_as_user", { $0.security.runAsUser = 0 }), ("security.fs_group", { $0.security.fsGroup = 0 }),
        ("scheduling.node_selector", { $0.scheduling.nodeSelector = ["a b": ""] }),
        ("scheduling.zone_label", { $0.scheduling.zoneLabel = "" }),
        ("scheduling.runtime_class", { $0.scheduling.runtimeClass = "" }),
        ("scheduling.priority_class", { $0.scheduling.priorityClass = "A" }),
        ("allowed.node_selector_keys", { $0.allowed.nodeSelectorKeys = ["a=b"] }),
        ("allowed.maximum_gpus", { $0.allowed.maximumGPUs = -1 }),
        ("allowed.gpu_resource", { $0.allowed.gpuResource = "gpu" }),
        ("allowed.maximum_walltime", { $0.allowed.maximumWalltime = 0 }),
        ("allowed.runtime_classes", { $0.allowed.runtimeClasses = ["A"] }),
        ("allowed.service_accounts", { $0.allowed.serviceAccounts = ["A"] }),
        ("allowed.priority_classes", { $0.allowed.priorityClasses = ["A"] }),
        ("allowed.user_ids and allowed.group_ids", { $0.allowed.userIDs = [-1...5] }),
        ("tags.prefix", { $0.tags.prefix = "poiesis.io" }), ("tags.keys", { $0.tags.keys = ["a b"] }),
        ("file_roots", { $0.fileRoots = [volume("/usr")] }),
        ("file_roots", { $0.fileRoots = [volume("/etc/poiesis/x")] }),
        ("file_roots", { $0.fileRoots = [volume("/a,b")] }), ("file_roots", { $0.fileRoots = [volume("data")] }),
        ("file_roots", { $0.fileRoots = [volume("/a:rw")] }),
        ("file_roots", { $0.fileRoots = [volume("/a"), volume("/a")] }),
        (
            "file_roots",
            {
                $0.fileRoots = [MountedVolume(path: "/a", source: .hostPath("/a"))]
                $0.security.profile = .restricted
            }
        ),
        ("reference_data", { $0.referenceData = [volume("/lib64")] }),
        ("reference_data", { $0.referenceData = [volume("/.poiesis/bin")] }),
        ("reference_data", { $0.referenceData = [volume("/a", isWritable: true)] }),
        ("reference_data", { $0.referenceData = [volume("/a/../b")] }),
    ]

    private static func volume(_ path: String, isWritable: Bool = false) -> MountedVolume {
        MountedVolume(path: path, source: .claim("data", subPath: nil), isWritable: isWritable)
    }

    @Test(arguments: mistakes.indices)
    func eachMistakeHasOneProblemThatNamesItsKey(_ index: Int) {
        let (key, change) = Self.mistakes[index]
        let problems = GoldenCase.configuration(change).problems
        #expect(!problems.isEmpty, "\(key)")
        for problem in problems { #expect(problem.hasPrefix("kubernetes.\(key) "), "\(problem)") }
    }

    // MARK: Texts

    @Test(arguments: [
        ("/refs=hostPath:/srv/refs", MountedVolume(path: "/refs", source: .hostPath("/srv/refs"))),
        (
            "/refs/=nfs:files.example:/export:ro",
            MountedVolume(path: "/refs", source: .nfs(server: "files.example", path: "/export"))
        ),
        (
            "/r=nfs:fd00::1:/export:rw",
            MountedVolume(path: "/r", source: .nfs(server: "fd00::1", path: "/export"), isWritable: true)
        ),
        ("/out=pvc:results:rw", MountedVolume(path: "/out", source: .claim("results", subPath: nil), isWritable: true)),
        ("/out=pvc:results/a/b", MountedVolume(path: "/out", source: .claim("results", subPath: "a/b"))),
    ])
    func volumesAreReadFromText(_ text: String, _ volume: MountedVolume) {
        #expect(MountedVolume(text: text) == volume)
    }

    @Test(arguments: [
        "", "/refs", "refs=pvc:a", "/refs=", "/refs=pvc:", "/refs=pvc:/a", "/refs=pvc:a/", "/refs=pvc:a/../b",
        "/refs=a",
        "/refs=hostPath:srv", "/refs=hostPath:/a/../b", "/refs=nfs:/export", "/refs=nfs:server", "/refs=nfs::/export",
        "/refs=disk:/dev/sda", "/a/../b=pvc:a",
    ])
    func otherTextIsNoVolume(_ text: String) { #expect(MountedVolume(text: text) == nil) }

    @Test(arguments: [
        ("a", Toleration(key: "a", operator: "Exists")),
        ("example.org/a:NoExecute", Toleration(key: "example.org/a", operator: "Exists", effect: "NoExecute")),
        ("a=b:NoSchedule", Toleration(key: "a", operator: "Equal", value: "b", effect: "NoSchedule")),
        ("a=", Toleration(key: "a", operator: "Equal", value: "")),
    ])
    func tolerationsAreReadFromText(_ text: String, _ toleration: Toleration) {
        #expect(Toleration(text: text) == toleration)
        #expect(toleration.text == text)
    }

    @Test(arguments: ["", ":NoSchedule", "=b", "a:Never", "a=b=c", "a:NoSchedule:x", "a b", "a=b c"])
    func otherTextIsNoToleration(_ text: String) { #expect(Toleration(text: text) == nil) }

    @Test func storageLoginsAreReadFromText() {
        typealias Login = KubernetesConfiguration.StorageLogin
        #expect(Login(text: "aws") == Login(secret: "aws"))
        #expect(Login(text: "m=https://minio.example:9000") == Login(secret: "m", scope: "https://minio.example:9000"))
        #expect(Login(text: "m=s3://results") == Login(secret: "m", scope: "s3://results"))
        for text in ["", "M", "m=", "m=s3://", "m=results", "=s3://a", "m=s3://a,b", "m=s3://a/b", "m=https://a/b"] {
            #expect(Login(text: text) == nil)
        }
    }

    @Test func idsAreReadFromText() {
        typealias Allowed = KubernetesConfiguration.AllowedParameters
        #expect(Allowed.ids("0") == 0...0)
        #expect(Allowed.ids("1000-1999") == 1000...1999)
        for text in ["", "-", "-1", "1-", "2-1", "1-2-3", "root"] { #expect(Allowed.ids(text) == nil, "\(text)") }
    }

    // MARK: Names

    @Test func labelsAreWhatKubernetesTakes() {
        for text in ["", "a", "A.b_c-9", String(repeating: "x", count: 63)] {
            #expect(KubernetesNames.isLabelValue(text), "\(text)")
        }
        for text in ["-a", "a.", "a b", "ü", "a/b", "a\n", String(repeating: "x", count: 64)] {
            #expect(!KubernetesNames.isLabelValue(text), "\(text)")
        }
        for text in ["a", "example.org/a", "a.b/C_d"] { #expect(KubernetesNames.isLabelKey(text), "\(text)") }
        for text in ["", "/a", "a/", "a/b/c", "Example.org/a", "a..b/c"] {
            #expect(!KubernetesNames.isLabelKey(text), "\(text)")
        }
        for text in ["a", "a-1"] { #expect(KubernetesNames.isDNSLabel(text), "\(text)") }
        for text in ["", "a.b", "A", "-a", "a-"] { #expect(!KubernetesNames.isDNSLabel(text), "\(text)") }
    }

    @Test func quantitiesLoseNothing() {
        let quantities: [(Int64, String)] = [
            (0, "0"), (1, "1"), (1000, "1000"), (1024, "1Ki"), (1_500_000, "1500000"), (2_000_000, "2M"),
            (1 << 20, "1Mi"), (1 << 30, "1Gi"),
            (10_000_000_000, "10G"), (.max, "9223372036854775807"),
        ]
        for (bytes, text) in quantities { #expect(KubernetesNames.quantity(bytes) == text) }
        #expect(KubernetesNames.quantity(millicores: 10) == "10m")
        #expect(KubernetesNames.quantity(millicores: 2000) == "2")
    }
}
