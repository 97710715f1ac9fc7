import KubernetesAPI
import TaskCore

/// Where the parts find their folders.
package enum PartPath {
    package static let control = "/.poiesis"
    /// A path P of the task lies at `/workspace/fs` + P.
    package static let workspace = "/workspace"
    /// A file `url`.
    package static let database = "/etc/poiesis/database"
    /// A file `ca.crt`.
    package static let certificates = "/etc/poiesis/certificates"
    /// A folder for each Secret, with a file for each of its entries.
    package static let storage = "/etc/poiesis/storage"
    /// A file `token`.
    package static let identity = "/etc/poiesis/identity"
    /// Where clients of Kubernetes look: `token`, `ca.crt` and `namespace`.
    package static let token = "/var/run/secrets/kubernetes.io/serviceaccount"
}

/// Names of volumes.
enum PartVolume {
    static let control = "control"
    static let workspace = "workspace"
    static let token = "token"
    static let database = "database"
    static let certificates = "certificates"
    static let identity = "identity"
    static func storage(_ position: Int) -> String { "storage-\(position)" }
    static func root(_ position: Int) -> String { "root-\(position)" }
    static func reference(_ position: Int) -> String { "reference-\(position)" }
}

/// The volumes and who mounts them.
extension TaskPodRenderer {
    /// Plans, results and streams of a task: many times what any has, but less than a node's disk.
    private static let controlSize = "1Gi"
    /// 0444: the parts that see a Secret are different users.
    private static let secretMode: Int32 = 0o444

    var volumes: [Volume] {
        let secrets = configuration.secrets
        var volumes = [
            Volume(name: PartVolume.control, emptyDir: EmptyDirVolumeSource(sizeLimit: Self.controlSize)),
            workspaceVolume, tokenVolume,
            secret(PartVolume.database, secrets.database, [KeyToPath(key: secrets.databaseKey, path: "url")]),
        ]
        if let name = secrets.certificates {
            volumes.append(secret(PartVolume.certificates, name, [KeyToPath(key: "ca.crt", path: "ca.crt")]))
        }
        for (position, name) in storageSecrets.enumerated() {
            volumes.append(secret(PartVolume.storage(position), name, nil))
        }
        if let identity = secrets.webIdentity {
            let token = ServiceAccountTokenProjection(
                path: "token", audience: identity.audience, expirationSeconds: identity.expirationSeconds)
            volumes.append(
                Volume(
                    name: PartVolume.identity,
                    projected: ProjectedVolumeSource(
                        sources: [VolumeProjection(serviceAccountToken: token)], defaultMode: Self.secretMode)))
        }
        for (position, root) in configuration.fileRoots.enumerated() {
            volumes.append(volume(PartVolume.root(position), root.source))
        }
        for (position, reference) in requirements.referenceData.enumerated() {
            volumes.append(volume(PartVolume.reference(position), reference.source))
        }
        return volumes
    }

    private var workspaceVolume: Volume {
        if usesClaim {
            return Volume(
                name: PartVolume.workspace,
                persistentVolumeClaim: PersistentVolumeClaimVolumeSource(claimName: key.objectName))
        }
        return Volume(
            name: PartVolume.workspace,
            emptyDir: EmptyDirVolumeSource(sizeLimit: KubernetesNames.quantity(requirements.disk)))
    }

    /// What a Pod gets by default, for `trec` alone.
    private var tokenVolume: Volume {
        Volume(
            name: PartVolume.token,
            projected: ProjectedVolumeSource(
                sources: [
                    VolumeProjection(
                        serviceAccountToken: ServiceAccountTokenProjection(path: "token", expirationSeconds: 3600)),
                    VolumeProjection(
                        configMap: ConfigMapProjection(
                            name: "kube-root-ca.crt", items: [KeyToPath(key: "ca.crt", path: "ca.crt")])),
                    VolumeProjection(
                        downwardAPI: DownwardAPIProjection(items: [
                            DownwardAPIVolumeFile(
                                path: "namespace", fieldRef: ObjectFieldSelector(fieldPath: "metadata.namespace"))
                        ])),
                ], defaultMode: Self.secretMode))
    }

    private func secret(_ name: String, _ secret: String, _ items: [KeyToPath]?) -> Volume {
        Volume(
            name: name,
            secret: SecretVolumeSource(secretName: secret, items: items, defaultMode: Self.secretMode))
    }

    private func volume(_ name: String, _ source: MountedVolume.Source) -> Volume {
        switch source {
        case .hostPath(let path):
            Volume(name: name, hostPath: HostPathVolumeSource(path: path, type: "Directory"))
        case .nfs(let server, let path): Volume(name: name, nfs: NFSVolumeSource(server: server, path: path))
        case .claim(let claim, _):
            Volume(name: name, persistentVolumeClaim: PersistentVolumeClaimVolumeSource(claimName: claim))
        }
    }

    /// Each once: one Secret may be for several scopes.
    private var storageSecrets: [String] {
        var names: [String] = []
        for login in configuration.secrets.storage where !names.contains(login.secret) { names.append(login.secret) }
        return names
    }

    // MARK: Mounts

    /// The whole control folder.
    func controlMount(isReadOnly: Bool = false) -> VolumeMount {
        VolumeMount(name: PartVolume.control, mountPath: PartPath.control, readOnly: isReadOnly ? true : nil)
    }

    /// A whole volume that is only read.
    func mount(_ volume: String, _ path: String) -> VolumeMount {
        VolumeMount(name: volume, mountPath: path, readOnly: true)
    }

    var certificateMounts: [VolumeMount] {
        configuration.secrets.certificates == nil ? [] : [mount(PartVolume.certificates, PartPath.certificates)]
    }

    /// Logins of storage.
    var storageMounts: [VolumeMount] {
        var mounts = storageSecrets.enumerated().map { (position, name) in
            mount(PartVolume.storage(position), PartPath.storage + "/" + name)
        }
        if configuration.secrets.webIdentity != nil { mounts.append(mount(PartVolume.identity, PartPath.identity)) }
        return mounts
    }

    /// All roots read-only, or those that may be written to.
    func rootMounts(forWriting: Bool) -> [VolumeMount] {
        configuration.fileRoots.enumerated().compactMap { (position, root) in
            if forWriting, !root.isWritable { return nil }
            return VolumeMount(
                name: PartVolume.root(position), mountPath: root.path, subPath: subPath(root.source),
                readOnly: forWriting ? nil : true)
        }
    }

    /// What the mount plan says, and nothing else of the workspace.
    var taskMounts: [VolumeMount] {
        let carry = PartPath.control + "/carry"
        return mounts.mounts.map {
            VolumeMount(name: PartVolume.workspace, mountPath: $0.path, subPath: "fs" + $0.path)
        }
            + mounts.carryDirectories.map { directory in
                let below = directory == "/" ? "" : directory
                return VolumeMount(
                    name: PartVolume.workspace, mountPath: carry + below, subPath: "fs" + below)
            }
    }

    var referenceMounts: [VolumeMount] {
        requirements.referenceData.enumerated().map { (position, reference) in
            VolumeMount(
                name: PartVolume.reference(position), mountPath: reference.path, subPath: subPath(reference.source),
                readOnly: true)
        }
    }

    private func subPath(_ source: MountedVolume.Source) -> String? {
        if case .claim(_, let subPath) = source { subPath } else { nil }
    }
}
