/// The Job controller: one Pod for each Job that asks for one, and the Job's status, in the recorded order of writes.
extension Cluster {
    static let tracking: JSON = "batch.kubernetes.io/job-tracking"

    func jobChanged(_ change: Change) {
        guard let job = change.after else {
            if let uid = change.before["metadata"]["uid"].text {
                after(0.005) { cluster in
                    for key in cluster.dependents(of: uid, .pods) { cluster.release(key) }
                }
            }
            return
        }
        if change.before == nil {
            syncJob(change.key, in: 0.005)
        } else if change.before["spec"] != job["spec"] {
            syncJob(change.key, in: 0.004)
        } else if change.before["metadata"]["deletionTimestamp"] != job["metadata"]["deletionTimestamp"] {
            let uid = job["metadata"]["uid"].text
            after(0.001) { cluster in
                for key in cluster.dependents(of: uid, .pods) { cluster.release(key) }
            }
            syncJob(change.key, in: timing.jobSync)
        }
    }

    func jobOfPodChanged(_ change: Change) {
        let pod = change.after ?? change.before
        guard change.before != nil,
            let owner = pod["metadata"]["ownerReferences"].items.first(where: { $0["kind"] == "Job" }),
            let name = owner["name"].text
        else { return }
        syncJob(ObjectKey(change.key.namespace, name), in: timing.jobSync)
    }

    /// Has the controller look at a Job soon; an earlier look that is due already does for both.
    private func syncJob(_ key: ObjectKey, in seconds: Double) {
        let at = now + seconds
        if let due = jobSyncs[key], due <= at + 0.0005 { return }
        jobSyncs[key] = at
        after(seconds) { cluster in
            guard cluster.jobSyncs[key] == at else { return }
            cluster.jobSyncs[key] = nil
            cluster.sync(key)
        }
    }

    /// Takes the controller's hold off a Pod.
    private func release(_ key: ObjectKey) {
        update(.pods, key) { pod in
            let left = pod["metadata"]["finalizers"].items.filter { $0 != Self.tracking }
            pod["metadata"]["finalizers"] = left.isEmpty ? nil : .array(left)
        }
    }

    private func has(_ job: JSON, _ condition: String) -> Bool {
        job["status"]["conditions"].items.contains { $0["type"].text == condition && $0["status"] == "True" }
    }

    private func isOver(_ pod: JSON) -> Bool { ["Succeeded", "Failed"].contains(pod["status"]["phase"].text ?? "") }

    private func sync(_ key: ObjectKey) {
        guard let job = object(.jobs, key) else { return }
        if has(job, "Complete") || has(job, "Failed") { return expire(key, job) }
        let uid = job["metadata"]["uid"].text ?? ""
        let pods = dependents(of: uid, .pods).compactMap { key in object(.pods, key).map { (key, $0) } }
        let deleting = job["metadata"]["deletionTimestamp"] != nil
        let replacesEarly = job["spec"]["podReplacementPolicy"].text != "Failed"
        var active = pods.filter { !isOver($0.1) && $0.1["metadata"]["deletionTimestamp"] == nil }
        let held = pods.filter { $0.1["metadata"]["finalizers"].items.contains(Self.tracking) }
        let succeeded = held.filter { $0.1["status"]["phase"] == "Succeeded" }
        var failed = held.filter {
            $0.1["status"]["phase"] == "Failed"
                || replacesEarly && !isOver($0.1) && $0.1["metadata"]["deletionTimestamp"] != nil
        }
        if deleting {
            return writeCounts(key, active: active, pods)
        }
        if job["spec"]["suspend"] == true { return suspend(key, job, active) }

        var target = job["status"]["conditions"].items.first { $0["type"] == "FailureTarget" }
        if target == nil, let limit = job["spec"]["activeDeadlineSeconds"].int,
            let start = Timeline.seconds(job["status"]["startTime"].text)
        {
            if now >= start + Double(limit) {
                target = condition(
                    "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
                for (podKey, pod) in active {
                    startDeletion(.pods, podKey)
                    recordEvent(
                        .jobs, job, type: "Normal", reason: "SuccessfulDelete",
                        message: "Deleted pod: \(pod["metadata"]["name"].text ?? "")", component: "job-controller")
                    failed.append((podKey, object(.pods, podKey) ?? pod))
                }
                active = []
            } else {
                syncJob(key, in: start + Double(limit) - now)
            }
        }
        let failures = (job["status"]["failed"].int ?? 0) + failed.count
        if target == nil, failures > job["spec"]["backoffLimit"].int ?? 6 {
            target = condition(
                "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        }
        if succeeded.isEmpty, failed.isEmpty, target == nil, active.isEmpty, job["status"]["succeeded"] == nil {
            let waits = pods.contains { !isOver($0.1) }
            return waits ? writeCounts(key, active: active, pods) : createPod(key, job)
        }
        if succeeded.isEmpty && failed.isEmpty {
            writeCounts(key, active: active, pods)
            if let target { end(key, target) }
            return
        }
        count(key, target, active, succeeded.map(\.0), failed.map(\.0))
    }

    private func condition(_ type: String, _ reason: String, _ message: String, _ status: String = "True") -> JSON {
        [
            "type": .string(type), "status": .string(status), "lastProbeTime": timestamp,
            "lastTransitionTime": timestamp,
            "reason": .string(reason), "message": .string(message),
        ]
    }

    private func terminating(_ uid: String?) -> Int {
        dependents(of: uid, .pods).compactMap { object(.pods, $0) }.count {
            $0["metadata"]["deletionTimestamp"] != nil && !isOver($0)
        }
    }

    private func isReady(_ pod: JSON) -> Bool {
        pod["status"]["conditions"].items.contains { $0["type"] == "Ready" && $0["status"] == "True" }
    }

    private func writeCounts(_ key: ObjectKey, active: [(ObjectKey, JSON)], _ pods: [(ObjectKey, JSON)]) {
        update(.jobs, key) { job in
            job["status"]["active"] = active.isEmpty ? nil : .int(active.count)
            job["status"]["ready"] = .int(active.count { isReady($0.1) })
            job["status"]["terminating"] = .int(terminating(job["metadata"]["uid"].text))
            job["status"]["uncountedTerminatedPods"] = job["status"]["uncountedTerminatedPods"] ?? [:]
        }
    }

    /// Counts ended Pods: first as uncounted, then without their finalizer, then in the numbers.
    private func count(
        _ key: ObjectKey, _ target: JSON?, _ active: [(ObjectKey, JSON)], _ succeeded: [ObjectKey],
        _ failed: [ObjectKey]
    ) {
        func uids(_ keys: [ObjectKey]) -> JSON? {
            keys.isEmpty ? nil : .array(keys.compactMap { object(.pods, $0)?["metadata"]["uid"] })
        }
        update(.jobs, key) { job in
            job["status"]["active"] = active.isEmpty ? nil : .int(active.count)
            job["status"]["ready"] = .int(active.count { isReady($0.1) })
            job["status"]["terminating"] = .int(terminating(job["metadata"]["uid"].text))
            job["status"]["uncountedTerminatedPods"] = .of(["succeeded": uids(succeeded), "failed": uids(failed)])
            let reached =
                target
                ?? (succeeded.isEmpty
                    ? nil
                    : condition("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"))
            if let reached { setCondition(reached, in: &job) }
        }
        after(0.005) { cluster in
            for pod in succeeded + failed { cluster.release(pod) }
        }
        after(0.01) { cluster in
            var over: JSON?
            cluster.update(.jobs, key) { job in
                func add(_ field: String, _ number: Int) {
                    if number > 0 { job["status"][field] = .int((job["status"][field].int ?? 0) + number) }
                }
                add("succeeded", succeeded.count)
                add("failed", failed.count)
                job["status"]["uncountedTerminatedPods"] = [:]
                if cluster.terminating(job["metadata"]["uid"].text) == 0 {
                    over = cluster.finish(&job)
                }
            }
            cluster.announceEnd(key, over)
            if over == nil { cluster.syncJob(key, in: cluster.timing.jobSync) }
        }
    }

    private func end(_ key: ObjectKey, _ target: JSON) {
        guard let job = object(.jobs, key), terminating(job["metadata"]["uid"].text) == 0 else { return }
        after(0.005) { cluster in
            var over: JSON?
            cluster.update(.jobs, key) { over = cluster.finish(&$0) }
            cluster.announceEnd(key, over)
        }
    }

    /// Gives a Job whose end is decided its last condition. Returns that condition; nil if nothing is decided.
    private func finish(_ job: inout JSON) -> JSON? {
        let conditions = job["status"]["conditions"].items
        var last: JSON?
        if let target = conditions.first(where: { $0["type"] == "FailureTarget" }) {
            last = condition("Failed", target["reason"].text ?? "", target["message"].text ?? "")
        } else if let met = conditions.first(where: { $0["type"] == "SuccessCriteriaMet" }) {
            last = condition("Complete", met["reason"].text ?? "", met["message"].text ?? "")
            job["status"]["completionTime"] = timestamp
        }
        if let last { setCondition(last, in: &job) }
        return last
    }

    private func announceEnd(_ key: ObjectKey, _ last: JSON?) {
        guard let last, let job = object(.jobs, key) else { return }
        let failed = last["type"] == "Failed"
        recordEvent(
            .jobs, job, type: failed ? "Warning" : "Normal", reason: failed ? last["reason"].text ?? "" : "Completed",
            message: failed ? last["message"].text ?? "" : "Job completed", component: "job-controller")
        expire(key, job)
    }

    /// Deletes a Job when its time after the end is over.
    private func expire(_ key: ObjectKey, _ job: JSON) {
        guard let seconds = job["spec"]["ttlSecondsAfterFinished"].int,
            let last = job["status"]["conditions"].items.first(where: {
                $0["type"] == "Complete" || $0["type"] == "Failed"
            }),
            let ended = Timeline.seconds(last["lastTransitionTime"].text)
        else { return }
        let uid = job["metadata"]["uid"]
        after(ended + Double(seconds) - now) { cluster in
            guard let job = cluster.object(.jobs, key), job["metadata"]["uid"] == uid,
                job["metadata"]["deletionTimestamp"] == nil
            else { return }
            cluster.startDeletion(.jobs, key, ["propagationPolicy": "Foreground"])
        }
    }

    private func setCondition(_ new: JSON, in job: inout JSON) {
        var conditions = job["status"]["conditions"].items
        if let index = conditions.firstIndex(where: { $0["type"] == new["type"] }) {
            if conditions[index]["status"] == new["status"] { return }
            conditions[index] = new
        } else {
            conditions.append(new)
        }
        job["status"]["conditions"] = .array(conditions)
    }

    private func suspend(_ key: ObjectKey, _ job: JSON, _ active: [(ObjectKey, JSON)]) {
        for (podKey, pod) in active {
            release(podKey)
            startDeletion(.pods, podKey)
            recordEvent(
                .jobs, job, type: "Normal", reason: "SuccessfulDelete",
                message: "Deleted pod: \(pod["metadata"]["name"].text ?? "")", component: "job-controller")
        }
        let before = has(job, "Suspended")
        update(.jobs, key) { job in
            setCondition(condition("Suspended", "JobSuspended", "Job suspended"), in: &job)
            job["status"]["startTime"] = nil
            job["status"]["active"] = nil
            job["status"]["ready"] = 0
            job["status"]["terminating"] = .int(terminating(job["metadata"]["uid"].text))
            job["status"]["uncountedTerminatedPods"] = [:]
        }
        if !before {
            recordEvent(
                .jobs, job, type: "Normal", reason: "Suspended", message: "Job suspended", component: "job-controller")
        }
    }

    private func createPod(_ key: ObjectKey, _ job: JSON) {
        let name = key.name
        let template = job["spec"]["template"]
        var pod: JSON = [
            "metadata": [
                "name": .string(freeName(name + "-", .pods, key.namespace)), "generateName": .string(name + "-"),
                "namespace": .string(key.namespace), "finalizers": [Self.tracking],
                "ownerReferences": [
                    [
                        "apiVersion": "batch/v1", "kind": "Job", "name": .string(name),
                        "uid": job["metadata"]["uid"] ?? .null, "controller": true, "blockOwnerDeletion": true,
                    ]
                ],
            ]
        ]
        pod["metadata"]["labels"] = template["metadata"]["labels"]
        pod["metadata"]["annotations"] = template["metadata"]["annotations"]
        pod["spec"] = template["spec"]
        setDefaults(&pod, .pods)
        var refusal: StatusError?
        do throws(StatusError) { try admit(pod) } catch { refusal = error }
        let podName = pod["metadata"]["name"].text ?? ""
        if let refusal {
            recordEvent(
                .jobs, job, type: "Warning", reason: "FailedCreate", message: "Error creating: \(refusal.message)",
                component: "job-controller")
            let tries = jobFailures[key, default: 0]
            jobFailures[key] = tries + 1
            syncJob(key, in: min(600, Double(1 << min(tries, 9))))
        } else {
            jobFailures[key] = nil
            insert(.pods, pod)
            recordEvent(
                .jobs, job, type: "Normal", reason: "SuccessfulCreate", message: "Created pod: \(podName)",
                component: "job-controller")
        }
        let resumed = has(job, "Suspended")
        let created = refusal == nil
        after(0.006) { cluster in
            cluster.update(.jobs, key) { job in
                if resumed {
                    cluster.setCondition(
                        cluster.condition("Suspended", "JobResumed", "Job resumed", "False"), in: &job)
                }
                job["status"]["startTime"] = job["status"]["startTime"] ?? cluster.timestamp
                job["status"]["active"] = created ? 1 : nil
                job["status"]["terminating"] = 0
                job["status"]["uncountedTerminatedPods"] = [:]
                job["status"]["ready"] = 0
            }
            guard let job = cluster.object(.jobs, key) else { return }
            if resumed {
                cluster.recordEvent(
                    .jobs, job, type: "Normal", reason: "Resumed", message: "Job resumed", component: "job-controller")
            }
            if let limit = job["spec"]["activeDeadlineSeconds"].int { cluster.syncJob(key, in: Double(limit)) }
        }
    }
}
