import Foundation
import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

/// Which container can see what, read off the rendered Pod.
@Suite("TaskPod: isolation")
struct TaskPodIsolationTests {
    /// Every case, under both profiles where its volumes allow it, with all Secrets there are.
    static let cases: [GoldenCase] = GoldenCase.all.flatMap { item in
        [KubernetesConfiguration.Security.Profile.baseline, .restricted].map { profile in
            var item = item
            item.description += ", \(profile)"
            item.configuration.security.profile = profile
            item.configuration.secrets.certificates = "site-ca"
            item.configuration.secrets.storage = [
                .init(secret: "minio", scope: "https://minio.example"), .init(secret: "aws"),
            ]
            item.configuration.secrets.webIdentity = .init(role: "role")
            item.configuration.fileRoots = [
                MountedVolume(path: "/data/in", source: .claim("in", subPath: nil)),
                MountedVolume(path: "/data/out", source: .claim("out", subPath: nil), isWritable: true),
            ]
            return item
        }
    }

    private func spec(_ item: GoldenCase) throws -> PodSpec { try #require(try item.pod().job.spec?.template.spec) }

    private func containers(_ spec: PodSpec) -> [Container] { (spec.initContainers ?? []) + spec.containers }

    // MARK: What stands in the Pod

    /// One word for each place of a task, found nowhere else.
    private static let planted: (task: TESTask, words: [String]) = {
        var words: [String] = []
        func word(_ place: String) -> String {
            words.append("planted-\(place)-\(words.count)")
            return words[words.count - 1]
        }
        var executor = TESExecutor(
            image: "alpine", command: ["sh", "-c", word("argument") + " $(POD_UID) $HOME"],
            workdir: "/" + word("workdir"), stdin: "/" + word("stdin"), stdout: "/data/" + word("stdout"),
            stderr: "/data/" + word("stderr"))
        executor.env = [word("variable"): word("value")]
        var task = TESTask(executors: [executor, executor])
        task.name = word("name")
        task.description = word("description")
        task.inputs = [
            TESInput(
                name: word("input-name"), url: "https://user:\(word("password"))@host/\(word("input-url"))",
                path: "/data/" + word("input-path"), type: .file),
            TESInput(path: "/data/content", type: .file, content: word("content")),
        ]
        task.outputs = [
            TESOutput(url: "s3://\(word("bucket"))/\(word("object"))", path: "/data/" + word("output"), type: .file)
        ]
        task.tags = [word("tag"): word("tag-value")]
        task.resources = TESResources(backendParameters: [word("parameter"): word("parameter-value")])
        return (task, words)
    }()

    @Test(arguments: [KubernetesConfiguration.Security.Profile.baseline, .restricted])
    func nothingOfATaskStandsInTheObjectsButImagesAndFolders(
        _ profile: KubernetesConfiguration.Security.Profile
    ) throws {
        let (task, words) = Self.planted
        let given = String(decoding: TES.JSONWriter.encode(task), as: UTF8.self)
        for word in words { #expect(given.contains(word)) }
        let item = GoldenCase("planted", task) {
            GoldenCase.everything(&$0)
            $0.security.profile = profile
        }
        let pod = try item.pod()
        let claim = try #require(pod.volumeClaim)
        let objects = String(
            decoding: KubernetesAPI.JSONWriter.encode(pod.job) + KubernetesAPI.JSONWriter.encode(claim), as: UTF8.self)
        for word in words { #expect(!objects.contains(word), "\(word) stands in the objects") }
        #expect(objects.contains("alpine") && objects.contains("\"fs/data\""))
    }

    @Test(arguments: cases)
    func noVariableComesFromASecret(_ item: GoldenCase) throws {
        for container in containers(try spec(item)) {
            #expect(container.envFrom == nil)
            for variable in container.env ?? [] {
                #expect(variable.valueFrom?.secretKeyRef == nil && variable.valueFrom?.configMapKeyRef == nil)
            }
            if container.name == "ack" || container.name.hasPrefix("exec-") { #expect(container.env == nil) }
            #expect(container.args == nil)
        }
    }

    @Test func variablesAndCommandsAreNotExpanded() throws {
        let item = try #require(GoldenCase.all.first { $0.description == "everything-configured" })
        let variables = containers(try spec(item)).flatMap { $0.env ?? [] }
        #expect(
            variables.filter { $0.name == "PRICE" }.map(\.value) == ["$$(HOME) $$5", "$$(HOME) $$5", "$$(HOME) $$5"])
        for container in containers(try spec(item)) {
            for word in container.command ?? [] { #expect(!word.contains("$")) }
        }
    }

    // MARK: Who mounts what

    /// Volumes by what is in them.
    private func volumes(_ spec: PodSpec, _ holds: (Volume) -> Bool) -> Set<String> {
        Set((spec.volumes ?? []).filter(holds).map(\.name))
    }

    private func mounted(_ container: Container) -> Set<String> { Set((container.volumeMounts ?? []).map(\.name)) }

    private func token(_ volume: Volume) -> ServiceAccountTokenProjection? {
        volume.projected?.sources?.compactMap(\.serviceAccountToken).first
    }

    @Test(arguments: cases)
    func eachSecretIsSeenByTheContainersThatNeedIt(_ item: GoldenCase) throws {
        let spec = try spec(item)
        #expect(spec.automountServiceAccountToken == false)
        let readers: [(Set<String>, [String])] = [
            (volumes(spec) { token($0) != nil && token($0)?.audience == nil }, ["trec"]),
            (volumes(spec) { $0.secret?.secretName == "poiesis-recorder" }, ["trec"]),
            (volumes(spec) { token($0)?.audience != nil }, ["tif", "tof"]),
            (volumes(spec) { ["minio", "aws"].contains($0.secret?.secretName ?? "") }, ["tif", "tof"]),
            (volumes(spec) { $0.secret?.secretName == "site-ca" }, ["trec", "tif", "tof"]),
        ]
        #expect(readers.map(\.0.count) == [1, 1, 1, 2, 1])
        for (names, allowed) in readers {
            for container in containers(spec) {
                let sees = mounted(container).intersection(names)
                #expect(sees == (allowed.contains(container.name) ? names : []), "\(container.name): \(sees)")
                for mount in container.volumeMounts ?? [] where names.contains(mount.name) {
                    #expect(mount.readOnly == true)
                }
            }
        }
        // There is no Secret and no token besides these.
        let secret = volumes(spec) { $0.secret != nil || $0.projected != nil || $0.configMap != nil || $0.csi != nil }
        #expect(secret == readers.reduce(into: Set()) { $0.formUnion($1.0) })
    }

    @Test(arguments: cases)
    func executorsMountTheirOwnFilesAndNothingElse(_ item: GoldenCase) throws {
        let spec = try spec(item)
        let references = volumes(spec) { $0.name.hasPrefix("reference-") }
        let plan = MountPlan(item.task)
        let executors = containers(spec).filter { $0.name.hasPrefix("exec-") }
        #expect(executors.count == item.task.executors.count)
        for (position, container) in executors.enumerated() {
            #expect(container.name == "exec-\(position)" && container.image == item.task.executors[position].image)
            #expect(
                container.command == ["/.poiesis/bin/poiesis-exec", "--pod", "/.poiesis/exec-\(position)"])
            var mounts = container.volumeMounts ?? []
            #expect(Set(mounts.map(\.mountPath)).count == mounts.count)
            let control = mounts.filter { $0.name == "control" }
            #expect(control.map(\.subPath) == ["exec-\(position)", "bin"])
            #expect(control.map(\.mountPath) == ["/.poiesis/exec-\(position)", "/.poiesis/bin"])
            #expect(control.map { $0.readOnly ?? false } == [false, true])
            mounts.removeAll { $0.name == "control" }
            for mount in mounts where references.contains(mount.name) { #expect(mount.readOnly == true) }
            mounts.removeAll { references.contains($0.name) }
            #expect(mounts.allSatisfy { $0.name == "workspace" })
            #expect(mounts.count == plan.mounts.count + plan.carryDirectories.count)
        }
    }

    @Test(arguments: cases)
    func ourOwnPartsMountWhatTheirWorkNeeds(_ item: GoldenCase) throws {
        let spec = try spec(item)
        let byName = Dictionary(uniqueKeysWithValues: containers(spec).map { ($0.name, $0) })
        let storage: Set = ["storage-0", "storage-1", "identity", "certificates", "control", "workspace"]
        #expect(mounted(try #require(byName["trec"])) == ["control", "token", "database", "certificates"])
        #expect(mounted(try #require(byName["tif"])) == storage.union(["root-0", "root-1"]))
        #expect(mounted(try #require(byName["tof"])) == storage.union(["root-1"]))
        #expect(mounted(try #require(byName["ack"])) == ["control"])
        #expect(byName["ack"]?.volumeMounts?.first?.readOnly == true)
        for mount in byName["tif"]?.volumeMounts ?? [] where mount.name.hasPrefix("root-") {
            #expect(mount.readOnly == true)
        }
        for mount in byName["tof"]?.volumeMounts ?? [] where mount.name == "root-1" { #expect(mount.readOnly == nil) }
    }

    // MARK: Rights

    @Test(arguments: cases)
    func noContainerHasMoreRightsThanItsProfileGives(_ item: GoldenCase) throws {
        let spec = try spec(item)
        #expect(spec.securityContext?.seccompProfile?.type == "RuntimeDefault")
        let isRestricted = item.configuration.security.profile == .restricted
        #expect(spec.securityContext?.runAsNonRoot == (isRestricted ? true : nil))
        for container in containers(spec) {
            let security = container.securityContext
            #expect(security?.privileged == nil)
            let isFiler = container.name == "tif" || container.name == "tof"
            if isRestricted {
                #expect(security?.capabilities == Capabilities(drop: ["ALL"]))
                #expect(security?.allowPrivilegeEscalation == false && security?.runAsUser == nil)
            } else if container.name.hasPrefix("exec-") {
                #expect(security?.capabilities == nil)
            } else {
                #expect(security?.capabilities?.drop == ["ALL"] && security?.allowPrivilegeEscalation == false)
                #expect(security?.capabilities?.add == (isFiler ? ["CHOWN", "DAC_OVERRIDE", "FOWNER"] : nil))
                #expect(security?.runAsUser == (isFiler ? 0 : 65532))
                #expect(security?.runAsNonRoot == (isFiler ? nil : true))
            }
        }
        if isRestricted {
            #expect((spec.securityContext?.runAsUser ?? 0) > 0 && spec.securityContext?.fsGroup == 65532)
        }
    }
}
