package import TES
package import TaskCore

/// Why a task can never be a TaskPod, with a JSON pointer for each problem.
package struct TaskRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package var problems: [RequestProblem]

    package init(problems: [RequestProblem]) { self.problems = problems }

    package var description: String { problems.map(\.description).joined(separator: "; ") }
}

/// What a task asks of the cluster, held to what its operator gives: a pure function for both who takes a task and who submits it.
package struct TaskRequirements: Sendable {
    /// Most executors of a TaskPod: each adds a second, and each change of a Pod of 100 sends 150 kB to every watcher.
    package static let maximumExecutors = 100
    /// Most bytes of all executors' mounts in the stored object, whose limit is 1.5 MB; see ``mountSize``.
    package static let maximumMountSize = 1_000_000

    package private(set) var parameters: BackendParameters
    /// Of each executor.
    package private(set) var cpuCores: Int
    /// Of each executor, in bytes, with the floor.
    package private(set) var memory: Int64
    /// Of the workspace, in bytes, rounded.
    package private(set) var disk: Int64
    /// Of nodes; empty for any.
    package private(set) var zones: [String]
    /// Labels that tags became.
    package private(set) var labels: [String: String] = [:]
    /// What executors see of the configured reference data.
    package private(set) var referenceData: [MountedVolume] = []
    /// For an answer 400.
    package private(set) var problems: [RequestProblem] = []
    /// For system_logs.
    package private(set) var warnings: [String] = []
    /// Keys of `backend_parameters` that count as not given: neither stored nor returned.
    package private(set) var dropped: [String] = []

    /// - Parameter task: a valid task; see ``TaskValidation``.
    package init(_ task: TESTask, configuration: KubernetesConfiguration) {
        let resources = task.resources ?? TESResources()
        parameters = BackendParameters(resources.backendParameters ?? [:], configuration: configuration)
        let cores = Int(resources.cpuCores ?? 0)
        cpuCores = cores > 0 ? cores : configuration.resources.defaultCPUCores
        let memory = Self.bytes(resources.ramGb) ?? configuration.resources.defaultMemory
        self.memory = max(configuration.resources.memoryFloor, memory)
        let wanted = Self.bytes(resources.diskGb) ?? configuration.workspace.defaultSize
        disk = Self.rounded(wanted, to: configuration.workspace.rounding)
        zones = Set(resources.zones ?? []).subtracting([""]).sorted()
        judgeParameters(isStrict: resources.backendParametersStrict == true)
        judgeExecutors(task)
        judgeSizes(configuration)
        judgeZones()
        chooseLabels(task.tags ?? [:], configuration.tags)
        let plan = MountPlan(task)
        chooseReferenceData(configuration.referenceData, plan)
        judgeMounts(plan, executors: task.executors.count)
    }

    /// What to tell who takes the task.
    package var judgement: BackendJudgement {
        var judgement = BackendJudgement()
        judgement.problems = problems
        judgement.warnings = warnings
        judgement.dropped = dropped
        return judgement
    }

    /// Decimal gigabytes in bytes; nil where none are asked for.
    private static func bytes(_ gigabytes: Double?) -> Int64? {
        guard let gigabytes, gigabytes > 0 else { return nil }
        let bytes = (gigabytes * 1e9).rounded(.up)
        return bytes < 9e18 ? Int64(bytes) : .max
    }

    private static func rounded(_ bytes: Int64, to unit: Int64) -> Int64 {
        let rest = bytes % unit
        if rest == 0 { return bytes }
        let (sum, isTooLarge) = bytes.addingReportingOverflow(unit - rest)
        return isTooLarge ? bytes : sum
    }

    private mutating func add(_ pointer: String, _ message: String) {
        problems.append(RequestProblem(pointer, message))
    }

    private mutating func judgeParameters(isStrict: Bool) {
        for refusal in parameters.refused {
            if isStrict {
                add("/resources/backend_parameters/" + pointerSegment(refusal.key), refusal.message)
            } else {
                warnings.append("the backend parameter \"\(refusal.key)\" \(refusal.message); it was dropped")
                dropped.append(refusal.key)
            }
        }
    }

    private mutating func judgeExecutors(_ task: TESTask) {
        let count = task.executors.count
        if count > Self.maximumExecutors {
            add("/executors", "may be at most \(Self.maximumExecutors) on Kubernetes, not \(count): join some of them")
        }
        for (index, executor) in task.executors.enumerated()
        where executor.image.first?.isWhitespace == true || executor.image.last?.isWhitespace == true {
            add("/executors/\(index)/image", "must not begin or end with a space")
        }
    }

    /// What no node can ever give is refused at once: it would wait for ever.
    private mutating func judgeSizes(_ configuration: KubernetesConfiguration) {
        if let maximum = configuration.workspace.maximumSize, disk > maximum {
            add("/resources/disk_gb", "may be at most \(Self.gigabytes(maximum)) on this cluster")
        }
        guard let node = configuration.resources.largestNode else { return }
        let part = configuration.resources.trec
        let cores = (node.cpuCores * 1000 - part.millicores) / 1000
        if cpuCores > cores {
            add("/resources/cpu_cores", "may be at most \(cores): this cluster's largest node has no more")
        }
        let memory = node.memory - part.memory
        if self.memory > memory {
            add(
                "/resources/ram_gb",
                "may be at most \(Self.gigabytes(memory)): this cluster's largest node has no more")
        }
    }

    /// Rounded down, with one decimal.
    private static func gigabytes(_ bytes: Int64) -> String {
        let tenths = max(0, bytes / 100_000_000)
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    private mutating func judgeZones() {
        for zone in zones where !KubernetesNames.isLabelValue(zone) {
            add("/resources/zones", "has \"\(zone)\", which no node can be labelled with")
        }
    }

    private mutating func chooseLabels(_ tags: [String: String], _ rules: KubernetesConfiguration.Tags) {
        for key in rules.keys.sorted() {
            guard let value = tags[key] else { continue }
            if KubernetesNames.isLabelValue(value) {
                labels[rules.prefix + "/" + key] = value
            } else {
                warnings.append(
                    "the tag \"\(key)\" did not become a label: a label's value is at most 63 letters, digits, hyphens, dots and underscores"
                )
            }
        }
    }

    /// The task's own paths win. A mount point below a read-only folder could not be made.
    private mutating func chooseReferenceData(_ volumes: [MountedVolume], _ plan: MountPlan) {
        for volume in volumes {
            if let mount = plan.mounts.first(where: { ContainerPath.contains(volume.path, $0.path) }) {
                warnings.append(
                    "this server's reference data at \(volume.path) are not there, because the task has files of its own in \(mount.path)"
                )
            } else {
                referenceData.append(volume)
            }
        }
    }

    private mutating func judgeMounts(_ plan: MountPlan, executors: Int) {
        let paths = plan.mounts.map(\.path) + plan.carryDirectories + referenceData.map(\.path)
        let size = paths.reduce(0) { $0 + Self.mountSize($1) }
        if size > Self.maximumMountSize / max(1, executors) {
            add(
                "",
                "names \(paths.count) folders and files for each of \(executors) executors, more than a Pod can mount: put them into fewer folders"
            )
        }
    }

    /// About the bytes of one mount in a stored Pod: the path thrice (mount path, subPath and its owner's mark) and the members' names.
    private static func mountSize(_ path: String) -> Int { 3 * path.utf8.count + 200 }
}
