/// What may be created at all: quota and PodSecurity.
extension Cluster {
    /// Throws 403 for a Pod that the namespace's quota or its PodSecurity level does not admit.
    func admit(_ pod: JSON) throws(StatusError) {
        let namespace = pod["metadata"]["namespace"].text ?? ""
        let name = pod["metadata"]["name"].text ?? ""
        func refuse(_ why: String) -> StatusError {
            StatusError(
                403, "Forbidden", "pods \"\(name)\" is forbidden: \(why)",
                details: ["name": .string(name), "kind": "pods"])
        }
        if policy.restricted.contains(namespace), let why = Self.violations(pod["spec"]) {
            throw refuse("violates PodSecurity \"restricted:latest\": \(why)")
        }
        if let limit = policy.podQuota[namespace] {
            let used = (objects[.pods] ?? [:]).count {
                $0.key.namespace == namespace
                    && !["Succeeded", "Failed"].contains($0.value["status"]["phase"].text ?? "")
            }
            if used >= limit {
                throw refuse(
                    "exceeded quota: \(policy.quotaName), requested: pods=1, used: pods=\(used), limited: pods=\(limit)"
                )
            }
        }
    }

    /// How a Pod breaks the level `restricted`, nil if it does not.
    /// https://kubernetes.io/docs/concepts/security/pod-security-standards/
    private static func violations(_ spec: JSON?) -> String? {
        let containers = spec["initContainers"].items + spec["containers"].items
        func names(_ breaks: (JSON) -> Bool) -> [String] {
            containers.filter(breaks).compactMap { $0["name"].text }.map { "\"\($0)\"" }
        }
        func list(_ names: [String]) -> String {
            (names.count == 1 ? "container " : "containers ") + names.joined(separator: ", ")
        }
        var result: [String] = []
        let escalate = names { $0["securityContext"]["allowPrivilegeEscalation"] != false }
        if !escalate.isEmpty {
            result.append(
                "allowPrivilegeEscalation != false (\(list(escalate)) must set "
                    + "securityContext.allowPrivilegeEscalation=false)")
        }
        let capable = names { !$0["securityContext"]["capabilities"]["drop"].items.contains("ALL") }
        if !capable.isEmpty {
            result.append(
                "unrestricted capabilities (\(list(capable)) must set securityContext.capabilities.drop=[\"ALL\"])")
        }
        let root = names {
            ($0["securityContext"]["runAsNonRoot"] ?? spec["securityContext"]["runAsNonRoot"]) != true
        }
        if !root.isEmpty {
            result.append(
                "runAsNonRoot != true (pod or \(list(root)) must set securityContext.runAsNonRoot=true)")
        }
        let seccomp = names {
            ($0["securityContext"]["seccompProfile"]["type"] ?? spec["securityContext"]["seccompProfile"]["type"])
                != "RuntimeDefault"
        }
        if !seccomp.isEmpty {
            result.append(
                "seccompProfile (pod or \(list(seccomp)) must set securityContext.seccompProfile.type to "
                    + "\"RuntimeDefault\" or \"Localhost\")")
        }
        return result.isEmpty ? nil : result.joined(separator: ", ")
    }
}
