/// What the kubelet writes into a Pod's status.
extension Cluster {
    /// Writes a Pod's status as its life stands.
    func publish(_ uid: String) {
        guard var life = lives[uid] else { return }
        let conditions = life.conditions()
        lives[uid] = life
        let phase = life.phase
        update(.pods, life.key) { pod in
            guard pod["metadata"]["uid"].text == uid else { return }
            let generation = pod["metadata"]["generation"] ?? 1
            var status = pod["status"] ?? [:]
            let before = status["phase"].text ?? "Pending"
            let held = ["Succeeded", "Failed"].contains(phase) && !life.final
            status["phase"] = .string(held || ["Succeeded", "Failed"].contains(before) ? before : phase)
            status["observedGeneration"] = generation
            status["startTime"] = .string(Timeline.text(life.startTime))
            status["hostIP"] = "192.0.2.2"
            status["hostIPs"] = [["ip": "192.0.2.2"]]
            if let address = life.address {
                status["podIP"] = .string(address)
                status["podIPs"] = [["ip": .string(address)]]
            }
            if let why = life.evicted {
                status["reason"] = "Evicted"
                status["message"] = .string(why)
            }
            let old = status["conditions"].items
            var list = conditions.map { condition -> JSON in
                let previous = old.first { $0["type"].text == condition.type }
                let value: JSON = condition.status ? "True" : "False"
                return .of([
                    "type": .string(condition.type), "observedGeneration": generation, "status": value,
                    "lastProbeTime": .null,
                    "lastTransitionTime": previous["status"] == value ? previous["lastTransitionTime"] : timestamp,
                    "reason": condition.reason.map(JSON.string), "message": condition.message.map(JSON.string),
                ])
            }
            let own = Set(conditions.map(\.type))
            for condition in old where !own.contains(condition["type"].text ?? "") {
                var condition = condition
                if condition["type"] == "PodScheduled" { condition["observedGeneration"] = generation }
                list.append(condition)
            }
            status["conditions"] = .array(list)
            status["resources"] = [:]
            Self.writeContainers(life, into: &status)
            pod["status"] = status
        }
    }

    private static func writeContainers(_ life: PodLife, into status: inout JSON) {
        let statuses = life.containers.map { Self.status(of: $0) }
        let first = life.initials.count
        if first > 0 { status["initContainerStatuses"] = .array(Array(statuses[..<first])) }
        status["containerStatuses"] = .array(Array(statuses[first...]))
    }

    /// Writes made-up ends of containers, and Failed if the phase is not final; the conditions stay as they are.
    func publishMadeUpEnds(_ uid: String) {
        lives[uid]?.makeUpEnds()
        guard let life = lives[uid] else { return }
        update(.pods, life.key) { pod in
            var status = pod["status"] ?? [:]
            Self.writeContainers(life, into: &status)
            if !["Succeeded", "Failed"].contains(status["phase"].text ?? "") { status["phase"] = "Failed" }
            pod["status"] = status
        }
    }

    private static func status(of container: ContainerLife) -> JSON {
        let image = container.spec["image"].text ?? ""
        let state: JSON =
            switch container.shown {
            case .waiting(let reason, let message):
                ["waiting": .of(["reason": .string(reason), "message": message.map(JSON.string)])]
            case .running(let since): ["running": ["startedAt": .string(Timeline.text(since))]]
            case .terminated(let value): ["terminated": value]
            }
        var result: JSON = .of([
            "name": .string(container.name), "state": state,
            "lastState": container.lastTerminated.map { ["terminated": $0] } ?? [:], "ready": .bool(container.ready),
            "restartCount": .int(container.restarts),
            "image": .string(container.id == nil ? image : runtimeName(of: image)),
            "imageID": .string(
                container.id == nil
                    ? "" : "sha256:74562253a02cce0c44207e1962e10dc0784fb6045eb1ff6ab6f7ca3e92c069cf"),
            "containerID": container.id.map { .string("containerd://" + $0) }, "started": .bool(container.started),
        ])
        let mounts = container.spec["volumeMounts"].items
        if !mounts.isEmpty {
            result["volumeMounts"] = .array(
                mounts.map { mount in
                    .of([
                        "name": mount["name"], "mountPath": mount["mountPath"], "readOnly": mount["readOnly"],
                        "recursiveReadOnly": mount["readOnly"] == true ? "Disabled" : nil,
                    ])
                })
        }
        if container.id != nil {
            let resources = container.spec["resources"] ?? [:]
            result["resources"] = resources
            result["allocatedResources"] = resources["requests"]
        }
        return result
    }

    /// The name under which a runtime keeps an image.
    private static func runtimeName(of image: String) -> String {
        image.contains("/") ? image : "docker.io/library/" + image
    }

    /// The members of `state.terminated` for a container that ended.
    func terminated(
        _ container: ContainerLife, _ ended: (end: ContainerEnd, id: String, since: Double, at: Double),
        of life: PodLife
    ) -> JSON {
        let neverStarted = ended.end.reason == "StartError"
        let message = Self.shared(ended.end.message, among: life.containers.count)
        return .of([
            "exitCode": .int(ended.end.exitCode),
            "reason": .string(ended.end.reason ?? (ended.end.exitCode == 0 ? "Completed" : "Error")),
            "message": message.isEmpty ? nil : .string(String(decoding: message, as: UTF8.self)),
            "startedAt": .string(Timeline.text(neverStarted ? 0 : ended.since)),
            "finishedAt": .string(Timeline.text(ended.at)), "containerID": .string("containerd://" + ended.id),
        ])
    }

    /// What arrives of a termination message: of more than 4096 bytes the last ones, of these the first of an equal share of
    /// 12 KiB.
    package static func shared(_ message: [UInt8], among containers: Int) -> [UInt8] {
        Array(message.suffix(4096).prefix(12 * 1024 / max(1, containers)))
    }
}
