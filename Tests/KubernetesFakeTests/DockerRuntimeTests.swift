import Foundation
import KubernetesFake
import Testing

/// A TaskPod's life with real containers.
@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["POIESIS_TEST_ENGINE"] != nil && DockerRuntime.isInstalled,
        "needs the docker command and an engine: set POIESIS_TEST_ENGINE=unix://SOCKET"))
struct DockerRuntimeTests {
    private static let image: JSON = "poiesis-test/busybox:1"

    private static func container(_ name: String, _ script: String, _ more: [String: JSON] = [:]) -> JSON {
        var result: JSON = ["name": .string(name), "image": image, "command": ["/bin/sh", "-c", .string(script)]]
        for (key, value) in more { result[key] = value }
        return result
    }

    private static func mount(_ name: String, _ path: String, _ more: [String: JSON] = [:]) -> JSON {
        var result: JSON = ["name": .string(name), "mountPath": .string(path)]
        for (key, value) in more { result[key] = value }
        return result
    }

    /// Runs a Job until its Pod is over or a condition holds, and gives its Pod to a test.
    private func withPod(
        _ initial: [JSON], main: JSON, until: @escaping @Sendable (JSON) -> Bool = { _ in false },
        _ body: (Cluster, JSON) async throws -> Void
    ) async throws {
        let host = try #require(ProcessInfo.processInfo.environment["POIESIS_TEST_ENGINE"])
        let folder = "/tmp/kubernetes-fake-\(UUID().uuidString.lowercased())"
        let runtime = try DockerRuntime(host: host, folder: folder)
        do {
            try await withPod(on: runtime, initial, main: main, until: until, body)
        } catch {
            await runtime.removeAll()
            throw error
        }
        await runtime.removeAll()
    }

    private func withPod(
        on runtime: DockerRuntime, _ initial: [JSON], main: JSON, until: @Sendable (JSON) -> Bool,
        _ body: (Cluster, JSON) async throws -> Void
    ) async throws {
        let cluster = Cluster(timeline: Timeline(.scaled(1)), runtime: runtime)
        await cluster.runDueNow()
        let job: JSON = [
            "kind": "Job", "apiVersion": "batch/v1", "metadata": ["name": "real"],
            "spec": [
                "backoffLimit": 0,
                "template": [
                    "spec": [
                        "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
                        "volumes": [
                            ["name": "work", "emptyDir": [:]], ["name": "secret", "secret": ["secretName": "s"]],
                        ],
                        "initContainers": .array(initial), "containers": [main],
                    ]
                ],
            ],
        ]
        await cluster.configure {
            $0.insert(.secrets, ["metadata": ["name": "s", "namespace": "poiesis"], "data": ["key": "aGVsbG8="]])
        }
        let target = "/apis/batch/v1/namespaces/poiesis/jobs"
        let answer = await cluster.answer(APIRequest(method: "POST", target: target, body: job.bytes))
        #expect(answer.status == 201, "\(String(decoding: answer.body, as: UTF8.self))")
        var pod = JSON.null
        for _ in 0..<2400 {
            try await Task.sleep(for: .milliseconds(50))
            pod = await cluster.all(.pods).first ?? .null
            if until(pod) || ["Succeeded", "Failed"].contains(pod["status"]["phase"].text ?? "") { break }
        }
        try await body(cluster, pod)
    }

    private static let recorder = container(
        "trec", "trap 'exit 0' TERM; while :; do sleep 0.1; done", ["restartPolicy": "Always"])

    @Test(.timeLimit(.minutes(5)))
    func containersShareVolumesAndTheirEndsAndMessagesAreShown() async throws {
        let writer = Self.container(
            "exec-0", "echo $GREETING $(cat /secret/key) >/data/sub/file; id -u >/dev/termination-log; echo to the log",
            [
                "env": [["name": "WORD", "value": "hi"], ["name": "GREETING", "value": "$(WORD)"]],
                "securityContext": ["runAsUser": 1234],
                "volumeMounts": [
                    Self.mount("work", "/data"), Self.mount("secret", "/secret", ["readOnly": true]),
                ],
            ])
        let maker = Self.container(
            "tif", "mkdir /work/sub; chmod 777 /work/sub", ["volumeMounts": [Self.mount("work", "/work")]])
        let reader = Self.container(
            "ack", "cat /sub/file >/dev/termination-log; touch /sub/x 2>/dev/null && exit 9; exit 3",
            ["volumeMounts": [Self.mount("work", "/sub", ["subPath": "sub", "readOnly": true])]])
        try await withPod([Self.recorder, maker, writer], main: reader) { cluster, pod in
            let ends = (pod["status"]["initContainerStatuses"].items + pod["status"]["containerStatuses"].items)
                .map { $0["state"]["terminated"] }
            #expect(pod["status"]["phase"] == "Failed")
            #expect(ends.map { $0["exitCode"].int } == [0, 0, 0, 3])
            #expect(ends[2]["message"] == "1234\n")
            #expect(ends[3]["message"] == "hi hello\n")
            let name = pod["metadata"]["name"].text ?? ""
            let server = try await APIServer.start(cluster)
            let log = try await RawHTTP.send(
                "GET", "/api/v1/namespaces/poiesis/pods/\(name)/log?container=exec-0&follow=true", port: server.port)
            #expect(log.body == Array("to the log\n".utf8))
            await server.stop()
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aProgramThatIsNotThereIsAStartError() async throws {
        var wrong = Self.container("exec-0", "")
        wrong["command"] = ["/no/such/binary"]
        try await withPod([Self.recorder, wrong], main: Self.container("ack", "true")) { _, pod in
            let end = pod["status"]["initContainerStatuses"].items[1]["state"]["terminated"]
            #expect(end["exitCode"] == 128)
            #expect(end["reason"] == "StartError")
            #expect(end["message"].text?.contains("no such file or directory") == true)
        }
    }

    /// The exit codes of a Pod's init containers, which is deleted once the last one is said to run.
    private func codesOfDeleted(_ initial: [JSON], grace: Int) async throws -> [Int?] {
        let runs: @Sendable (JSON) -> Bool = {
            $0["status"]["initContainerStatuses"].items.last?["state"]["running"] != nil
        }
        var last = JSON.null
        try await withPod(initial, main: Self.container("ack", "true"), until: runs) { cluster, pod in
            let key = ObjectKey("poiesis", pod["metadata"]["name"].text ?? "")
            await cluster.configure { $0.startDeletion(.pods, key, ["gracePeriodSeconds": .int(grace)]) }
            for _ in 0..<2400 {
                guard let now = await cluster.object(.pods, key) else { break }
                last = now
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(await cluster.object(.pods, key) == nil)
        }
        return last["status"]["initContainerStatuses"].items.map { $0["state"]["terminated"]["exitCode"].int }
    }

    @Test(.timeLimit(.minutes(5)))
    func aDeletedPodsContainersGetTheSignal() async throws {
        let work: [String: JSON] = ["volumeMounts": [Self.mount("work", "/work")]]
        var recorder = Self.container(
            "trec", "trap 'touch /work/told; exit 0' TERM; touch /work/ready; while :; do sleep 0.1; done", work)
        recorder["restartPolicy"] = "Always"
        let waiter = Self.container("tif", "until [ -e /work/ready ]; do sleep 0.1; done", work)
        let executor = Self.container("exec-0", "until [ -e /work/told ]; do sleep 0.1; done; exit 4", work)
        #expect(try await codesOfDeleted([recorder, waiter, executor], grace: 90) == [0, 0, 4])
    }

    /// The engine may not have started it yet.
    @Test(.timeLimit(.minutes(5)))
    func aDeletedPodsContainerThatDoesNotEndIsKilled() async throws {
        let stubborn = Self.container("exec-0", "trap '' TERM; while :; do sleep 0.1; done")
        #expect(try await codesOfDeleted([stubborn], grace: 1) == [137])
    }
}
