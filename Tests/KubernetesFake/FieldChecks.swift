/// Which fields the fake knows, where a wrong one would do harm unseen: `fieldValidation=Strict` refuses others (400), else they
/// are dropped with a `Warning` header. Objects whose fields are not listed here are taken as they are.
extension Cluster {
    private static let metadata: Set = [
        "name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers", "uid",
        "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "managedFields", "selfLink",
    ]
    private static let top: Set = ["apiVersion", "kind", "metadata", "spec", "status"]
    private static let jobSpec: Set = [
        "parallelism", "completions", "activeDeadlineSeconds", "podFailurePolicy", "successPolicy", "backoffLimit",
        "backoffLimitPerIndex", "maxFailedIndexes", "selector", "manualSelector", "template", "ttlSecondsAfterFinished",
        "completionMode", "suspend", "podReplacementPolicy", "managedBy",
    ]
    private static let podSpec: Set = [
        "volumes", "initContainers", "containers", "ephemeralContainers", "restartPolicy",
        "terminationGracePeriodSeconds", "activeDeadlineSeconds", "dnsPolicy", "nodeSelector", "serviceAccountName",
        "serviceAccount", "automountServiceAccountToken", "nodeName", "hostNetwork", "hostPID", "hostIPC",
        "shareProcessNamespace", "securityContext", "imagePullSecrets", "hostname", "subdomain", "affinity",
        "schedulerName", "tolerations", "hostAliases", "priorityClassName", "priority", "dnsConfig", "readinessGates",
        "runtimeClassName", "enableServiceLinks", "preemptionPolicy", "overhead", "topologySpreadConstraints",
        "setHostnameAsFQDN", "os", "hostUsers", "schedulingGates", "resourceClaims", "resources",
    ]
    private static let container: Set = [
        "name", "image", "command", "args", "workingDir", "ports", "envFrom", "env", "resources", "resizePolicy",
        "restartPolicy", "restartPolicyRules", "volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe",
        "startupProbe", "lifecycle", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy",
        "securityContext", "stdin", "stdinOnce", "tty",
    ]
    private static let volumeMount: Set = [
        "name", "readOnly", "recursiveReadOnly", "mountPath", "subPath", "mountPropagation", "subPathExpr",
    ]
    private static let claimSpec: Set = [
        "accessModes", "selector", "resources", "volumeName", "storageClassName", "volumeMode", "dataSource",
        "dataSourceRef", "volumeAttributesClassName",
    ]
    private static let leaseSpec: Set = [
        "holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions", "strategy",
        "preferredHolder",
    ]

    /// Drops unknown fields and returns the headers that say so. Throws 400 for a wrong type, and in strict mode for an unknown
    /// field.
    static func checkFields(
        _ object: inout JSON, _ resource: Resource, _ request: APIRequest
    ) throws(StatusError) -> [(String, String)] {
        let version = resource.apiVersion.split(separator: "/").last ?? "v1"
        func refuse(_ why: String) -> StatusError {
            .badRequest("\(resource.kind) in version \"\(version)\" cannot be handled as a \(resource.kind): \(why)")
        }
        try checkTypes(object, resource)
        var unknown: [String] = []
        keep(metadata, of: &object["metadata"], "metadata", &unknown)
        switch resource {
        case .jobs:
            keep(top, of: &object, &unknown)
            keep(jobSpec, of: &object["spec"], "spec", &unknown)
            checkPodSpec(&object["spec"]["template"]["spec"], "spec.template.spec", &unknown)
        case .pods:
            keep(top, of: &object, &unknown)
            checkPodSpec(&object["spec"], "spec", &unknown)
        case .persistentvolumeclaims:
            keep(top, of: &object, &unknown)
            keep(claimSpec, of: &object["spec"], "spec", &unknown)
        case .leases:
            keep(top, of: &object, &unknown)
            keep(leaseSpec, of: &object["spec"], "spec", &unknown)
        default: break
        }
        if unknown.isEmpty { return [] }
        let texts = unknown.map { "unknown field \"\($0)\"" }
        switch request.query["fieldValidation"] ?? "Warn" {
        case "Strict": throw refuse("strict decoding error: " + texts.joined(separator: ", "))
        case "Ignore": return []
        default: return texts.map { ("Warning", "299 - \"\($0.replacing("\"", with: "\\\""))\"") }
        }
    }

    /// Integers that are something else: one 400, as the decoder stops at the first.
    private static func checkTypes(_ object: JSON, _ resource: Resource) throws(StatusError) {
        if resource == .leases { try checkLeaseTimes(object["spec"]) }
        guard resource == .jobs else { return }
        for field in ["backoffLimit", "parallelism", "completions", "ttlSecondsAfterFinished", "activeDeadlineSeconds"]
        {
            guard let value = object["spec"][field], value != .null, value.int == nil else { continue }
            throw .badRequest(
                "Job in version \"v1\" cannot be handled as a Job: json: cannot unmarshal \(typeName(value)) into Go struct "
                    + "field JobSpec.spec.\(field) of type int32")
        }
    }

    private static func typeName(_ value: JSON) -> String {
        switch value {
        case .string: "string"
        case .bool: "bool"
        case .array: "array"
        case .object: "object"
        default: "number"
        }
    }

    private static func checkPodSpec(_ spec: inout JSON?, _ path: String, _ unknown: inout [String]) {
        keep(podSpec, of: &spec, path, &unknown)
        for list in ["initContainers", "containers"] where spec[list] != nil {
            var containers = spec[list].items
            for index in containers.indices {
                let place = "\(path).\(list)[\(index)]"
                var wrapped: JSON? = containers[index]
                keep(container, of: &wrapped, place, &unknown)
                if wrapped["volumeMounts"] != nil {
                    var mounts = wrapped["volumeMounts"].items
                    for number in mounts.indices {
                        var mount: JSON? = mounts[number]
                        keep(volumeMount, of: &mount, "\(place).volumeMounts[\(number)]", &unknown)
                        mounts[number] = mount ?? .null
                    }
                    wrapped["volumeMounts"] = .array(mounts)
                }
                containers[index] = wrapped ?? .null
            }
            spec[list] = .array(containers)
        }
    }

    private static func keep(_ known: Set<String>, of object: inout JSON, _ unknown: inout [String]) {
        var wrapped: JSON? = object
        keep(known, of: &wrapped, "", &unknown)
        object = wrapped ?? object
    }

    private static func keep(_ known: Set<String>, of object: inout JSON?, _ path: String, _ unknown: inout [String]) {
        for field in object.members.keys.sorted() where !known.contains(field) {
            unknown.append(path.isEmpty ? field : "\(path).\(field)")
            object[field] = nil
        }
    }
}
