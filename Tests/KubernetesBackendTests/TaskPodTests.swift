import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

@Suite("TaskPod")
struct TaskPodTests {
    private func pod(
        _ task: TESTask = GoldenCase.task([GoldenCase.executor("alpine", ["true"])]),
        _ change: (inout KubernetesConfiguration) -> Void = { _ in }
    ) throws -> TaskPod { try GoldenCase("test", task, change).pod() }

    private func spec(_ pod: TaskPod) throws -> PodSpec { try #require(pod.job.spec?.template.spec) }

    private func tasks(_ count: Int) -> TESTask {
        GoldenCase.task((0..<count).map { GoldenCase.executor("image-\($0)", ["true"]) })
    }

    // MARK: Order and names

    @Test func theContainersRunInTheirOrder() throws {
        let spec = try spec(try pod(tasks(3)))
        #expect(spec.initContainers?.map(\.name) == ["trec", "tif", "exec-0", "exec-1", "exec-2", "tof"])
        #expect(spec.initContainers?.map(\.restartPolicy) == ["Always", nil, nil, nil, nil, nil])
        #expect(spec.containers.map(\.name) == ["ack"])
        #expect(spec.restartPolicy == "Never")
    }

    @Test func ahundredExecutorsArePossible() throws {
        let pod = try pod(tasks(100))
        let executors = (try spec(pod).initContainers ?? []).dropFirst(2).dropLast()
        #expect(executors.map(\.image) == (0..<100).map { "image-\($0)" })
        #expect(KubernetesAPI.JSONWriter.encode(pod.job).count < 60_000)
    }

    @Test func moreThanAHundredExecutorsAreRefused() throws {
        let error = #expect(throws: TaskRefusal.self) { try pod(tasks(101)) }
        #expect(error?.description == "/executors may be at most 100 on Kubernetes, not 101: join some of them")
    }

    @Test func jobClaimAndLabelsAreNamedAfterTheSubmission() throws {
        let pod = try pod { $0.workspace.largestEmptyDir = 0 }
        let name = "poiesis-01930f5e-8b2a-7c11-9d3e-6a55f0b12c47-1"
        let claim = try #require(pod.volumeClaim)
        let workspace = try spec(pod).volumes?.first { $0.name == "workspace" }
        #expect(pod.job.metadata?.name == name && claim.metadata?.name == name)
        #expect(workspace?.persistentVolumeClaim?.claimName == name)
        for labels in [
            pod.job.metadata?.labels, pod.job.spec?.template.metadata?.labels, claim.metadata?.labels,
        ] {
            #expect(labels?["poiesis.io/instance"] == GoldenCase.instance)
            #expect(labels?["poiesis.io/task"] == "01930f5e-8b2a-7c11-9d3e-6a55f0b12c47")
            #expect(labels?["poiesis.io/submission"] == name)
        }
    }

    @Test func namesStayWithinTheirLength() throws {
        let key = SubmissionKey(taskID: GoldenCase.key.taskID, number: 999_999_999_999_999_999)
        #expect(key.objectName.utf8.count == 63)
        #expect(KubernetesNames.isLabelValue(key.objectName))
    }

    @Test func operatorsLabelsCannotReplaceOurs() throws {
        let pod = try pod { $0.labels = ["app.kubernetes.io/name": "other", "team": "bio"] }
        #expect(pod.job.metadata?.labels?["app.kubernetes.io/name"] == "poiesis")
        #expect(pod.job.metadata?.labels?["team"] == "bio")
    }

    @Test func aSubmissionIsReadBackFromItsName() {
        let key = SubmissionKey(taskID: GoldenCase.key.taskID, number: 12)
        #expect(SubmissionKey(objectName: key.objectName) == key)
        #expect(key.variable == "01930f5e-8b2a-7c11-9d3e-6a55f0b12c47/12")
        #expect(SubmissionKey(variable: key.variable) == key)
        let id = key.taskID.description
        for name in [
            "", "poiesis-", "poiesis-\(id)", "poiesis-\(id)-", "poiesis-\(id)-0", "poiesis-\(id)-012",
            "poiesis-\(id)-+1", "poiesis-\(id)--1", "poiesis-\(id)-1-x7k2p", "poiesis-\(id.uppercased())-1",
            "other-\(id)-1", "poiesis-\(id.dropLast())g-1",
        ] { #expect(SubmissionKey(objectName: name) == nil, "\(name)") }
        for text in ["", "/", id, "\(id)/", "\(id)/0", "\(id)/1/2", "\(id)-1"] {
            #expect(SubmissionKey(variable: text) == nil, "\(text)")
        }
    }

    // MARK: Sizes

    @Test(
        arguments: [
            (nil, "10G", false), (0.001, "1G", false), (1.0, "1G", false), (1.000001, "2G", false), (10, "10G", false),
            (10.5, "11G", true), (2000, "2000G", true),
        ] as [(Double?, String, Bool)])
    func theWorkspaceIsAnEmptyDirUpToItsLimit(_ asked: Double?, _ size: String, _ isClaim: Bool) throws {
        let pod = try pod(
            GoldenCase.task([GoldenCase.executor("alpine", ["true"])], resources: TESResources(diskGb: asked)))
        let spec = try spec(pod)
        let volume = try #require(spec.volumes?.first { $0.name == "workspace" })
        let request = spec.initContainers?.first { $0.name == "tif" }?.resources?.requests?["ephemeral-storage"]
        #expect(pod.volumeClaim?.spec?.resources?.requests?["storage"] == (isClaim ? size : nil))
        #expect(volume.emptyDir?.sizeLimit == (isClaim ? nil : size))
        #expect(request == (isClaim ? nil : size))
        #expect((volume.persistentVolumeClaim != nil) == isClaim)
    }

    @Test(
        arguments: [
            (nil, nil, "1", "2G"), (0, 0, "1", "2G"), (-1, -4, "1", "2G"), (4, 7.5, "4", "7500M"),
            (1, 0.002, "1", "256Mi"),
            (1, 1.0737421802418856, "1", "1073742181"),
        ] as [(Int32?, Double?, String, String)])
    func executorsAskForWhatTheTaskNames(_ cores: Int32?, _ ram: Double?, _ cpu: String, _ memory: String) throws {
        let spec = try spec(
            try pod(
                GoldenCase.task(
                    [GoldenCase.executor("alpine", ["true"])], resources: TESResources(cpuCores: cores, ramGb: ram))))
        let resources = spec.initContainers?.first { $0.name == "exec-0" }?.resources
        #expect(resources?.requests == ["cpu": cpu, "memory": memory])
        #expect(resources?.limits == ["memory": memory])
    }

    @Test func walltimeIsTheRecordersAndNoneOfThePods() throws {
        let task = GoldenCase.task(
            [GoldenCase.executor("alpine", ["true"])],
            resources: TESResources(backendParameters: ["walltime": "90m"]))
        let pod = try pod(task)
        let trec = try spec(pod).initContainers?.first { $0.name == "trec" }
        #expect(trec?.env?.first { $0.name == "POIESIS_WALLTIME" }?.value == "5400")
        #expect(pod.job.spec?.activeDeadlineSeconds == nil)
        #expect(try spec(pod).activeDeadlineSeconds == nil)
    }

    // MARK: Interruption

    @Test(arguments: [true, false])
    func autoscalersLeaveAPodAloneUnlessItsTaskIsPreemptible(_ isPreemptible: Bool) throws {
        let task = GoldenCase.task(
            [GoldenCase.executor("alpine", ["true"])], resources: TESResources(preemptible: isPreemptible))
        let taint = try #require(Toleration(text: "spot=yes:NoSchedule"))
        let pod = try pod(task) { $0.scheduling.preemptibleTolerations = [taint] }
        let annotations = pod.job.spec?.template.metadata?.annotations
        #expect(annotations?["cluster-autoscaler.kubernetes.io/safe-to-evict"] == (isPreemptible ? nil : "false"))
        #expect(annotations?["karpenter.sh/do-not-disrupt"] == (isPreemptible ? nil : "true"))
        #expect(try spec(pod).tolerations == (isPreemptible ? [taint] : nil))
    }

    @Test func aQueueSuspendsTheJob() throws {
        #expect(try pod().job.spec?.suspend == nil)
        let pod = try pod { $0.jobs.queue = "bio" }
        #expect(pod.job.spec?.suspend == true)
        #expect(pod.job.metadata?.labels?["kueue.x-k8s.io/queue-name"] == "bio")
    }
}
