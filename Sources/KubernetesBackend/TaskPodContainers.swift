import KubernetesAPI
import TES
import TaskCore

/// The containers, in the order in which they run.
extension TaskPodRenderer {
    /// Records what happens; a sidecar, so that it runs beside all others.
    var trec: Container {
        var variables = [
            ("POIESIS_SUBMISSION", key.variable),
            ("POIESIS_DATABASE_FILE", PartPath.database + "/url"),
            ("POIESIS_GRACE_PERIOD", "\(configuration.gracePeriod)"),
        ]
        if let walltime = requirements.parameters.walltime { variables.append(("POIESIS_WALLTIME", "\(walltime)")) }
        if configuration.secrets.certificates != nil {
            // libpq's own variable, for URLs that ask for verification.
            variables.append(("PGSSLROOTCERT", PartPath.certificates + "/ca.crt"))
        }
        var container = part(
            "trec", configuration.resources.trec, variables: variables,
            mounts: [
                controlMount(), mount(PartVolume.token, PartPath.token), mount(PartVolume.database, PartPath.database),
            ]
                + certificateMounts)
        container.restartPolicy = "Always"
        container.env =
            (container.env ?? [])
            + [
                ("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace"), ("POD_UID", "metadata.uid"),
                ("NODE_NAME", "spec.nodeName"),
            ].map { EnvVar(name: $0, valueFrom: EnvVarSource(fieldRef: ObjectFieldSelector(fieldPath: $1))) }
        return container
    }

    /// Stages inputs. The node's disk for an emptyDir is asked for here: the largest request of any container counts for the Pod.
    var tif: Container {
        var container = filer("tif", configuration.resources.tif, forWriting: false)
        if !usesClaim {
            container.resources?.requests?["ephemeral-storage"] = KubernetesNames.quantity(requirements.disk)
        }
        return container
    }

    /// Uploads outputs; it can reach what it may write to, and no other root.
    var tof: Container { filer("tof", configuration.resources.tof, forWriting: true) }

    /// Its exit makes the Pod Succeeded or Failed.
    var ack: Container {
        part("ack", configuration.resources.ack, variables: [], mounts: [controlMount(isReadOnly: true)])
    }

    /// One executor: the user's image and our shim, which finds all else in its control folder.
    func executor(_ position: Int) -> Container {
        let folder = PartPath.control + "/exec-\(position)"
        var resources = ResourceRequirements(
            limits: ["memory": KubernetesNames.quantity(requirements.memory)],
            requests: ["cpu": "\(requirements.cpuCores)", "memory": KubernetesNames.quantity(requirements.memory)])
        if requirements.parameters.gpus > 0 {
            resources.limits?[configuration.allowed.gpuResource] = "\(requirements.parameters.gpus)"
        }
        return Container(
            name: "exec-\(position)", image: task.executors[position].image,
            command: [PartPath.control + "/bin/poiesis-exec", "--pod", folder],
            resources: resources,
            volumeMounts: [
                VolumeMount(name: PartVolume.control, mountPath: folder, subPath: "exec-\(position)"),
                VolumeMount(
                    name: PartVolume.control, mountPath: PartPath.control + "/bin", subPath: "bin", readOnly: true),
            ] + taskMounts + referenceMounts,
            securityContext: executorSecurity)
    }

    // MARK: Our own parts

    private func filer(
        _ name: String, _ resources: KubernetesConfiguration.Part, forWriting: Bool
    ) -> Container {
        var variables: [(String, String)] = []
        let secrets = configuration.secrets
        let roots = configuration.fileRoots.filter { $0.isWritable || !forWriting }
        if !roots.isEmpty {
            let arguments = roots.map { $0.path + ($0.isWritable ? ":rw" : ":ro") }
            variables.append(("POIESIS_ALLOW_FILES", arguments.joined(separator: ",")))
        }
        if !secrets.storage.isEmpty {
            let logins = secrets.storage.map { PartPath.storage + "/" + $0.secret + ($0.scope.map { "=" + $0 } ?? "") }
            variables.append(("POIESIS_S3_LOGINS", logins.joined(separator: ",")))
        }
        if let identity = secrets.webIdentity {
            variables.append(("AWS_ROLE_ARN", identity.role))
            variables.append(("AWS_WEB_IDENTITY_TOKEN_FILE", PartPath.identity + "/token"))
        }
        return part(
            name, resources, variables: variables,
            mounts: [controlMount(), VolumeMount(name: PartVolume.workspace, mountPath: PartPath.workspace)]
                + storageMounts + certificateMounts + rootMounts(forWriting: forWriting))
    }

    private func part(
        _ name: String, _ resources: KubernetesConfiguration.Part, variables: [(String, String)], mounts: [VolumeMount]
    ) -> Container {
        var environment = name == "ack" ? [:] : configuration.environment
        if name != "ack", configuration.secrets.certificates != nil {
            environment["POIESIS_CA_FILE"] = PartPath.certificates + "/ca.crt"
        }
        for (name, value) in variables { environment[name] = value }
        return Container(
            name: name, image: configuration.image, command: ["/usr/bin/poiesis", name],
            env: environment.isEmpty
                ? nil
                : environment.sorted { $0.key < $1.key }
                    .map { EnvVar(name: $0.key, value: KubernetesNames.literal($0.value)) },
            resources: ResourceRequirements(
                limits: resources.memoryLimit.map { ["memory": KubernetesNames.quantity($0)] },
                requests: [
                    "cpu": KubernetesNames.quantity(millicores: resources.millicores),
                    "memory": KubernetesNames.quantity(resources.memory),
                ]),
            volumeMounts: mounts, imagePullPolicy: configuration.imagePullPolicy, securityContext: partSecurity(name))
    }

    // MARK: Rights

    private func partSecurity(_ name: String) -> SecurityContext {
        var security = SecurityContext(allowPrivilegeEscalation: false, capabilities: Capabilities(drop: ["ALL"]))
        security.readOnlyRootFilesystem = true
        if isRestricted { return security }
        if name == "tif" || name == "tof" {
            security.runAsUser = 0
            security.runAsGroup = 0
            security.capabilities?.add = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
        } else {
            security.runAsUser = configuration.security.runAsUser
            security.runAsGroup = configuration.security.runAsUser
            security.runAsNonRoot = true
        }
        return security
    }

    /// Outside `restricted` an executor is whoever its image says, with the runtime's capabilities, as on one machine.
    private var executorSecurity: SecurityContext? {
        if isRestricted {
            return SecurityContext(allowPrivilegeEscalation: false, capabilities: Capabilities(drop: ["ALL"]))
        }
        let parameters = requirements.parameters
        if parameters.runAsUser == nil, parameters.runAsGroup == nil { return nil }
        return SecurityContext(runAsUser: parameters.runAsUser, runAsGroup: parameters.runAsGroup)
    }
}
