/// Claims: bound at once by a provisioner, and held while a Pod uses them.
extension Cluster {
    func claimChanged(_ change: Change) {
        guard let claim = change.after else { return }
        if change.before == nil {
            after(0.005) { $0.provision(change.key) }
            scheduleWaiting()
        } else if claim["metadata"]["deletionTimestamp"] != nil {
            after(0.005) { $0.letGo(change.key) }
        } else if claim["status"]["phase"] == "Bound" {
            scheduleWaiting()
        }
    }

    /// Binds what waits for it, after `policy.bindsVolumes` or the classes were changed.
    package func provisionClaims() {
        for claim in all(.persistentvolumeclaims) where claim["status"]["phase"] != "Bound" {
            provision(ObjectKey(of: claim))
        }
    }

    private func provision(_ key: ObjectKey) {
        guard let claim = object(.persistentvolumeclaims, key), claim["metadata"]["deletionTimestamp"] == nil,
            claim["status"]["phase"] != "Bound"
        else { return }
        let storageClass = claim["spec"]["storageClassName"].text ?? ""
        guard policy.storageClasses.contains(storageClass) else {
            recordEvent(
                .persistentvolumeclaims, claim, type: "Warning", reason: "ProvisioningFailed",
                message: "storageclass.storage.k8s.io \"\(storageClass)\" not found",
                component: "persistentvolume-controller")
            after(5) { $0.provision(key) }
            return
        }
        guard policy.bindsVolumes else { return }
        let volume = "pvc-\(claim["metadata"]["uid"].text ?? "")"
        update(.persistentvolumeclaims, key) { claim in
            for prefix in ["volume.beta.kubernetes.io", "volume.kubernetes.io"] {
                claim["metadata"]["annotations"]["\(prefix)/storage-provisioner"] = "kubernetes.io/host-path"
            }
        }
        recordEvent(
            .persistentvolumeclaims, claim, type: "Normal", reason: "ProvisioningSucceeded",
            message: "Successfully provisioned volume \(volume) using kubernetes.io/host-path",
            component: "persistentvolume-controller")
        after(0.006) { cluster in
            cluster.update(.persistentvolumeclaims, key) { claim in
                claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
                claim["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = "yes"
                claim["spec"]["volumeName"] = .string(volume)
            }
            cluster.update(.persistentvolumeclaims, key) { claim in
                claim["status"]["phase"] = "Bound"
                claim["status"]["accessModes"] = claim["spec"]["accessModes"]
                claim["status"]["capacity"] = claim["spec"]["resources"]["requests"]
            }
        }
    }

    func claims(of pod: JSON) -> [String] {
        pod["spec"]["volumes"].items.compactMap { $0["persistentVolumeClaim"]["claimName"].text }
    }

    func claimsMayGo(in namespace: String) {
        for (key, claim) in objects[.persistentvolumeclaims] ?? [:]
        where key.namespace == namespace && claim["metadata"]["deletionTimestamp"] != nil {
            after(0.005) { $0.letGo(key) }
        }
    }

    /// Takes the protection off a claim that is being deleted and that no Pod uses, ended ones included.
    private func letGo(_ key: ObjectKey) {
        let used = (objects[.pods] ?? [:]).contains { place, pod in
            place.namespace == key.namespace && claims(of: pod).contains(key.name)
        }
        if used { return }
        update(.persistentvolumeclaims, key) { claim in
            guard claim["metadata"]["deletionTimestamp"] != nil else { return }
            let left = claim["metadata"]["finalizers"].items.filter { $0 != "kubernetes.io/pvc-protection" }
            claim["metadata"]["finalizers"] = left.isEmpty ? nil : .array(left)
        }
    }
}
