package import KubernetesAPI
import TES
package import TaskCore

/// The objects of one submission: a Job whose only Pod runs a whole attempt, and the claim on its disk where that is no emptyDir.
///
/// Nothing of what a task does stands in them: no arguments, environment, contents or URLs. Pods have many readers.
package struct TaskPod: Sendable {
    package let job: Job
    /// To be created after the Job, with the Job as its owner.
    package let volumeClaim: PersistentVolumeClaim?
    /// What the task's author should read, for system_logs.
    package let warnings: [String]

    /// - Parameters:
    ///   - configuration: one without ``KubernetesConfiguration/problems``.
    ///   - instance: marks the objects of this installation.
    package init(
        _ submission: Submission, configuration: KubernetesConfiguration, instance: String
    ) throws(TaskRefusal) {
        let requirements = TaskRequirements(submission.task, configuration: configuration)
        guard requirements.problems.isEmpty else { throw TaskRefusal(problems: requirements.problems) }
        let renderer = TaskPodRenderer(
            key: submission.key, task: submission.task, configuration: configuration, instance: instance,
            requirements: requirements, mounts: MountPlan(submission.task))
        job = renderer.job
        volumeClaim = renderer.volumeClaim
        warnings = requirements.warnings
    }
}

/// Renders the parts of a ``TaskPod``.
struct TaskPodRenderer {
    let key: SubmissionKey
    let task: TESTask
    let configuration: KubernetesConfiguration
    let instance: String
    let requirements: TaskRequirements
    let mounts: MountPlan

    var isPreemptible: Bool { task.resources?.preemptible == true }
    var isRestricted: Bool { configuration.security.profile == .restricted }
    var usesClaim: Bool { requirements.disk > configuration.workspace.largestEmptyDir }

    private var labels: [String: String] {
        var labels = configuration.labels.merging(requirements.labels) { $1 }
        labels[ObjectLabel.name] = "poiesis"
        labels[ObjectLabel.component] = "task"
        labels[ObjectLabel.instance] = instance
        labels[ObjectLabel.task] = key.taskID.description
        labels[ObjectLabel.submission] = key.objectName
        return labels
    }

    private func metadata(labels: [String: String]) -> ObjectMeta {
        ObjectMeta(name: key.objectName, namespace: configuration.namespace, labels: labels)
    }

    // MARK: Job and claim

    var job: Job {
        let jobs = configuration.jobs
        var jobLabels = labels
        if let queue = jobs.queue { jobLabels[ObjectLabel.queue] = queue }
        let spec = JobSpec(
            activeDeadlineSeconds: jobs.activeDeadlineSeconds, backoffLimit: 0,
            template: PodTemplateSpec(metadata: ObjectMeta(labels: labels, annotations: annotations), spec: pod),
            ttlSecondsAfterFinished: jobs.ttlSecondsAfterFinished, suspend: jobs.queue == nil ? nil : true,
            podReplacementPolicy: "Failed")
        return Job(apiVersion: "batch/v1", kind: "Job", metadata: metadata(labels: jobLabels), spec: spec)
    }

    var volumeClaim: PersistentVolumeClaim? {
        guard usesClaim else { return nil }
        let workspace = configuration.workspace
        let size = ["storage": KubernetesNames.quantity(requirements.disk)]
        return PersistentVolumeClaim(
            apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: metadata(labels: labels),
            spec: PersistentVolumeClaimSpec(
                accessModes: [workspace.accessMode], resources: VolumeResourceRequirements(requests: size),
                storageClassName: workspace.storageClass))
    }

    // MARK: Pod

    /// Autoscalers move Pods for economy; what may be interrupted says so.
    private var annotations: [String: String]? {
        var annotations = configuration.annotations
        if !isPreemptible {
            annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"
            annotations["karpenter.sh/do-not-disrupt"] = "true"
        }
        return annotations.isEmpty ? nil : annotations
    }

    private var pod: PodSpec {
        let parameters = requirements.parameters
        let secrets = configuration.imagePullSecrets
        return PodSpec(
            volumes: volumes,
            initContainers: [trec, tif] + task.executors.indices.map(executor) + [tof],
            containers: [ack],
            restartPolicy: "Never",
            terminationGracePeriodSeconds: configuration.gracePeriod,
            nodeSelector: nodeSelector,
            serviceAccountName: parameters.serviceAccount ?? configuration.serviceAccount,
            automountServiceAccountToken: false,
            securityContext: podSecurity,
            imagePullSecrets: secrets.isEmpty ? nil : secrets.map { LocalObjectReference(name: $0) },
            affinity: affinity,
            tolerations: tolerations,
            priorityClassName: parameters.priorityClass ?? configuration.scheduling.priorityClass,
            enableServiceLinks: false,
            runtimeClassName: parameters.runtimeClass ?? configuration.scheduling.runtimeClass)
    }

    private var nodeSelector: [String: String] {
        var selector = ["kubernetes.io/os": "linux"]
        selector["kubernetes.io/arch"] = configuration.scheduling.architecture
        return selector.merging(configuration.scheduling.nodeSelector) { $1 }
            .merging(requirements.parameters.nodeSelector) { $1 }
    }

    private var affinity: Affinity? {
        guard !requirements.zones.isEmpty else { return nil }
        let zone = NodeSelectorRequirement(
            key: configuration.scheduling.zoneLabel, operator: "In", values: requirements.zones)
        return Affinity(
            nodeAffinity: NodeAffinity(
                requiredDuringSchedulingIgnoredDuringExecution: NodeSelector(
                    nodeSelectorTerms: [NodeSelectorTerm(matchExpressions: [zone])])))
    }

    private var tolerations: [Toleration]? {
        let scheduling = configuration.scheduling
        var tolerations: [Toleration] = []
        let preemptible = isPreemptible ? scheduling.preemptibleTolerations : []
        for toleration in scheduling.tolerations + preemptible + requirements.parameters.tolerations
        where !tolerations.contains(toleration) { tolerations.append(toleration) }
        return tolerations.isEmpty ? nil : tolerations
    }

    /// Under `restricted` one user for all containers; a task's own choice is then the whole Pod's.
    private var podSecurity: PodSecurityContext {
        let seccomp = SeccompProfile(type: "RuntimeDefault")
        guard isRestricted else { return PodSecurityContext(seccompProfile: seccomp) }
        let security = configuration.security
        let parameters = requirements.parameters
        return PodSecurityContext(
            runAsUser: parameters.runAsUser ?? security.runAsUser,
            runAsGroup: parameters.runAsGroup ?? security.runAsUser, runAsNonRoot: true, fsGroup: security.fsGroup,
            fsGroupChangePolicy: "OnRootMismatch", seccompProfile: seccomp)
    }
}
