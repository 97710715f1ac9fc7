import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

@Suite("Task requirements on Kubernetes")
struct TaskRequirementsTests {
    private func requirements(
        _ task: TESTask, _ change: (inout KubernetesConfiguration) -> Void = { _ in }
    ) -> TaskRequirements {
        TaskRequirements(task, configuration: GoldenCase.configuration(change))
    }

    private func task(_ resources: TESResources?, tags: [String: String]? = nil) -> TESTask {
        GoldenCase.task([GoldenCase.executor("alpine", ["true"])], resources: resources, tags: tags)
    }

    private func problems(_ requirements: TaskRequirements) -> [String] { requirements.problems.map(\.description) }

    private static func allow(_ configuration: inout KubernetesConfiguration) {
        configuration.allowed.nodeSelectorKeys = ["pool", "disk.example/type"]
        configuration.allowed.tolerations = ["gpu=yes:NoSchedule", "slow"].compactMap { Toleration(text: $0) }
        configuration.allowed.runtimeClasses = ["gvisor", "kata"]
        configuration.allowed.serviceAccounts = ["lab"]
        configuration.allowed.priorityClasses = ["urgent"]
        configuration.allowed.maximumGPUs = 4
        configuration.allowed.maximumWalltime = 86400
        configuration.allowed.userIDs = [0...0, 1000...1999]
        configuration.allowed.groupIDs = [100...100]
    }

    // MARK: backend_parameters

    @Test(arguments: [
        ("node_selector", "pool=a, disk.example/type=ssd"), ("tolerations", "slow,gpu=yes:NoSchedule"),
        ("runtime_class", "kata"), ("service_account", "lab"), ("priority_class", "urgent"), ("gpus", "0"),
        ("GPUS", "4"),
        ("walltime", "86400"), ("walltime", "86400s"), ("walltime", "1440m"), ("walltime", "24h"), ("walltime", "1d"),
        ("run_as_user", "0"), ("run_as_user", "1999"), ("run_as_group", "100"),
    ])
    func whatIsAllowedIsTaken(_ key: String, _ value: String) {
        for isStrict in [true, false] {
            let resources = TESResources(backendParameters: [key: value], backendParametersStrict: isStrict)
            let requirements = requirements(task(resources), Self.allow)
            #expect(requirements.problems.isEmpty && requirements.warnings.isEmpty && requirements.dropped.isEmpty)
        }
    }

    @Test(arguments: [
        ("node_selector", "zone=a", "may name disk.example/type, pool, not \"zone\""),
        ("node_selector", "pool", "must be LABEL=VALUE, separated by commas, not \"pool\""),
        ("node_selector", "pool=a b", "must be LABEL=VALUE, separated by commas, not \"pool=a b\""),
        ("node_selector", "", "must be LABEL=VALUE, separated by commas"),
        ("tolerations", "gpu", "may hold gpu=yes:NoSchedule, slow, separated by commas, not \"gpu\""),
        ("tolerations", ",", "must name a taint"),
        ("runtime_class", "runc", "may be gvisor, kata, not \"runc\""),
        ("service_account", "default", "may be lab, not \"default\""),
        ("priority_class", "system-node-critical", "may be urgent, not \"system-node-critical\""),
        ("gpus", "5", "must be a whole number from 0 to 4, not \"5\""),
        ("gpus", "-1", "must be a whole number from 0 to 4, not \"-1\""),
        ("gpus", "all", "must be a whole number from 0 to 4, not \"all\""),
        ("walltime", "25h", "may be at most 86400 seconds, not \"25h\""),
        ("walltime", "3651d", "must be seconds, or a number with s, m, h or d up to 3650d, such as 90m, not \"3651d\""),
        ("walltime", "0", "must be seconds, or a number with s, m, h or d up to 3650d, such as 90m, not \"0\""),
        ("walltime", "", "must be seconds, or a number with s, m, h or d up to 3650d, such as 90m, not \"\""),
        ("walltime", "1.5h", "must be seconds, or a number with s, m, h or d up to 3650d, such as 90m, not \"1.5h\""),
        (
            "walltime", "9223372036854775807d",
            "must be seconds, or a number with s, m, h or d up to 3650d, such as 90m, not \"9223372036854775807d\""
        ),
        ("run_as_user", "999", "may be 0, 1000 to 1999, not \"999\""),
        ("run_as_user", "root", "may be 0, 1000 to 1999, not \"root\""),
        ("run_as_group", "0", "may be 100, not \"0\""),
        ("VmSize", "large", "is not supported by this server"),
    ])
    func whatIsNotAllowedIsRefusedOrDropped(_ key: String, _ value: String, _ message: String) {
        let strict = requirements(
            task(TESResources(backendParameters: [key: value], backendParametersStrict: true)), Self.allow)
        #expect(problems(strict) == ["/resources/backend_parameters/\(key) \(message)"])
        #expect(strict.warnings.isEmpty)
        let lenient = requirements(task(TESResources(backendParameters: [key: value])), Self.allow)
        #expect(lenient.problems.isEmpty)
        #expect(lenient.warnings == ["the backend parameter \"\(key)\" \(message); it was dropped"])
        #expect(lenient.dropped == [key])
        let nothing = requirements(task(nil), Self.allow)
        #expect(lenient.parameters.nodeSelector == nothing.parameters.nodeSelector)
        #expect(lenient.parameters.gpus == 0 && lenient.parameters.walltime == nil)
        #expect(lenient.parameters.serviceAccount == nil && lenient.parameters.runAsUser == nil)
    }

    @Test func withoutAllowListsOnlyTheWalltimeIsSupported() {
        #expect(GoldenCase.configuration().allowed.keys == ["walltime"])
        let all = Dictionary(uniqueKeysWithValues: BackendParameters.Key.allCases.map { ($0.rawValue, "1") })
        let requirements = requirements(task(TESResources(backendParameters: all)))
        #expect(requirements.dropped == all.keys.filter { $0 != "walltime" }.sorted())
        #expect(requirements.parameters.walltime == 1)
    }

    @Test func allowListsSayWhichKeysAreSupported() {
        let keys = GoldenCase.configuration(Self.allow).allowed.keys
        #expect(keys == Set(BackendParameters.Key.allCases.map(\.rawValue)))
    }

    @Test func aKeyInTwoCasesIsTakenOnce() {
        let requirements = requirements(
            task(TESResources(backendParameters: ["GPUS": "1", "gpus": "2"])), Self.allow)
        #expect(requirements.parameters.gpus == 1)
        #expect(requirements.dropped == ["gpus"])
    }

    @Test func thePointerOfAKeyIsEscaped() {
        let requirements = requirements(
            task(TESResources(backendParameters: ["a/b~c": "1"], backendParametersStrict: true)))
        #expect(problems(requirements) == ["/resources/backend_parameters/a~1b~0c is not supported by this server"])
    }

    @Test func restrictedClustersRunNothingAsRoot() {
        let requirements = requirements(task(TESResources(backendParameters: ["run_as_user": "0"]))) {
            Self.allow(&$0)
            $0.security.profile = .restricted
        }
        #expect(requirements.parameters.runAsUser == nil)
        #expect(
            requirements.warnings == [
                "the backend parameter \"run_as_user\" must not be 0: this cluster runs nothing as root; it was dropped"
            ])
    }

    // MARK: What can never run

    @Test func whatNoNodeCanGiveIsRefused() {
        let change: (inout KubernetesConfiguration) -> Void = {
            $0.resources.largestNode = Capacity(cpuCores: 64, memory: 256_000_000_000)
            $0.workspace.maximumSize = 500_000_000_000
        }
        let fits = TESResources(cpuCores: 63, ramGb: 255.9, diskGb: 500)
        #expect(requirements(task(fits), change).problems.isEmpty)
        #expect(
            problems(requirements(task(TESResources(cpuCores: 64, ramGb: 256, diskGb: 500.1)), change)) == [
                "/resources/disk_gb may be at most 500 on this cluster",
                "/resources/cpu_cores may be at most 63: this cluster's largest node has no more",
                "/resources/ram_gb may be at most 255.9: this cluster's largest node has no more",
            ])
        let huge = TESResources(cpuCores: .max, ramGb: 1e300, diskGb: 1e300)
        #expect(requirements(task(huge), change).problems.count == 3)
        #expect(requirements(task(huge)).problems.isEmpty)
    }

    @Test func zonesAreLabelsOfNodes() {
        #expect(requirements(task(TESResources(zones: ["b", "", "a", "b"]))).zones == ["a", "b"])
        #expect(
            problems(requirements(task(TESResources(zones: ["here or there"])))) == [
                "/resources/zones has \"here or there\", which no node can be labelled with"
            ])
    }

    @Test func imagesHaveNoSpacesAround() {
        let task = GoldenCase.task([GoldenCase.executor("a", ["x"]), GoldenCase.executor("alpine\n", ["x"])])
        #expect(problems(requirements(task)) == ["/executors/1/image must not begin or end with a space"])
    }

    @Test func mountsThatNoPodCanHoldAreRefused() {
        let volumes = (0..<300).map { "/data/volume-\($0)" }
        let one = GoldenCase.task([GoldenCase.executor("a", ["x"])], volumes: volumes)
        #expect(requirements(one).problems.isEmpty)
        let many = GoldenCase.task(
            (0..<100).map { _ in GoldenCase.executor("a", ["x"]) }, volumes: volumes)
        #expect(
            problems(requirements(many)) == [
                "names 300 folders and files for each of 100 executors, more than a Pod can mount: put them into fewer folders"
            ])
    }

    // MARK: Tags and reference data

    @Test func chosenTagsBecomeLabels() {
        let tags = [
            "project": "p-1", "empty": "", "owner": "a b", "long": String(repeating: "x", count: 64), "other": "o",
        ]
        let requirements = requirements(task(nil, tags: tags)) {
            $0.tags.keys = ["project", "empty", "owner", "long", "absent"]
        }
        #expect(requirements.labels == ["tag.poiesis.io/project": "p-1", "tag.poiesis.io/empty": ""])
        #expect(requirements.warnings.count == 2)
        #expect(
            requirements.warnings.first
                == "the tag \"long\" did not become a label: a label's value is at most 63 letters, digits, hyphens, dots and underscores"
        )
    }

    @Test(arguments: [
        ("/refs/extra", false), ("/refs", false), ("/", true), ("/ref", true), ("/data", true),
    ])
    func aTasksOwnFilesWinOverReferenceData(_ folder: String, _ isThere: Bool) {
        let task = GoldenCase.task(
            [GoldenCase.executor("a", ["x"])], volumes: folder == "/" ? nil : [folder])
        let requirements = requirements(task) {
            $0.referenceData = [MountedVolume(path: "/refs", source: .claim("refs", subPath: nil))]
        }
        #expect((requirements.referenceData.count == 1) == isThere)
        #expect(
            requirements.warnings
                == (isThere
                    ? []
                    : [
                        "this server's reference data at /refs are not there, because the task has files of its own in \(folder)"
                    ]))
    }
}
