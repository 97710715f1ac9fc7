import TaskCore

extension KubernetesConfiguration {
    /// What would make every TaskPod fail, each in a sentence that begins with the key of docs/reference/kubernetes.md.
    package var problems: [String] {
        var check = ConfigurationCheck()
        check.names(self)
        check.numbers(self)
        check.labels(self)
        check.scheduling(self)
        check.fileRoots(self)
        check.referenceData(self)
        return check.problems
    }
}

private struct ConfigurationCheck {
    var problems: [String] = []

    /// Notes a problem of a key unless a condition holds.
    private mutating func require(_ condition: Bool, _ key: String, _ message: String) {
        if !condition { problems.append("kubernetes.\(key) \(message)") }
    }

    private mutating func objectName(_ name: String?, _ key: String) {
        guard let name else { return }
        require(
            KubernetesNames.isSubdomain(name), key,
            "must be the name of an object, of small letters, digits, hyphens and dots, not \"\(name)\"")
    }

    mutating func names(_ configuration: KubernetesConfiguration) {
        require(
            KubernetesNames.isDNSLabel(configuration.namespace), "namespace",
            "must be at most 63 small letters, digits and hyphens, not \"\(configuration.namespace)\"")
        require(!configuration.image.isEmpty, "image", "must name the image that holds poiesis and poiesis-exec")
        require(
            configuration.imagePullPolicy.map(["Always", "IfNotPresent", "Never"].contains) ?? true,
            "image_pull_policy", "must be Always, IfNotPresent or Never")
        for name in configuration.imagePullSecrets { objectName(name, "image_pull_secrets") }
        objectName(configuration.serviceAccount, "service_account")
        objectName(configuration.jobs.queue, "jobs.queue")
        objectName(configuration.workspace.storageClass, "workspace.storage_class")
        require(
            ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"].contains(configuration.workspace.accessMode),
            "workspace.access_mode", "must be ReadWriteOnce, ReadWriteOncePod or ReadWriteMany")
        objectName(configuration.scheduling.runtimeClass, "scheduling.runtime_class")
        objectName(configuration.scheduling.priorityClass, "scheduling.priority_class")
        secrets(configuration.secrets)
    }

    private mutating func secrets(_ secrets: KubernetesConfiguration.Secrets) {
        objectName(secrets.database, "secrets.database")
        require(!secrets.databaseKey.isEmpty, "secrets.database_key", "must name an entry of the Secret")
        objectName(secrets.certificates, "secrets.certificates")
        var scopes: Set<String?> = []
        for login in secrets.storage {
            objectName(login.secret, "secrets.storage")
            require(
                login.scope.map(KubernetesConfiguration.StorageLogin.isScope) ?? true, "secrets.storage",
                "must be SECRET, SECRET=https://ENDPOINT or SECRET=s3://BUCKET, not =\(login.scope ?? "")")
            require(
                scopes.insert(login.scope).inserted, "secrets.storage",
                "names two Secrets for \(login.scope ?? "everything"): keep one of them")
        }
        guard let identity = secrets.webIdentity else { return }
        require(
            !identity.role.isEmpty && !identity.audience.isEmpty, "secrets.web_identity", "needs a role and an audience"
        )
        require(
            identity.expirationSeconds >= 600, "secrets.web_identity.expiration", "must be 600 seconds or more")
    }

    mutating func numbers(_ configuration: KubernetesConfiguration) {
        require(
            (10...86400).contains(configuration.gracePeriod), "grace_period",
            "must be 10 to 86400 seconds: the shim, the recorder and Kubernetes share it")
        let jobs = configuration.jobs
        require(jobs.maximumLive > 0, "jobs.maximum_live", "must be above 0")
        require((jobs.ttlSecondsAfterFinished ?? 0) >= 0, "jobs.ttl_seconds_after_finished", "must not be negative")
        require((jobs.activeDeadlineSeconds ?? 1) > 0, "jobs.active_deadline_seconds", "must be above 0")
        let workspace = configuration.workspace
        require(workspace.largestEmptyDir >= 0, "workspace.largest_empty_dir", "must not be negative")
        require(workspace.defaultSize > 0, "workspace.default_size", "must be above 0")
        require(workspace.rounding > 0, "workspace.rounding", "must be above 0")
        require(
            (workspace.maximumSize ?? .max) >= workspace.defaultSize, "workspace.maximum_size",
            "must not be below workspace.default_size")
        let resources = configuration.resources
        require(resources.defaultCPUCores > 0, "resources.default_cpu_cores", "must be above 0")
        require(resources.defaultMemory > 0, "resources.default_memory", "must be above 0")
        for (name, part) in [
            ("trec", resources.trec), ("tif", resources.tif), ("tof", resources.tof), ("ack", resources.ack),
        ] {
            require(part.millicores >= 0 && part.memory >= 0, "resources.\(name)", "must not be negative")
            require(
                (part.memoryLimit ?? .max) >= part.memory, "resources.\(name).memory_limit",
                "must not be below what the part asks for")
        }
        let security = configuration.security
        require(security.runAsUser > 0, "security.run_as_user", "must be above 0: trec and ack are never root")
        require(security.fsGroup > 0, "security.fs_group", "must be above 0")
    }

    mutating func labels(_ configuration: KubernetesConfiguration) {
        for (key, value) in configuration.labels.sorted(by: { $0.key < $1.key }) {
            require(
                KubernetesNames.isLabelKey(key) && KubernetesNames.isLabelValue(value), "labels",
                "must be valid labels of Kubernetes, not \(key)=\(value)")
            require(!key.hasPrefix("poiesis.io/"), "labels", "must not set \(key), which is the server's")
        }
        for key in configuration.annotations.keys.sorted() {
            require(KubernetesNames.isLabelKey(key), "annotations", "must have valid keys, not \(key)")
        }
        for key in configuration.environment.keys.sorted() {
            require(KubernetesNames.isVariable(key), "environment", "must name variables, not \(key)")
            require(
                !Self.secretVariables.contains(key), "environment",
                "must not hold \(key), which every reader of Pods would see: put it into a Secret and name that in kubernetes.secrets"
            )
        }
        require(
            KubernetesNames.isSubdomain(configuration.tags.prefix) && configuration.tags.prefix != "poiesis.io",
            "tags.prefix", "must be a DNS name other than poiesis.io, not \"\(configuration.tags.prefix)\"")
        for key in configuration.tags.keys.sorted() {
            require(
                KubernetesNames.isLabelKey(configuration.tags.prefix + "/" + key), "tags.keys",
                "must be at most 63 letters, digits, hyphens, dots and underscores, not \"\(key)\"")
        }
    }

    /// Settings of ours, and of others that filers read, that hold a secret.
    private static let secretVariables: Set = [
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "POIESIS_DATABASE",
        "POIESIS_S3_ACCESS_KEY", "POIESIS_S3_SECRET_KEY", "POIESIS_S3_SESSION_TOKEN",
    ]

    mutating func scheduling(_ configuration: KubernetesConfiguration) {
        let scheduling = configuration.scheduling
        for (key, value) in scheduling.nodeSelector.sorted(by: { $0.key < $1.key }) {
            require(
                KubernetesNames.isLabelKey(key) && KubernetesNames.isLabelValue(value), "scheduling.node_selector",
                "must be labels of nodes, not \(key)=\(value)")
        }
        require(
            KubernetesNames.isLabelKey(scheduling.zoneLabel), "scheduling.zone_label",
            "must be the key of a label, not \"\(scheduling.zoneLabel)\"")
        let allowed = configuration.allowed
        for key in allowed.nodeSelectorKeys.sorted() {
            require(
                KubernetesNames.isLabelKey(key), "allowed.node_selector_keys",
                "must be keys of labels, not \"\(key)\"")
        }
        require(allowed.maximumGPUs >= 0, "allowed.maximum_gpus", "must not be negative")
        require(
            KubernetesNames.isLabelKey(allowed.gpuResource) && allowed.gpuResource.contains("/"),
            "allowed.gpu_resource", "must be a resource such as nvidia.com/gpu, not \"\(allowed.gpuResource)\"")
        require((allowed.maximumWalltime ?? 1) > 0, "allowed.maximum_walltime", "must be above 0")
        for name in allowed.runtimeClasses.sorted() { objectName(name, "allowed.runtime_classes") }
        for name in allowed.serviceAccounts.sorted() { objectName(name, "allowed.service_accounts") }
        for name in allowed.priorityClasses.sorted() { objectName(name, "allowed.priority_classes") }
        for range in allowed.userIDs + allowed.groupIDs {
            require(
                range.lowerBound >= 0 && range.upperBound <= Int64(Int32.max), "allowed.user_ids and allowed.group_ids",
                "must be 0 to 2147483647")
        }
    }

    // MARK: Volumes

    /// Folders that a part's own files are in.
    private static let partFolders = [
        "/.poiesis", "/dev", "/etc/poiesis", "/etc/ssl", "/lib", "/lib64", "/proc", "/sys", "/tmp", "/usr/bin",
        "/usr/lib", "/var/run", "/workspace",
    ]

    mutating func fileRoots(_ configuration: KubernetesConfiguration) {
        let key = "file_roots"
        volumes(configuration.fileRoots, key, configuration.security.profile)
        for root in configuration.fileRoots {
            for folder in Self.partFolders
            where ContainerPath.contains(root.path, folder) || ContainerPath.contains(folder, root.path) {
                require(false, key, "must not cover \(folder) of our image, as \(root.path) does: mount it elsewhere")
            }
            let hasSeparator = root.path.contains(",") || root.path.hasSuffix(":ro") || root.path.hasSuffix(":rw")
            require(!hasSeparator, key, "must not have a comma, nor :ro or :rw at its end: \(root.path)")
        }
    }

    mutating func referenceData(_ configuration: KubernetesConfiguration) {
        let key = "reference_data"
        volumes(configuration.referenceData, key, configuration.security.profile)
        for volume in configuration.referenceData {
            require(!volume.isWritable, key, "is read-only: \(volume.path) must not be rw")
            let isLibrary = volume.path.hasPrefix("/lib") && ContainerPath.parent(volume.path) == "/"
            require(
                !isLibrary && !["/", "/bin", "/etc", "/sbin", "/usr"].contains(volume.path), key,
                "must not be \(volume.path), which would hide the files of every image")
            for folder in ["/.poiesis", "/dev", "/proc", "/sys"] {
                require(!ContainerPath.contains(folder, volume.path), key, "must not lie in \(folder)")
            }
        }
    }

    private mutating func volumes(
        _ volumes: [MountedVolume], _ key: String, _ profile: KubernetesConfiguration.Security.Profile
    ) {
        var seen: Set<String> = []
        for volume in volumes {
            require(
                ContainerPath.normalized(volume.path) == volume.path, key,
                "must have plain absolute paths, not \(volume.path)")
            require(seen.insert(volume.path).inserted, key, "has \(volume.path) twice")
            if case .claim(let name, _) = volume.source {
                objectName(name, key)
            } else {
                require(
                    profile != .restricted, key,
                    "may have claims only under the profile restricted, which refuses hostPath and nfs: \(volume.path)")
            }
        }
    }
}
