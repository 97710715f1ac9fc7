import KubernetesAPI
import KubernetesBackend
import TES
import TaskCore
import Testing

@Suite("Pod reading")
struct PodReadingTests {
    /// A TaskPod of two executors.
    ///
    /// - Parameters:
    ///   - ended: `terminated` of containers; the others wait.
    ///   - waiting: `waiting` of containers.
    static func pod(
        phase: String, ended: [String: String] = [:], waiting: [String: String] = [:], running: Set<String> = [],
        status: String = "", conditions: String = "", metadata: String = "", isReadyToStart: Bool = true
    ) throws -> PodReading {
        func list(_ names: [String]) -> String {
            names.map { name in
                let state =
                    ended[name].map { #""terminated":\#($0)"# } ?? waiting[name].map { #""waiting":\#($0)"# }
                    ?? (running.contains(name) ? #""running":{}"# : #""waiting":{"reason":"PodInitializing"}"#)
                return
                    #"{"name":"\#(name)","state":{\#(state)},"ready":false,"restartCount":0,"image":"i","imageID":""}"#
            }.joined(separator: ",")
        }
        let json = """
            {"metadata":{"name":"pod","uid":"pod-1","creationTimestamp":"2026-01-31T11:00:00Z",
            "ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"job","uid":"job-1"}]\(metadata)},
            "spec":{"nodeName":"node-7","containers":[]},
            "status":{"phase":"\(phase)","conditions":[{"type":"PodReadyToStartContainers",
            "status":"\(isReadyToStart ? "True" : "False")"}\(conditions)],"initContainerStatuses":[\(list(["trec", "tif", "exec-0", "exec-1", "tof"]))],
            "containerStatuses":[\(list(["ack"]))]\(status)}}
            """
        return try #require(PodReading(try Pod(json: Array(json.utf8))))
    }

    static func end(_ code: Int, _ message: String? = nil, reason: String? = nil) -> String {
        let message = message.map { #","message":"\#($0)""# } ?? ""
        return #"{"exitCode":\#(code),"reason":"\#(reason ?? (code == 0 ? "Completed" : "Error"))","#
            + #""startedAt":"2026-01-31T11:00:01Z","finishedAt":"2026-01-31T11:00:02Z"\#(message)}"#
    }

    static let unknown = #"{"exitCode":137,"reason":"ContainerStatusUnknown","startedAt":null,"finishedAt":null}"#
    static let task = TESTask(executors: [
        TESExecutor(image: "one:1", command: ["a"]), TESExecutor(image: "two:2", command: ["b"], ignoreError: true),
    ])

    /// What the container of an executor says, and what counts.
    static let ends: [(state: String, end: ExecutorEnd)] = [
        (end(0, "0 oom=no"), .ended(exitCode: 0)),
        (end(0, "42 oom=no"), .ended(exitCode: 42)),
        (end(0, "0 skipped"), .none),
        (end(143, "143 never ran"), .none),
        (end(143, "143 oom=no"), .stopped(exitCode: 143)),
        (end(143, "0 oom=no"), .stopped(exitCode: 0)),
        (end(143, "137 oom=yes"), .stopped(exitCode: 137)),
        (end(143, "42 oom=no ended-before-stop"), .ended(exitCode: 42)),
        (end(143, "3 oom=yes ended-before-stop"), .outOfMemory(exitCode: 3)),
        (end(0, "137 oom=no over-walltime"), .overWalltime(exitCode: 137)),
        (end(143, "137 oom=no over-walltime"), .overWalltime(exitCode: 137)),
        (end(1, "137 oom=yes over-walltime"), .outOfMemory(exitCode: 137)),
        (end(1, "3 oom=yes", reason: "OOMKilled"), .outOfMemory(exitCode: 3)),
        (end(1, "0 oom=yes"), .outOfMemory(exitCode: 0)),
        (end(137, reason: "OOMKilled"), .outOfMemory(exitCode: 137)),
        (end(0, reason: "OOMKilled"), .outOfMemory(exitCode: 137)),
        (
            #"{"exitCode":128,"reason":"StartError","startedAt":"1970-01-01T00:00:00Z","message":"no such file"}"#,
            .notStarted(reason: "no such file")
        ),
        (unknown, .lost(reason: "the container of executor 0 was lost")),
        (
            #"{"exitCode":255,"reason":"Unknown","startedAt":"2026-01-31T11:00:01Z"}"#,
            .lost(reason: "the container of executor 0 was lost")
        ),
        (#"{"exitCode":137,"reason":"Error","startedAt":null}"#, .lost(reason: "the container of executor 0 was lost")),
        (end(137), .lost(reason: "the container of executor 0 was ended from outside (status 137)")),
        (end(0), .unreported),
        (end(0, "no number"), .unreported),
    ]

    @Test(arguments: ends.indices)
    func anExitCodeCountsOnlyWhereTheShimOrTheKernelTells(_ index: Int) throws {
        let expected = Self.ends[index]
        let pod = try Self.pod(phase: "Failed", ended: ["exec-0": expected.state])
        let container = try #require(pod[.executor(0)])
        #expect(ExecutorEnd(container) == expected.end)
    }

    @Test func aMadeUpEndUnderAWaitIsALoss() throws {
        var pod = try Self.pod(phase: "Failed")
        #expect(pod[.executor(0)].map { ExecutorEnd($0) } == ExecutorEnd.none)
        let json = """
            {"metadata":{"name":"p","uid":"u","labels":{"batch.kubernetes.io/job-name":"j"}},"status":{"phase":"Failed",
            "initContainerStatuses":[{"name":"exec-0","state":{"waiting":{"reason":"PodInitializing"}},"lastState":{"terminated":\(Self.unknown)},
            "ready":false,"restartCount":1,"image":"i","imageID":""}]}}
            """
        pod = try #require(PodReading(try Pod(json: Array(json.utf8))))
        #expect(pod.job == "j")
        #expect(pod[.executor(0)]?.end?.isMadeUp == true)
    }

    /// How Pods end that did not record it themselves.
    static func outcomes() throws -> [(name: String, pod: PodReading, cause: Cause)] {
        let done = ["trec": end(0), "tif": end(0, "0")]
        func evicted(_ message: String) throws -> PodReading {
            try pod(
                phase: "Failed", ended: ["tif": end(0, "0"), "exec-0": unknown, "trec": unknown],
                status: #","reason":"Evicted","message":"\#(message)""#)
        }
        let all = done.merging(["exec-0": end(0, "0 oom=no"), "exec-1": end(0, "3 oom=no")]) { $1 }
        return [
            (
                "success", try pod(phase: "Succeeded", ended: all.merging(["tof": end(0, "0"), "ack": end(0)]) { $1 }),
                .completed
            ),
            (
                "an ignored error", try pod(phase: "Failed", ended: all.merging(["tof": end(1, "1 denied")]) { $1 }),
                .partFailed(part: "the upload of the outputs (tof)", reason: "denied")
            ),
            (
                "a failure",
                try pod(
                    phase: "Failed",
                    ended: done.merging(["exec-0": end(0, "42 oom=no"), "tof": end(0, "0"), "ack": end(1)]) { $1 }),
                .executorFailed(position: 0, exitCode: 42, reason: nil)
            ),
            (
                "a failure before an eviction",
                try pod(
                    phase: "Failed", ended: done.merging(["exec-0": end(0, "42 oom=no"), "exec-1": unknown]) { $1 },
                    status: #","reason":"Evicted","message":"The node was low on resource: memory.""#),
                .executorFailed(position: 0, exitCode: 42, reason: nil)
            ),
            (
                "memory, though its error is ignored",
                try pod(phase: "Failed", ended: all.merging(["exec-1": end(1, "9 oom=yes")]) { $1 }),
                .executorFailed(
                    position: 1, exitCode: 9, reason: "it used more memory than it was given; ask for more ram_gb")
            ),
            (
                "too much disk", try evicted(#"Usage of EmptyDir volume \"workspace\" exceeds the limit \"20Mi\". "#),
                .diskLimitExceeded(reason: #"Usage of EmptyDir volume "workspace" exceeds the limit "20Mi""#)
            ),
            (
                "too much disk beside the workspace",
                try evicted("Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "),
                .diskLimitExceeded(
                    reason: "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi")
            ),
            (
                "a full node", try evicted("The node was low on resource: ephemeral-storage."),
                .evicted(reason: "The node was low on resource: ephemeral-storage")
            ),
            (
                "an eviction by the API",
                try pod(
                    phase: "Failed", ended: done.merging(["exec-0": end(143, "143 oom=no")]) { $1 },
                    conditions:
                        #",{"type":"DisruptionTarget","status":"True","reason":"EvictionByEvictionAPI","message":"Eviction API: evicting"}"#,
                    metadata: #","deletionTimestamp":"2026-01-31T11:10:00Z""#),
                .evicted(reason: "EvictionByEvictionAPI: Eviction API: evicting")
            ),
            (
                "a node that shuts down",
                try pod(
                    phase: "Failed", ended: done,
                    status:
                        #","reason":"Terminated","message":"Pod was terminated in response to imminent node shutdown.""#
                ),
                .evicted(reason: "Terminated: Pod was terminated in response to imminent node shutdown.")
            ),
            (
                "a node that refuses",
                try pod(phase: "Failed", status: #","reason":"OutOfcpu","message":"Node didn't have enough""#),
                .hostLost(reason: "its node refused it: OutOfcpu: Node didn't have enough")
            ),
            (
                "a shim that was killed", try pod(phase: "Failed", ended: done.merging(["exec-0": end(137)]) { $1 }),
                .hostLost(reason: "the container of executor 0 was ended from outside (status 137)")
            ),
            (
                "a program that could not be started",
                try pod(
                    phase: "Failed",
                    ended: done.merging([
                        "exec-0":
                            #"{"exitCode":128,"reason":"StartError","startedAt":"1970-01-01T00:00:00Z","message":"denied"}"#
                    ]) { $1 }),
                .engineFailed(position: 0, reason: "denied")
            ),
            (
                "a program that could not be started while its Pod went",
                try pod(
                    phase: "Failed",
                    ended: done.merging([
                        "exec-0":
                            #"{"exitCode":128,"reason":"StartError","startedAt":"1970-01-01T00:00:00Z","message":"gone"}"#
                    ]) { $1 }, metadata: #","deletionTimestamp":"2026-01-31T11:10:00Z""#),
                .hostLost(reason: "its Pod on node node-7 was deleted")
            ),
            (
                "memory, though the program ended well",
                try pod(phase: "Failed", ended: done.merging(["exec-0": end(1, "0 oom=yes")]) { $1 }),
                .executorFailed(
                    position: 0, exitCode: 137, reason: "it used more memory than it was given; ask for more ram_gb")
            ),
            (
                "inputs that cannot be had",
                try pod(phase: "Failed", ended: ["trec": end(0), "tif": end(1, "1 404 from storage")]),
                .partFailed(part: "the staging of the inputs (tif)", reason: "404 from storage")
            ),
            (
                "a refused claim", try pod(phase: "Failed", ended: ["trec": end(0), "tif": end(1, "1 refused")]),
                .hostLost(reason: "its Pod was told that there is nothing to run")
            ),
            (
                "staging without memory",
                try pod(phase: "Failed", ended: ["trec": end(0), "tif": end(137, reason: "OOMKilled")]),
                .partFailed(part: "the staging of the inputs (tif)", reason: "it ran out of memory")
            ),
            (
                "a lost sandbox",
                try pod(phase: "Failed", ended: done.merging(["exec-0": end(143, "143 oom=no")]) { $1 }),
                .hostLost(reason: "its Pod was stopped from outside, or its network was lost")
            ),
            (
                "a deleted Pod",
                try pod(
                    phase: "Failed", ended: done.merging(["exec-0": end(143, "143 oom=no")]) { $1 },
                    metadata: #","deletionTimestamp":"2026-01-31T11:10:00Z""#),
                .hostLost(reason: "its Pod on node node-7 was deleted")
            ),
            (
                "a Pod deleted by force",
                try pod(phase: "Pending", ended: ["tif": end(0, "0")], running: ["trec", "exec-0"]),
                .hostLost(reason: "its Pod on node node-7 vanished")
            ),
            (
                "a Pod that never ends", try pod(phase: "Pending", ended: done, isReadyToStart: false),
                .hostLost(reason: "its Pod on node node-7 lost its sandbox, so that nothing of it can run any more")
            ),
        ]
    }

    @Test func everyWayToEndHasItsCause() throws {
        for expected in try Self.outcomes() {
            let outcome = PodOutcome(expected.pod, job: nil, task: Self.task)
            #expect(outcome.cause == expected.cause, "\(expected.name)")
            #expect(PodOutcome(expected.pod, job: nil, task: Self.task, wasCanceled: true).cause == .canceled)
        }
    }

    /// The recorder's database was away for longer than `ack` waits: what all the others say holds.
    @Test(arguments: [
        ("0", "0 oom=no", "5 oom=no", true), ("0 upload-failed", "0 oom=no", "0 oom=no", false),
        ("0", "1 oom=no", "0 oom=no", false),
    ])
    func whatIsDoneIsDoneThoughNobodyRecordedIt(
        _ upload: String, _ first: String, _ ignored: String, _ isComplete: Bool
    ) throws {
        let pod = try Self.pod(
            phase: "Failed",
            ended: [
                "trec": Self.end(0), "tif": Self.end(0, "0"), "exec-0": Self.end(0, first),
                "exec-1": Self.end(0, ignored), "tof": Self.end(0, upload), "ack": Self.end(1, "1 no verdict came"),
            ])
        let outcome = PodOutcome(pod, job: nil, task: Self.task)
        #expect((outcome.cause == .completed) == isComplete)
        #expect(outcome.lines.contains(PodOutcome.unreported) == (isComplete || first.hasPrefix("1")))
    }

    @Test func whatIsKnownOfExecutorsIsKept() throws {
        let pod = try Self.pod(
            phase: "Failed",
            ended: ["exec-0": Self.end(0, "0 oom=no"), "exec-1": Self.end(1, "7 oom=yes", reason: "OOMKilled")])
        let outcome = PodOutcome(pod, job: nil, task: Self.task)
        #expect(outcome.executors.map { $0.log.exitCode } == [0, 7])
        #expect(outcome.executors[0].log.startTime?.text == "2026-01-31T11:00:01.000Z")
        #expect(
            outcome.lines.contains {
                $0.hasPrefix("the outputs were not uploaded: after an executor has run out of memory")
            })
        #expect(
            PodOutcome(nil, job: nil, task: Self.task).cause
                == .hostLost(reason: "its Pod is gone, and nobody knows why"))
    }

    /// Why Pods do not go on.
    static func obstacles() throws -> [(name: String, pod: PodReading, kind: Obstacle.Kind?, part: PodPart?)] {
        func stuck(_ container: String, _ reason: String, ended: [String: String] = [:]) throws -> PodReading {
            try pod(
                phase: "Pending", ended: ended, waiting: [container: #"{"reason":"\#(reason)","message":"why"}"#],
                running: container == "trec" ? [] : ["trec"])
        }
        func unschedulable(_ message: String) throws -> PodReading {
            let json = """
                {"metadata":{"name":"p","uid":"u","labels":{"batch.kubernetes.io/job-name":"j"}},"status":{"phase":"Pending",
                "conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"\(message)"}]}}
                """
            return try #require(PodReading(try Pod(json: Array(json.utf8))))
        }
        let staged = ["tif": end(0, "0")]
        return [
            ("an image", try stuck("exec-0", "ErrImagePull", ended: staged), .image, .executor(0)),
            ("an image, later", try stuck("exec-0", "ImagePullBackOff", ended: staged), .image, .executor(0)),
            ("a name that is none", try stuck("exec-1", "InvalidImageName", ended: staged), .image, .executor(1)),
            ("our own image", try stuck("trec", "ErrImagePull"), .image, .trec),
            ("a Secret", try stuck("trec", "CreateContainerConfigError"), .configuration, .trec),
            ("a crashing recorder", try stuck("trec", "CrashLoopBackOff"), .recorderEnds, .trec),
            (
                "a recorder that ended", try pod(phase: "Pending", ended: ["trec": end(1)], running: ["tif"]),
                .recorderEnds, .trec
            ),
            ("a recorder that does not claim", try pod(phase: "Pending", running: ["trec", "tif"]), .recorder, .trec),
            ("volumes", try pod(phase: "Pending", isReadyToStart: false), .mount, nil),
            ("nothing yet", try pod(phase: "Pending"), nil, nil),
            ("an executor that runs", try pod(phase: "Pending", ended: staged, running: ["trec", "exec-0"]), nil, nil),
            (
                "an executor that runs without its recorder",
                try pod(phase: "Pending", ended: ["trec": end(1)], running: ["exec-0"]), nil, nil
            ),
            (
                "for ever",
                try pod(phase: "Pending", ended: ["trec": end(0), "tif": end(0, "0")], isReadyToStart: false),
                .neverEnds, nil
            ),
            ("an end", try pod(phase: "Failed", ended: ["trec": end(0)], isReadyToStart: false), nil, nil),
            (
                "a deletion",
                try pod(
                    phase: "Pending", metadata: #","deletionTimestamp":"2026-01-31T11:10:00Z""#, isReadyToStart: false),
                nil, nil
            ),
            (
                "too little CPU",
                try unschedulable("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes"),
                .capacity, nil
            ),
            (
                "a disk",
                try unschedulable(
                    "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"),
                .volumeClaim, nil
            ),
            (
                "a selector",
                try unschedulable("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."),
                .nodeSelector, nil
            ),
            (
                "a selector on a full cluster",
                try unschedulable(
                    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 Insufficient memory."
                ),
                .capacity, nil
            ),
            (
                "a taint of the operator's",
                try unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}."),
                .nodeSelector, nil
            ),
            (
                "nodes that are away",
                try unschedulable(
                    "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }."),
                .capacity, nil
            ),
            ("no nodes", try unschedulable("no nodes available to schedule pods"), .capacity, nil),
            (
                "no room beside a taint",
                try unschedulable(
                    "0/3 nodes are available: 1 node(s) exceed max volume count, 2 node(s) had untolerated taint {dedicated: gpu}. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
                ),
                .capacity, nil
            ),
            (
                "other Pods that keep away",
                try unschedulable("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."),
                .capacity, nil
            ),
            (
                "a taint and a selector, and what preemption says",
                try unschedulable(
                    "0/3 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}, 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
                ),
                .nodeSelector, nil
            ),
            (
                "a node that is new",
                try unschedulable(
                    "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {node.cloudprovider.kubernetes.io/uninitialized: true}."
                ),
                .capacity, nil
            ),
        ]
    }

    @Test func everyObstacleIsRecognised() throws {
        for expected in try Self.obstacles() {
            let obstacle = Obstacle(expected.pod)
            #expect(obstacle?.kind == expected.kind, "\(expected.name)")
            #expect(obstacle?.part == expected.part, "\(expected.name)")
        }
    }

    @Test func eventsSayWhatNoStatusDoes() throws {
        func event(_ kind: String, _ reason: String, _ message: String, _ second: Int, type: String = "Warning") throws
            -> Event
        {
            let json = """
                {"metadata":{"name":"e"},"involvedObject":{"kind":"\(kind)"},"type":"\(type)","reason":"\(reason)",
                "message":"\(message)","lastTimestamp":"2026-01-31T12:00:0\(second)Z"}
                """
            return try Event(json: Array(json.utf8))
        }
        let quota = #"Error creating: pods \"a-9dk8r\" is forbidden: exceeded quota: no-pods"#
        var reading = EventReading([
            try event("Pod", "FailedMount", "newer", 5), try event("Pod", "FailedMount", "older", 3),
            try event("Job", "FailedCreate", quota, 1), try event("Pod", "Pulled", "image", 9, type: "Normal"),
            try event("PersistentVolumeClaim", "ProvisioningFailed", "no such class", 2),
        ])
        #expect(reading.mount == "newer")
        #expect(reading.volumeClaim == "no such class")
        #expect(reading.job == Obstacle(.capacity, text: "exceeded quota: no-pods"))
        #expect(reading.refined(Obstacle(.noPod, text: "x")).kind == .capacity)
        #expect(reading.refined(Obstacle(.mount, text: "x")).text == "newer")
        #expect(reading.refined(Obstacle(.volumeClaim, text: "x")).text == "x: no such class")
        #expect(reading.refined(Obstacle(.image, text: "x")).text == "x")
        reading = EventReading([
            try event("Job", "FailedCreate", #"Error creating: pods \"a-9dk8r\" is forbidden: violates PodSecurity"#, 1)
        ])
        #expect(reading.job == Obstacle(.admission, text: "violates PodSecurity"))
        for (text, kind) in [
            (#"admission webhook \"a.b\" denied the request: no"#, Obstacle.Kind.admission),
            (#"Pod \"a-9dk8r\" is invalid: spec.x: Required value"#, .admission),
            (#"pods \"a-9dk8r\" is forbidden: status unknown for quota: q, resources: pods"#, .capacity),
            (#"Internal error occurred: failed calling webhook \"a.b\": connection refused"#, .noPod),
            (#"failed calling webhook \"a.b\": 403: is forbidden"#, .noPod), ("etcdserver: request timed out", .noPod),
            ("Operation cannot be fulfilled on resourcequotas", .noPod),
        ] {
            reading = EventReading([try event("Job", "FailedCreate", "Error creating: " + text, 1)])
            #expect(reading.job?.kind == kind, "\(text)")
        }
    }

    @Test func obstaclesAreToldInTheUsersWords() throws {
        for kind in Obstacle.Kind.allCases {
            let parts: [PodPart?] = kind == .image || kind == .configuration ? [.executor(1), .trec] : [nil]
            for part in parts {
                let cause = Obstacle(kind, part: part, text: "why").cause(Self.task, minutes: 5)
                #expect(cause.state == TESState.systemError && cause.sentence?.isEmpty == false, "\(kind)")
                if kind != .noPod { #expect(cause.sentence?.contains("why") == true, "\(kind)") }
            }
        }
        #expect(
            Obstacle(.image, part: .executor(1), text: "not found").cause(Self.task, minutes: 5)
                == .imageUnavailable(position: 1, image: "two:2", reason: "not found"))
    }

    @Test(arguments: [
        ("0", 0, ""), ("42 oom=no\n", 42, "oom=no"), ("143 never ran", 143, "never ran"),
        ("1 404 from storage\nmore", 1, "404 from storage"),
    ])
    func aTerminationMessageIsAnExitCodeAndWords(_ text: String, _ code: Int32, _ words: String) {
        #expect(TerminationReport(text)?.exitCode == code)
        #expect(TerminationReport(text)?.words == words)
    }

    @Test(arguments: ["", "\n", "skipped", "4x oom=no", "99999999999 oom=no"])
    func anythingElseIsNoReport(_ text: String) { #expect(TerminationReport(text) == nil) }
}
