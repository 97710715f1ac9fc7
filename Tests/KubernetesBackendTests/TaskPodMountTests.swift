import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// What executors see of the workspace is the mount plan, for tasks of any shape.
@Suite("TaskPod: mounts")
struct TaskPodMountTests {
    /// SplitMix64: the same tasks in every run.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return value ^ (value >> 31)
        }
    }

    private static let folders = [
        "data", "work", "opt", "etc", "usr", "var", "lib", "cwl", "tmp", "a b", "ü", "$(POD_UID)", "x:y", "home", "out",
    ]

    private static func path(_ random: inout Random) -> String {
        (0..<Int.random(in: 1...4, using: &random)).reduce("") { path, _ in
            path + "/" + (folders.randomElement(using: &random) ?? "data")
        }
    }

    private static func task(_ random: inout Random) -> TESTask {
        var executors: [TESExecutor] = []
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            executors.append(
                TESExecutor(
                    image: "alpine", command: ["true"], stdout: Bool.random(using: &random) ? path(&random) : nil,
                    stderr: Bool.random(using: &random) ? path(&random) : nil))
        }
        let types: [TESFileType] = [.file, .directory]
        var inputs: [TESInput] = []
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            inputs.append(
                TESInput(
                    url: "s3://bucket/object", path: path(&random),
                    type: types.randomElement(using: &random) ?? .file))
        }
        var outputs: [TESOutput] = []
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            let folder = path(&random)
            let isPattern = Int.random(in: 0..<3, using: &random) == 0
            outputs.append(
                TESOutput(
                    url: "s3://bucket/object", path: isPattern ? folder + "/*.txt" : folder,
                    pathPrefix: isPattern ? folder : nil, type: types.randomElement(using: &random) ?? .file))
        }
        let volumes = Bool.random(using: &random) ? [path(&random) + "/"] : nil
        return TESTask(inputs: inputs, outputs: outputs, executors: executors, volumes: volumes)
    }

    @Test func everyExecutorMountsThePlanAndNothingElseOfTheWorkspace() throws {
        var random = Random(state: 1)
        var mounted = 0
        var carried = 0
        for number in 0..<500 {
            let task = Self.task(&random)
            let plan = MountPlan(task)
            var expected: [String: String] = [:]
            for mount in plan.mounts { expected[mount.path] = "fs" + mount.path }
            for folder in plan.carryDirectories {
                expected["/.poiesis/carry" + (folder == "/" ? "" : folder)] = "fs" + (folder == "/" ? "" : folder)
            }
            mounted += plan.mounts.count
            carried += plan.carryDirectories.count
            let spec = try #require(try GoldenCase("\(number)", task).pod().job.spec?.template.spec)
            let executors = (spec.initContainers ?? []).filter { $0.name.hasPrefix("exec-") }
            #expect(executors.count == task.executors.count)
            for container in executors {
                let mounts = (container.volumeMounts ?? []).filter { $0.name != "control" }
                #expect(mounts.count == expected.count)
                for mount in mounts {
                    #expect(mount.name == "workspace" && mount.readOnly == nil)
                    #expect(mount.subPath == expected[mount.mountPath], "task \(number), \(mount.mountPath)")
                }
                let paths = mounts.map(\.mountPath)
                #expect(Set(paths).count == paths.count)
                // Kubernetes takes a subPath that is relative and does not climb.
                for path in mounts.compactMap(\.subPath) { #expect(!path.hasPrefix("/") && !path.contains("..")) }
            }
        }
        #expect(mounted > 500 && carried > 100)
    }

    @Test func theFilersSeeTheWholeWorkspace() throws {
        let item = try #require(GoldenCase.all.first)
        let spec = try #require(try item.pod().job.spec?.template.spec)
        for name in ["tif", "tof"] {
            let container = try #require(spec.initContainers?.first { $0.name == name })
            let mount = try #require(container.volumeMounts?.first { $0.name == "workspace" })
            #expect(mount == VolumeMount(name: "workspace", mountPath: "/workspace"))
        }
    }
}
