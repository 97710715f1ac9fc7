/// A node's state that is not in its object.
struct NodeState {
    /// Whether the kubelet works.
    var up = true
    /// What the kubelet does when it is back.
    var deferred: [Timeline.Action] = []
    /// Raised whenever the kubelet stops, so that what was planned for that outage can tell.
    var outage = 0
}

/// Binds Pods to nodes, and looks after nodes whose kubelet is away.
extension Cluster {
    /// Adds a node that is ready.
    /// - Parameters:
    ///   - capacity: `cpu`, `memory` and so on.
    ///   - labels: beside the usual ones.
    package func addNode(
        _ name: String, capacity: [String: String] = ["cpu": "2", "memory": "8Gi", "pods": "11000"],
        labels: [String: String] = [:]
    ) {
        nodes[name] = NodeState()
        var all = ["kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"]
        all.merge(labels) { _, new in new }
        let amounts = JSON.object(capacity.mapValues(JSON.string))
        insert(
            .nodes,
            [
                "metadata": ["name": .string(name), "labels": .object(all.mapValues(JSON.string))], "spec": [:],
                "status": [
                    "capacity": amounts, "allocatable": amounts,
                    "conditions": [readiness("True", "KubeletReady", "kubelet is posting ready status")],
                    "addresses": [["type": "InternalIP", "address": "192.0.2.2"]],
                ],
            ])
    }

    private func readiness(_ status: String, _ reason: String, _ message: String) -> JSON {
        [
            "type": "Ready", "status": .string(status), "lastHeartbeatTime": timestamp, "lastTransitionTime": timestamp,
            "reason": .string(reason), "message": .string(message),
        ]
    }

    func scheduleWaiting() {
        for key in unscheduled { after(0.004) { $0.schedule(key) } }
    }

    /// Binds a Pod if there is a place for it, else says why not.
    func schedule(_ key: ObjectKey) {
        guard let pod = object(.pods, key), pod["spec"]["nodeName"] == nil else {
            unscheduled.remove(key)
            return
        }
        if pod["metadata"]["deletionTimestamp"] != nil { return }
        if !pod["spec"]["schedulingGates"].items.isEmpty { return }
        switch place(pod) {
        case .success(let node):
            unscheduled.remove(key)
            update(.pods, key) { pod in
                pod["spec"]["nodeName"] = .string(node)
                setPodCondition(
                    [
                        "type": "PodScheduled", "status": "True", "lastProbeTime": .null,
                        "lastTransitionTime": timestamp,
                    ], in: &pod)
            }
            recordSchedulerEvent(
                pod, type: "Normal", reason: "Scheduled", message: "Successfully assigned \(key) to \(node)",
                action: "Binding")
        case .failure(let refusal):
            let new = !unscheduled.contains(key)
            unscheduled.insert(key)
            let message = "0/\(nodes.count) nodes are available: \(refusal.message)"
            let old = pod["status"]["conditions"].items.first { $0["type"] == "PodScheduled" }
            if !new && old["message"].text == message { return }
            update(.pods, key) { pod in
                setPodCondition(
                    [
                        "type": "PodScheduled", "observedGeneration": pod["metadata"]["generation"] ?? 1,
                        "status": "False", "lastProbeTime": .null, "lastTransitionTime": timestamp,
                        "reason": "Unschedulable", "message": .string(message),
                    ], in: &pod)
            }
            recordSchedulerEvent(
                pod, type: "Warning", reason: "FailedScheduling", message: message, action: "Scheduling")
        }
    }

    func setPodCondition(_ condition: JSON, in pod: inout JSON) {
        var conditions = pod["status"]["conditions"].items
        if let index = conditions.firstIndex(where: { $0["type"] == condition["type"] }) {
            conditions[index] = condition
        } else {
            conditions.append(condition)
        }
        pod["status"]["conditions"] = .array(conditions)
    }

    private struct Refusal: Error { var message: String }

    private func place(_ pod: JSON) -> Result<String, Refusal> {
        let namespace = pod["metadata"]["namespace"].text ?? ""
        for name in claims(of: pod) {
            guard let claim = object(.persistentvolumeclaims, ObjectKey(namespace, name)) else {
                return .failure(Refusal(message: "persistentvolumeclaim \"\(name)\" not found. not found"))
            }
            if claim["metadata"]["deletionTimestamp"] != nil {
                return .failure(Refusal(message: "persistentvolumeclaim \"\(name)\" is being deleted. not found"))
            }
            if claim["status"]["phase"] != "Bound" {
                return .failure(Refusal(message: "pod has unbound immediate PersistentVolumeClaims. not found"))
            }
        }
        var reasons: [String: Int] = [:]
        for name in nodes.keys.sorted() {
            guard let node = object(.nodes, ObjectKey("", name)) else { continue }
            guard let reason = misfit(pod, node) else { return .success(name) }
            reasons[reason, default: 0] += 1
        }
        let texts = reasons.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        return .failure(
            Refusal(
                message: "\(texts). no new claims to deallocate, preemption: 0/\(nodes.count) nodes are available: "
                    + "\(nodes.count) Preemption is not helpful for scheduling."))
    }

    /// Why a Pod cannot run on a node; nil if it can. Amounts are compared with the whole node: nothing is counted as used.
    private func misfit(_ pod: JSON, _ node: JSON) -> String? {
        let tolerations = pod["spec"]["tolerations"].items
        for taint in node["spec"]["taints"].items where taint["effect"] != "PreferNoSchedule" {
            if !tolerations.contains(where: { tolerates($0, taint) && taint["effect"] != "NoSchedule" }),
                !tolerations.contains(where: { tolerates($0, taint) && $0["tolerationSeconds"] == nil })
            {
                return "node(s) had untolerated taint(s)"
            }
        }
        for (key, value) in pod["spec"]["nodeSelector"].texts where node["metadata"]["labels"][key].text != value {
            return "node(s) didn't match Pod's node affinity/selector"
        }
        let required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        let terms = required["nodeSelectorTerms"].items
        let fits = terms.contains { term in
            term["matchExpressions"].items.allSatisfy { expression in
                let value = node["metadata"]["labels"][expression["key"].text ?? ""]
                let among = value.map(expression["values"].items.contains) ?? false
                switch expression["operator"].text {
                case "In": return among
                case "NotIn": return !among
                case "Exists": return value != nil
                default: return value == nil
                }
            }
        }
        if !terms.isEmpty && !fits { return "node(s) didn't match Pod's node affinity/selector" }
        for name in ["cpu", "memory", "ephemeral-storage"] {
            guard let most = Quantity.value(node["status"]["allocatable"][name]) else { continue }
            let asked = { (list: String) in
                pod["spec"][list].items.map { Quantity.value($0["resources"]["requests"][name]) ?? 0 }
            }
            let needed = max(asked("initContainers").max() ?? 0, asked("containers").reduce(0, +))
            if needed > most { return "Insufficient \(name)" }
        }
        return nil
    }

    private func tolerates(_ toleration: JSON, _ taint: JSON) -> Bool {
        (toleration["key"] == nil || toleration["key"] == taint["key"])
            && (toleration["effect"] == nil || toleration["effect"] == taint["effect"])
            && (toleration["operator"] == "Exists" || toleration["value"] == taint["value"])
    }

    /// The node's kubelet stops. Containers run on; after a while the node is `Unknown`, and if another node is well, Pods that do
    /// not tolerate it are deleted.
    package func stopKubelet(_ name: String) {
        guard nodes[name]?.up == true else { return }
        nodes[name]?.up = false
        nodes[name]?.outage += 1
        let outage = nodes[name]?.outage
        after(timing.nodeGrace) { cluster in
            guard let node = cluster.nodes[name], !node.up, node.outage == outage else { return }
            cluster.markUnknown(name)
        }
    }

    private func markUnknown(_ name: String) {
        let alone = !nodes.contains { $0.key != name && $0.value.up }
        update(.nodes, ObjectKey("", name)) { node in
            node["status"]["conditions"] = [
                readiness("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
            ]
            var taints: [JSON] = [["key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"]]
            if !alone { taints.append(["key": "node.kubernetes.io/unreachable", "effect": "NoExecute"]) }
            node["spec"]["taints"] = .array(taints)
        }
        if alone { return }
        let outage = nodes[name]?.outage
        for (key, pod) in objects[.pods] ?? [:] where pod["spec"]["nodeName"].text == name {
            let toleration = pod["spec"]["tolerations"].items.first { $0["key"] == "node.kubernetes.io/unreachable" }
            guard toleration == nil || toleration["tolerationSeconds"] != nil else { continue }
            after(Double(toleration["tolerationSeconds"].int ?? 0)) { cluster in
                guard let node = cluster.nodes[name], !node.up, node.outage == outage else { return }
                cluster.deleteByTaint(key)
            }
        }
    }

    private func deleteByTaint(_ key: ObjectKey) {
        guard let pod = object(.pods, key), pod["metadata"]["deletionTimestamp"] == nil else { return }
        recordEvent(
            .pods, pod, type: "Normal", reason: "TaintManagerEviction",
            message: "Marking for deletion Pod \(key)", component: "taint-eviction-controller")
        disrupt(key, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
    }

    /// Deletes a Pod whose condition says first why.
    func disrupt(_ key: ObjectKey, _ reason: String, _ message: String, _ options: JSON = [:]) {
        update(.pods, key) { pod in
            setPodCondition(
                [
                    "type": "DisruptionTarget", "observedGeneration": pod["metadata"]["generation"] ?? 1,
                    "status": "True",
                    "lastProbeTime": .null, "lastTransitionTime": timestamp, "reason": .string(reason),
                    "message": .string(message),
                ], in: &pod)
        }
        startDeletion(.pods, key, options)
    }

    /// The node's kubelet works again.
    package func startKubelet(_ name: String) {
        guard let node = nodes[name], !node.up else { return }
        nodes[name]?.up = true
        nodes[name]?.deferred = []
        update(.nodes, ObjectKey("", name)) { node in
            node["status"]["conditions"] = [readiness("True", "KubeletReady", "kubelet is posting ready status")]
            node["spec"]["taints"] = nil
        }
        for action in node.deferred { after(1.2, action) }
    }
}
