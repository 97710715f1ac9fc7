import Foundation
import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore

/// A task, an operator's configuration, and the name of the file in `Golden` with what comes of them.
struct GoldenCase: Sendable, CustomStringConvertible {
    var description: String
    var task: TESTask
    var configuration: KubernetesConfiguration

    static let key = SubmissionKey(
        taskID: TaskID(high: 0x0193_0f5e_8b2a_7c11, low: 0x9d3e_6a55_f0b1_2c47), number: 1)
    static let instance = "5f0c6f6e-6f0b-4d0e-9a3b-0d6b6d8c1f10"

    /// - Parameter change: what the operator says beyond the defaults.
    init(_ name: String, _ task: TESTask, _ change: (inout KubernetesConfiguration) -> Void = { _ in }) {
        description = name
        self.task = task
        configuration = Self.configuration(change)
    }

    /// The defaults, on nodes of one architecture wherever the tests run.
    static func configuration(
        _ change: (inout KubernetesConfiguration) -> Void = { _ in }
    ) -> KubernetesConfiguration {
        var configuration = KubernetesConfiguration(image: "registry.example/poiesis:1.0")
        configuration.scheduling.architecture = "amd64"
        change(&configuration)
        return configuration
    }

    func pod() throws(TaskRefusal) -> TaskPod {
        try TaskPod(
            Submission(key: Self.key, principal: .everyone, task: task), configuration: configuration,
            instance: Self.instance)
    }

    // MARK: Cases

    /// In the shapes that clients send.
    static let all: [GoldenCase] = [
        GoldenCase("hello", task([executor("alpine", ["echo", "hello"])])),
        GoldenCase("cromwell", cromwell),
        GoldenCase("nextflow", nextflow),
        GoldenCase("cwl-file-roots", cwl) {
            $0.fileRoots = [
                MountedVolume(path: "/srv/cwl/in", source: .nfs(server: "files.example", path: "/export/in")),
                MountedVolume(path: "/srv/cwl/out", source: .claim("results", subPath: "cwl"), isWritable: true),
            ]
        },
        GoldenCase("image-folder-inputs", imageFolderInputs),
        GoldenCase("carried-outputs", carriedOutputs),
        GoldenCase("directories-and-volumes", directoriesAndVolumes),
        GoldenCase("two-images", twoImages),
        GoldenCase("backend-parameters", parameters) { configuration in
            configuration.allowed.maximumGPUs = 4
            configuration.allowed.nodeSelectorKeys = ["pool"]
            configuration.allowed.tolerations = [Toleration(text: "gpu=yes:NoSchedule")].compactMap { $0 }
            configuration.allowed.runtimeClasses = ["nvidia"]
            configuration.allowed.priorityClasses = ["urgent"]
            configuration.allowed.serviceAccounts = ["lab"]
            configuration.allowed.userIDs = [1000...1999]
            configuration.allowed.groupIDs = [100...100]
        },
        GoldenCase("zones-preemptible", preemptible) {
            $0.scheduling.preemptibleTolerations = [Toleration(text: "spot:NoSchedule")].compactMap { $0 }
        },
        GoldenCase("large-disk", task([executor("alpine", ["true"])], resources: TESResources(diskGb: 120.4))) {
            $0.workspace.storageClass = "fast"
            $0.workspace.accessMode = "ReadWriteOncePod"
        },
        GoldenCase("restricted", nextflow, restricted),
        GoldenCase("reference-data", referenceData) {
            $0.referenceData = [
                MountedVolume(path: "/refs/human", source: .hostPath("/srv/refs/human")),
                MountedVolume(path: "/refs/mouse", source: .claim("mouse", subPath: nil)),
            ]
        },
        GoldenCase("everything-configured", tagged, everything),
    ]

    static func restricted(_ configuration: inout KubernetesConfiguration) {
        configuration.security.profile = .restricted
    }

    static func everything(_ configuration: inout KubernetesConfiguration) {
        configuration.namespace = "tasks"
        configuration.imagePullPolicy = "Always"
        configuration.imagePullSecrets = ["registry"]
        configuration.gracePeriod = 60
        configuration.labels = ["cost-centre": "42"]
        configuration.annotations = ["sidecar.istio.io/inject": "false"]
        configuration.environment = ["HTTPS_PROXY": "http://proxy.example:3128", "PRICE": "$(HOME) $5"]
        configuration.jobs.queue = "bio"
        configuration.jobs.ttlSecondsAfterFinished = 3600
        configuration.jobs.activeDeadlineSeconds = 86400
        configuration.workspace.largestEmptyDir = 0
        configuration.resources.tif.memoryLimit = 1 << 30
        configuration.secrets.certificates = "site-ca"
        configuration.secrets.storage = [
            .init(secret: "minio", scope: "https://minio.example"), .init(secret: "aws"),
            .init(secret: "minio", scope: "s3://results"),
        ]
        configuration.secrets.webIdentity = .init(role: "arn:aws:iam::123456789012:role/tasks")
        configuration.scheduling.nodeSelector = ["pool": "tasks"]
        configuration.scheduling.tolerations = [Toleration(text: "tasks")].compactMap { $0 }
        configuration.scheduling.runtimeClass = "gvisor"
        configuration.scheduling.priorityClass = "batch"
        configuration.tags.keys = ["project", "owner"]
        configuration.fileRoots = [
            MountedVolume(path: "/data", source: .claim("data", subPath: nil), isWritable: true),
            MountedVolume(path: "/archive", source: .claim("archive", subPath: "old")),
        ]
    }

    // MARK: Tasks

    static func executor(_ image: String, _ command: [String], stdout: String? = nil) -> TESExecutor {
        TESExecutor(image: image, command: command, stdout: stdout)
    }

    static func task(
        _ executors: [TESExecutor], inputs: [TESInput]? = nil, outputs: [TESOutput]? = nil,
        resources: TESResources? = nil, volumes: [String]? = nil, tags: [String: String]? = nil
    ) -> TESTask {
        var task = TESTask(executors: executors)
        task.inputs = inputs
        task.outputs = outputs
        task.resources = resources
        task.volumes = volumes
        task.tags = tags
        return task
    }

    static func input(_ path: String, _ type: TESFileType = .file) -> TESInput {
        TESInput(url: "s3://inputs" + path, path: path, type: type)
    }

    static func output(_ path: String, _ type: TESFileType = .file, prefix: String? = nil) -> TESOutput {
        TESOutput(url: "s3://outputs" + path, path: path, pathPrefix: prefix, type: type)
    }

    private static let cromwell: TESTask = {
        let call = "/cromwell-executions/wf/0f4b8f0b/call-hello"
        return task(
            [executor("ubuntu:latest", ["/bin/bash", call + "/execution/script"], stdout: call + "/execution/stdout")],
            inputs: [input(call + "/inputs/file.txt"), input(call + "/execution/script")],
            outputs: [output(call + "/execution/rc"), output(call + "/execution/glob-0af1/", .directory)],
            resources: TESResources(
                cpuCores: 1, preemptible: false, ramGb: 2, diskGb: 2,
                backendParameters: ["internal_path_prefix": call + "/tes_task"]),
            tags: ["workflow_id": "0f4b8f0b"])
    }()

    private static let nextflow = task(
        [executor("quay.io/nextflow/bash", ["bash", "-c", "bash /work/.command.run 2>&1 | tee /work/.command.log"])],
        inputs: [input("/work/.command.sh"), input("/work/.command.run"), input("/work/refs", .directory)],
        outputs: [output("/work/.command.out"), output("/work/upper_*", prefix: "/work")],
        resources: TESResources(cpuCores: 1, ramGb: 2, diskGb: 10))

    private static let cwl = task(
        [executor("debian:stretch-slim", ["md5sum", "/var/lib/cwl/stg1/in.txt"], stdout: "/var/spool/cwl/out.txt")],
        inputs: [input("/var/lib/cwl/stg1/in.txt")],
        outputs: [output("/var/spool/cwl/out.txt"), output("/var/spool/cwl", .directory)],
        resources: TESResources(cpuCores: 1, ramGb: 0.002097152695784933, diskGb: 1.074790756589778))

    private static let imageFolderInputs = task(
        [executor("postgres:17", ["postgres"])],
        inputs: [
            input("/etc/app.conf"), input("/usr/local/share/data.txt"), input("/run.sh"),
            input("/home/u/tree", .directory),
        ])

    private static let carriedOutputs = task(
        [executor("python:3", ["python", "run.py"], stdout: "/app/stdout.txt")],
        outputs: [output("/root.txt"), output("/opt/results/*.csv", prefix: "/opt/results")])

    private static let directoriesAndVolumes = task(
        [executor("alpine", ["sh", "-c", "cp -r /tmp/in/. /outputs"])],
        inputs: [input("/tmp/in", .directory), input("/tmp/in/nested/file.txt")],
        outputs: [output("/outputs", .directory)], volumes: ["/vol/A/", "/var/scratch"])

    private static let twoImages = task(
        [
            executor("ubuntu:24.04", ["sort", "/data/in"], stdout: "/data/sorted"),
            executor("quay.io/biocontainers/samtools:1.21", ["head", "/data/sorted"], stdout: "/tmp/out/first"),
        ],
        inputs: [input("/data/in")], outputs: [output("/tmp/out/first")],
        resources: TESResources(cpuCores: 4, ramGb: 7.5))

    private static let parameters = task(
        [executor("nvidia/cuda:13.0-base", ["nvidia-smi"])],
        resources: TESResources(
            backendParameters: [
                "GPUs": "2", "node_selector": "pool=a100", "tolerations": "gpu=yes:NoSchedule",
                "runtime_class": "nvidia", "priority_class": "urgent", "service_account": "lab", "run_as_user": "1234",
                "run_as_group": "100", "walltime": "2h",
            ], backendParametersStrict: true))

    private static let preemptible = task(
        [executor("alpine", ["true"])],
        resources: TESResources(preemptible: true, zones: ["us-west-1b", "us-west-1a"]))

    private static let referenceData = task(
        [executor("samtools", ["samtools", "view", "-T", "/refs/human/GRCh38.fa"])],
        inputs: [input("/refs/mouse/extra.fa")])

    private static let tagged = task(
        [executor("alpine", ["true"])], tags: ["project": "p-1", "owner": "a b", "secret": "not-a-label"])
}
