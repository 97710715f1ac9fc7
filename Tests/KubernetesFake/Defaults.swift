/// What the API server fills in, as the recorded `create.response.json` show it.
extension Cluster {
    func setDefaults(_ object: inout JSON, _ resource: Resource) {
        switch resource {
        case .jobs: Self.setJobDefaults(&object)
        case .pods: Self.setPodDefaults(&object)
        case .persistentvolumeclaims:
            object["spec"]["volumeMode"] = object["spec"]["volumeMode"] ?? "Filesystem"
            if object["spec"]["storageClassName"] == nil, let name = policy.storageClasses.first {
                object["spec"]["storageClassName"] = .string(name)
            }
            if object["metadata"]["uid"] == nil {
                object["metadata"]["finalizers"] = ["kubernetes.io/pvc-protection"]
                object["status"] = ["phase": "Pending"]
            }
        case .secrets:
            object["type"] = object["type"] ?? "Opaque"
        default: break
        }
    }

    private static func fill(_ object: inout JSON?, _ defaults: [String: JSON]) {
        for (key, value) in defaults where object[key] == nil { object[key] = value }
    }

    private static func setJobDefaults(_ job: inout JSON) {
        fill(
            &job["spec"],
            [
                "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": false, "manualSelector": false,
                "podReplacementPolicy": "TerminatingOrFailed", "parallelism": 1, "completions": 1,
            ])
        if job["metadata"]["uid"] == nil {
            let uid = JSON.string(makeUID())
            job["metadata"]["uid"] = uid
            job["spec"]["selector"] = ["matchLabels": ["batch.kubernetes.io/controller-uid": uid]]
            for prefix in ["batch.kubernetes.io/", ""] {
                job["spec"]["template"]["metadata"]["labels"][prefix + "controller-uid"] = uid
                job["spec"]["template"]["metadata"]["labels"][prefix + "job-name"] = job["metadata"]["name"]
            }
            // The server gives a Job without labels those of its template.
            if job["metadata"]["labels"] == nil {
                job["metadata"]["labels"] = job["spec"]["template"]["metadata"]["labels"]
            }
            job["status"] = [:]
        }
        var spec = job["spec"]["template"]["spec"] ?? [:]
        setSpecDefaults(&spec)
        job["spec"]["template"]["spec"] = spec
    }

    private static func setSpecDefaults(_ spec: inout JSON) {
        var wrapped: JSON? = spec
        fill(
            &wrapped,
            [
                "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "securityContext": [:],
                "schedulerName": "default-scheduler", "restartPolicy": "Always",
            ])
        spec = wrapped ?? spec
        if let name = spec["serviceAccountName"] { spec["serviceAccount"] = name }
        for list in ["initContainers", "containers"] where spec[list] != nil {
            spec[list] = .array(spec[list].items.map(withDefaults))
        }
        if spec["volumes"] != nil {
            spec["volumes"] = .array(
                spec["volumes"].items.map { volume in
                    var volume = volume
                    for kind in ["projected", "secret", "configMap", "downwardAPI"]
                    where volume[kind] != nil && volume[kind]["defaultMode"] == nil {
                        volume[kind]["defaultMode"] = 420
                    }
                    return volume
                })
        }
    }

    private static func withDefaults(_ container: JSON) -> JSON {
        var wrapped: JSON? = container
        let image = container["image"].text ?? ""
        let tag = image.split(separator: "/").last?.contains(/[:@]/) == true
        fill(
            &wrapped,
            [
                "resources": [:], "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "imagePullPolicy": tag && !image.hasSuffix(":latest") ? "IfNotPresent" : "Always",
            ])
        var result = wrapped ?? container
        for list in ["command", "args"] where result[list] == [] { result[list] = nil }
        if let limits = result["resources"]["limits"] {
            for (name, value) in limits.members where result["resources"]["requests"][name] == nil {
                result["resources"]["requests"][name] = value
            }
        }
        result["env"] = result["env"].map { list in
            .array(
                list.items.map { item in
                    var item = item
                    if item["valueFrom"]["fieldRef"] != nil, item["valueFrom"]["fieldRef"]["apiVersion"] == nil {
                        item["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
                    }
                    return item
                })
        }
        return result
    }

    private static func setPodDefaults(_ pod: inout JSON) {
        var spec = pod["spec"] ?? [:]
        setSpecDefaults(&spec)
        if pod["metadata"]["uid"] == nil {
            var wrapped: JSON? = spec
            fill(
                &wrapped,
                [
                    "serviceAccountName": "default", "serviceAccount": "default", "priority": 0,
                    "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
                ])
            spec = wrapped ?? spec
            var tolerations = spec["tolerations"].items
            for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
            where !tolerations.contains(where: { $0["key"].text == key && $0["effect"] != "NoSchedule" }) {
                tolerations.append([
                    "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
                ])
            }
            spec["tolerations"] = .array(tolerations)
            pod["status"] = ["phase": "Pending", "qosClass": .string(qualityOfService(spec))]
        }
        pod["spec"] = spec
    }

    private static func qualityOfService(_ spec: JSON) -> String {
        let resources = (spec["initContainers"].items + spec["containers"].items).map { $0["resources"] }
        if resources.allSatisfy({ $0["requests"].members.isEmpty && $0["limits"].members.isEmpty }) {
            return "BestEffort"
        }
        let guaranteed = resources.allSatisfy { resources in
            ["cpu", "memory"].allSatisfy { name in
                resources["limits"][name] != nil && resources["limits"][name] == resources["requests"][name]
            }
        }
        return guaranteed ? "Guaranteed" : "Burstable"
    }
}
