import Filer
import KubernetesAPI
import KubernetesBackend
import TaskCore

extension Settings {
    /// Those of docs/reference/kubernetes.md, by their form.
    static let kubernetesKeys: Set<String> = {
        let words = [
            "listen", "namespace", "image",
            "image_pull_policy", "service_account", "grace_period", "requests_per_second",
            "jobs.maximum_live", "jobs.keep_failed", "jobs.ttl_seconds_after_finished",
            "jobs.active_deadline_seconds", "jobs.queue",
            "workspace.largest_empty_dir", "workspace.default_size", "workspace.rounding", "workspace.maximum_size",
            "workspace.storage_class", "workspace.access_mode",
            "resources.default_cpu_cores", "resources.default_memory", "resources.memory_floor",
            "resources.largest_node.cpu_cores", "resources.largest_node.memory",
            "secrets.database", "secrets.database_key", "secrets.certificates", "secrets.web_identity.role",
            "secrets.web_identity.audience", "secrets.web_identity.expiration",
            "security.profile", "security.run_as_user", "security.fs_group",
            "scheduling.architecture", "scheduling.zone_label", "scheduling.runtime_class",
            "scheduling.priority_class", "tags.prefix",
            "allowed.maximum_gpus", "allowed.gpu_resource", "allowed.maximum_walltime",
        ]
        let parts = ["trec", "tif", "tof", "ack"].flatMap { part in
            ["millicores", "memory", "memory_limit"].map { "resources.\(part).\($0)" }
        }
        let limits = ControllerLimits.keys.map { "limits.\($0.key)" }
        let lists = [
            "image_pull_secrets", "secrets.storage", "scheduling.tolerations", "scheduling.preemptible_tolerations",
            "tags.keys", "file_roots", "reference_data", "allowed.node_selector_keys", "allowed.tolerations",
            "allowed.runtime_classes", "allowed.service_accounts", "allowed.priority_classes", "allowed.user_ids",
            "allowed.group_ids",
        ]
        let maps = ["labels", "annotations", "environment", "scheduling.node_selector"]
        let all = words + parts + limits + lists.map { $0 + "[]" } + maps.map { $0 + "{}" }
        return Set(all.map { "kubernetes." + $0 })
    }()

    /// The cluster and the TaskPods in it; complains of all that is wrong with them at once.
    func kubernetes() throws -> KubernetesConfiguration {
        guard let image = text("kubernetes.image") else {
            throw StartError(
                usage: "kubernetes.image is missing: name the image that holds poiesis and poiesis-exec")
        }
        let configuration = try KubernetesReader(settings: self).configuration(image: image)
        guard configuration.problems.isEmpty else {
            throw StartError(usage: configuration.problems.joined(separator: "\n"))
        }
        try checkTokenService(configuration)
        return configuration
    }

    /// An executor that runs as root can change which addresses the names of its whole Pod have: a token that is sent without TLS would be its.
    private func checkTokenService(_ configuration: KubernetesConfiguration) throws {
        guard configuration.secrets.webIdentity != nil, configuration.security.profile != .restricted else { return }
        let variables = configuration.environment
        let service =
            variables["AWS_ENDPOINT_URL_STS"] ?? variables["AWS_ENDPOINT_URL"] ?? variables["POIESIS_S3_ENDPOINT"]
            ?? text("s3.endpoint") ?? variables["AWS_ENDPOINT_URL_S3"]
        guard let service, let endpoint = S3Endpoint(service), endpoint.scheme == "http" else { return }
        throw StartError(
            usage:
                "kubernetes.secrets.web_identity would send its token to \(endpoint) without TLS, where executors of the same Pod that run as root can get it: name an https service by AWS_ENDPOINT_URL_STS in kubernetes.environment, or set kubernetes.security.profile: restricted"
        )
    }

    /// How long things may last on the cluster.
    func controllerLimits() throws -> ControllerLimits {
        let reader = KubernetesReader(settings: self)
        var limits = ControllerLimits()
        for (key, kind) in ControllerLimits.keys {
            if reader.text("limits." + key) == "none" {
                limits.obstacles[kind] = nil
            } else {
                try reader.set("limits." + key, &limits.obstacles[kind])
            }
        }
        limits.obstacles[.recorderEnds] = limits.obstacles[.recorder]
        try reader.set("jobs.keep_failed", &limits.keepFailed)
        return limits
    }
}

extension ControllerLimits {
    /// What an operator may set, by its key.
    fileprivate static let keys: [(key: String, kind: Obstacle.Kind)] = [
        ("image", .image), ("configuration", .configuration), ("recorder", .recorder), ("mount", .mount),
        ("volume_claim", .volumeClaim), ("node_selector", .nodeSelector), ("capacity", .capacity),
        ("admission", .admission),
    ]
}

/// Reads keys below `kubernetes.`.
private struct KubernetesReader {
    let settings: Settings

    func text(_ key: String) -> String? { settings.text("kubernetes." + key) }

    func list(_ key: String) -> [String] { settings.list("kubernetes." + key) }

    private func set(_ key: String, _ value: inout String) { value = text(key) ?? value }

    private func set(_ key: String, _ value: inout String?) { value = text(key) ?? value }

    func set<Number: FixedWidthInteger>(_ key: String, _ value: inout Number) throws {
        value = try number(key) ?? value
    }

    func set<Number: FixedWidthInteger>(_ key: String, _ value: inout Number?) throws {
        value = try number(key) ?? value
    }

    private func number<Number: FixedWidthInteger>(_ key: String) throws -> Number? {
        guard let text = text(key) else { return nil }
        guard let number = Number(text), (0...Self.largest).contains(Int64(number)) else {
            throw StartError(usage: "kubernetes.\(key) must be a whole number from 0 to \(Self.largest), not \(text)")
        }
        return number
    }

    /// Of bytes and seconds alike: as microseconds it is still a number.
    private static let largest: Int64 = 1_000_000_000_000

    private func names(_ key: String) -> Set<String> { Set(list(key)) }

    private func map(_ key: String) throws -> [String: String] {
        let pairs = try parsed(key, "NAME=VALUE") { text -> (String, String)? in
            let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return halves.count == 2 && !halves[0].isEmpty ? (halves[0], halves[1]) : nil
        }
        return Dictionary(pairs) { _, last in last }
    }

    private func parsed<Value>(_ key: String, _ form: String, _ read: (String) -> Value?) throws -> [Value] {
        try list(key).map { text in
            guard let value = read(text) else {
                throw StartError(usage: "kubernetes.\(key) must be \(form), not \(text)")
            }
            return value
        }
    }

    private func tolerations(_ key: String) throws -> [Toleration] {
        try parsed(key, "KEY=VALUE:EFFECT, KEY:EFFECT, KEY=VALUE or KEY") { Toleration(text: $0) }
    }

    private func volumes(_ key: String) throws -> [MountedVolume] {
        let form = "PATH=pvc:CLAIM[/FOLDER], PATH=nfs:SERVER:FOLDER or PATH=hostPath:FOLDER, then :ro or :rw"
        return try parsed(key, form) { MountedVolume(text: $0) }
    }

    private func ids(_ key: String) throws -> [ClosedRange<Int64>] {
        try parsed(key, "ID or FIRST-LAST") { KubernetesConfiguration.AllowedParameters.ids($0) }
    }

    func configuration(image: String) throws -> KubernetesConfiguration {
        var all = KubernetesConfiguration(image: image)
        set("namespace", &all.namespace)
        set("image_pull_policy", &all.imagePullPolicy)
        all.imagePullSecrets = list("image_pull_secrets")
        set("service_account", &all.serviceAccount)
        try set("grace_period", &all.gracePeriod)
        all.labels = try map("labels")
        all.annotations = try map("annotations")
        all.environment = try map("environment")
        try read(&all.jobs)
        try read(&all.workspace)
        try read(&all.resources)
        try read(&all.secrets)
        try read(&all.security)
        try read(&all.scheduling)
        try read(&all.allowed)
        all.tags.keys = names("tags.keys")
        set("tags.prefix", &all.tags.prefix)
        all.fileRoots = try volumes("file_roots")
        all.referenceData = try volumes("reference_data")
        return all
    }

    private func read(_ jobs: inout KubernetesConfiguration.Jobs) throws {
        try set("jobs.maximum_live", &jobs.maximumLive)
        try set("jobs.ttl_seconds_after_finished", &jobs.ttlSecondsAfterFinished)
        try set("jobs.active_deadline_seconds", &jobs.activeDeadlineSeconds)
        set("jobs.queue", &jobs.queue)
    }

    private func read(_ workspace: inout KubernetesConfiguration.Workspace) throws {
        try set("workspace.largest_empty_dir", &workspace.largestEmptyDir)
        try set("workspace.default_size", &workspace.defaultSize)
        try set("workspace.rounding", &workspace.rounding)
        try set("workspace.maximum_size", &workspace.maximumSize)
        set("workspace.storage_class", &workspace.storageClass)
        set("workspace.access_mode", &workspace.accessMode)
    }

    private func read(_ resources: inout KubernetesConfiguration.Resources) throws {
        try set("resources.default_cpu_cores", &resources.defaultCPUCores)
        try set("resources.default_memory", &resources.defaultMemory)
        try set("resources.memory_floor", &resources.memoryFloor)
        try read("trec", &resources.trec)
        try read("tif", &resources.tif)
        try read("tof", &resources.tof)
        try read("ack", &resources.ack)
        let cores: Int? = try number("resources.largest_node.cpu_cores")
        let memory: Int64? = try number("resources.largest_node.memory")
        switch (cores, memory) {
        case (let cores?, let memory?): resources.largestNode = Capacity(cpuCores: cores, memory: memory)
        case (nil, nil): break
        default:
            throw StartError(usage: "kubernetes.resources.largest_node needs both, cpu_cores and memory (in bytes)")
        }
    }

    private func read(_ name: String, _ part: inout KubernetesConfiguration.Part) throws {
        try set("resources.\(name).millicores", &part.millicores)
        try set("resources.\(name).memory", &part.memory)
        try set("resources.\(name).memory_limit", &part.memoryLimit)
    }

    private func read(_ secrets: inout KubernetesConfiguration.Secrets) throws {
        set("secrets.database", &secrets.database)
        set("secrets.database_key", &secrets.databaseKey)
        set("secrets.certificates", &secrets.certificates)
        secrets.storage = try parsed("secrets.storage", "SECRET, SECRET=https://ENDPOINT or SECRET=s3://BUCKET") {
            KubernetesConfiguration.StorageLogin(text: $0)
        }
        guard let role = text("secrets.web_identity.role") else {
            for key in ["audience", "expiration"] where text("secrets.web_identity.\(key)") != nil {
                throw StartError(
                    usage:
                        "kubernetes.secrets.web_identity.\(key) is of no use without kubernetes.secrets.web_identity.role"
                )
            }
            return
        }
        var identity = KubernetesConfiguration.WebIdentity(role: role)
        set("secrets.web_identity.audience", &identity.audience)
        try set("secrets.web_identity.expiration", &identity.expirationSeconds)
        secrets.webIdentity = identity
    }

    private func read(_ security: inout KubernetesConfiguration.Security) throws {
        let profiles = KubernetesConfiguration.Security.Profile.allCases.map(\.rawValue)
        if let name = try settings.choice("kubernetes.security.profile", profiles) {
            security.profile = .init(rawValue: name) ?? security.profile
        }
        try set("security.run_as_user", &security.runAsUser)
        try set("security.fs_group", &security.fsGroup)
    }

    private func read(_ scheduling: inout KubernetesConfiguration.Scheduling) throws {
        scheduling.nodeSelector = try map("scheduling.node_selector")
        scheduling.tolerations = try tolerations("scheduling.tolerations")
        scheduling.preemptibleTolerations = try tolerations("scheduling.preemptible_tolerations")
        if let architecture = text("scheduling.architecture") {
            scheduling.architecture = architecture == "any" ? nil : architecture
        }
        set("scheduling.zone_label", &scheduling.zoneLabel)
        set("scheduling.runtime_class", &scheduling.runtimeClass)
        set("scheduling.priority_class", &scheduling.priorityClass)
    }

    private func read(_ allowed: inout KubernetesConfiguration.AllowedParameters) throws {
        allowed.nodeSelectorKeys = names("allowed.node_selector_keys")
        allowed.tolerations = try tolerations("allowed.tolerations")
        allowed.runtimeClasses = names("allowed.runtime_classes")
        allowed.serviceAccounts = names("allowed.service_accounts")
        allowed.priorityClasses = names("allowed.priority_classes")
        set("allowed.gpu_resource", &allowed.gpuResource)
        try set("allowed.maximum_gpus", &allowed.maximumGPUs)
        try set("allowed.maximum_walltime", &allowed.maximumWalltime)
        allowed.userIDs = try ids("allowed.user_ids")
        allowed.groupIDs = try ids("allowed.group_ids")
    }
}
