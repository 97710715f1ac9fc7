/// The kubelet of every node: it plays a Pod's life in the recorded order.
extension Cluster {
    func podChanged(_ change: Change) {
        let key = change.key
        guard let pod = change.after else {
            unscheduled.remove(key)
            if let uid = change.before["metadata"]["uid"].text { forget(uid) }
            return
        }
        let uid = pod["metadata"]["uid"].text ?? ""
        let before = change.before
        if let node = pod["spec"]["nodeName"].text {
            if before["spec"]["nodeName"] == nil { takeUp(pod, uid, on: node) }
        } else if before == nil {
            after(timing.schedule) { $0.schedule(key) }
        }
        if let grace = pod["metadata"]["deletionGracePeriodSeconds"].int,
            before["metadata"]["deletionGracePeriodSeconds"].int != grace
        {
            kubelet(uid, after: 0.025) { $0.beginDeletion(uid, grace: grace) }
        }
    }

    /// Does something in the name of a Pod's kubelet: later, and if the node is away, when it is back.
    func kubelet(_ uid: String, after seconds: Double, _ action: @escaping Timeline.Action) {
        after(seconds) { cluster in
            guard let life = cluster.lives[uid] else { return }
            if cluster.nodes[life.node]?.up == false {
                cluster.nodes[life.node]?.deferred.append { cluster in
                    cluster.kubelet(uid, after: 0, action)
                }
            } else {
                action(cluster)
            }
        }
    }

    private func takeUp(_ pod: JSON, _ uid: String, on node: String) {
        func lives(_ list: String) -> [ContainerLife] {
            pod["spec"][list].items.map { spec in
                let kind: ContainerLife.Kind =
                    list == "containers" ? .main : spec["restartPolicy"] == "Always" ? .sidecar : .initial
                return ContainerLife(kind: kind, spec: spec, field: "spec.\(list){\(spec["name"].text ?? "")}")
            }
        }
        self.lives[uid] = PodLife(
            key: ObjectKey(of: pod), uid: uid, node: node, containers: lives("initContainers") + lives("containers"),
            startTime: now)
        kubelet(uid, after: timing.admit) { cluster in
            cluster.lives[uid]?.startTime = cluster.now
            if cluster.policy.nodeRefusals > 0 {
                cluster.policy.nodeRefusals -= 1
                return cluster.refusePod(uid)
            }
            cluster.publish(uid)
            cluster.kubelet(uid, after: cluster.timing.sandbox) { $0.makeSandbox(uid, tries: 0) }
        }
    }

    /// The kubelet does not admit a Pod: it fails without any container.
    /// https://kubernetes.io/docs/concepts/scheduling-eviction/ and `rejectPod` of the kubelet
    private func refusePod(_ uid: String) {
        guard let life = lives[uid] else { return }
        let message =
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 100, used: 1000, capacity: 1000"
        podEvent(uid, "Warning", "OutOfcpu", message)
        lives[uid]?.stage = .over
        lives[uid]?.final = true
        update(.pods, life.key) { pod in
            pod["status"]["phase"] = "Failed"
            pod["status"]["reason"] = "OutOfcpu"
            pod["status"]["message"] = .string(message)
            pod["status"]["startTime"] = timestamp
        }
    }

    /// An event of the kubelet; after 25 Normal ones of a Pod no more are sent.
    func podEvent(_ uid: String, _ type: String, _ reason: String, _ message: String, container: Int? = nil) {
        guard let life = lives[uid], let pod = object(.pods, life.key) else { return }
        if type == "Normal" {
            guard life.events < 25 else { return }
            lives[uid]?.events += 1
        }
        recordEvent(
            .pods, pod, type: type, reason: reason, message: message, component: "kubelet", node: life.node,
            field: container.map { life.containers[$0].field })
    }

    private func makeSandbox(_ uid: String, tries: Int) {
        guard let life = lives[uid], life.stage == .running else { return }
        for volume in object(.pods, life.key)["spec"]["volumes"].items {
            for (kind, field, resource) in [
                ("configMap", "name", Resource.configmaps), ("secret", "secretName", .secrets),
            ] {
                guard let name = volume[kind][field].text, volume[kind]["optional"] != true,
                    object(resource, ObjectKey(life.key.namespace, name)) == nil
                else { continue }
                podEvent(
                    uid, "Warning", "FailedMount",
                    "MountVolume.SetUp failed for volume \"\(volume["name"].text ?? "")\" : "
                        + "\(resource.kind.lowercased()) \"\(name)\" not found")
                kubelet(uid, after: min(122, 0.5 * Double(1 << min(tries, 8)))) {
                    $0.makeSandbox(uid, tries: tries + 1)
                }
                return
            }
        }
        nextAddress += 1
        lives[uid]?.sandbox = true
        publish(uid)
        lives[uid]?.address = "10.\(244 + nextAddress / 65536).\(nextAddress / 256 % 256).\(nextAddress % 256)"
        kubelet(uid, after: 0.02) { $0.goOn(uid) }
    }

    /// Starts what is to be started next.
    private func goOn(_ uid: String) {
        guard let life = lives[uid], life.stage == .running, life.sandbox,
            object(.pods, life.key)["metadata"]["deletionTimestamp"] == nil
        else { return }
        for (index, container) in life.containers.enumerated() {
            switch container.kind {
            case .sidecar:
                if !container.begun { return tryStart(uid, index) }
                if container.restarts == 0 && container.live == nil && container.ended == nil
                    && container.terminated == nil
                {
                    return
                }
            case .initial:
                if container.exitCode == 0 { continue }
                if !container.begun { tryStart(uid, index) }
                return
            case .main:
                if !container.begun { tryStart(uid, index) }
            }
        }
    }

    private func tryStart(_ uid: String, _ index: Int) {
        guard let life = lives[uid], life.stage == .running, life.sandbox else { return }
        lives[uid]?.containers[index].begun = true
        let container = life.containers[index]
        let image = container.spec["image"].text ?? ""
        if image.wholeMatch(of: /[a-z0-9._\/:-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?/) == nil {
            let why = "couldn't parse image name \"\(image)\": invalid reference format"
            podEvent(
                uid, "Warning", "InspectFailed", "Failed to apply default image tag \"\(image)\": \(why)",
                container: index)
            return refuse(uid, index, "InvalidImageName", why)
        }
        if case .missing(let why) = runtime.image(image) { return missImage(uid, index, image, why) }
        if container.pulls == 0 {
            podEvent(
                uid, "Normal", "Pulled",
                "Container image \"\(image)\" already present on machine and can be accessed by the pod",
                container: index)
        } else {
            podEvent(uid, "Normal", "Pulled", "Successfully pulled image \"\(image)\"", container: index)
        }
        do throws(StatusError) {
            start(uid, index, try containerStart(uid, index))
        } catch {
            podEvent(uid, "Warning", "Failed", "Error: \(error.message)", container: index)
            return refuse(uid, index, "CreateContainerConfigError", error.message, event: false)
        }
    }

    /// Shows why a container cannot be started, and tries again later.
    private func refuse(_ uid: String, _ index: Int, _ reason: String, _ message: String, event: Bool = true) {
        if event { podEvent(uid, "Warning", "Failed", "Error: \(reason)", container: index) }
        kubelet(uid, after: timing.imageError) { $0.showWaiting(uid, index, reason, message) }
        kubelet(uid, after: 12) { $0.tryStart(uid, index) }
    }

    private func showWaiting(_ uid: String, _ index: Int, _ reason: String, _ message: String?) {
        guard let life = lives[uid], life.stage == .running, life.containers[index].live == nil,
            life.containers[index].ended == nil
        else { return }
        lives[uid]?.containers[index].shown = .waiting(reason: reason, message: message)
        publish(uid)
    }

    private func missImage(_ uid: String, _ index: Int, _ image: String, _ why: String) {
        guard let pulls = lives[uid]?.containers[index].pulls else { return }
        lives[uid]?.containers[index].pulls += 1
        podEvent(uid, "Normal", "Pulling", "Pulling image \"\(image)\"", container: index)
        podEvent(uid, "Warning", "Failed", "Failed to pull image \"\(image)\": \(why)", container: index)
        podEvent(uid, "Warning", "Failed", "Error: ErrImagePull", container: index)
        podEvent(uid, "Normal", "BackOff", "Back-off pulling image \"\(image)\"", container: index)
        podEvent(uid, "Warning", "Failed", "Error: ImagePullBackOff", container: index)
        // The first error may be shown late, later ones come as soon as the kubelet looks.
        let shown = pulls == 0 ? timing.imageError : min(timing.imageError, 0.8)
        kubelet(uid, after: shown) { $0.showWaiting(uid, index, "ErrImagePull", why) }
        kubelet(uid, after: shown + timing.imageBackOff) {
            $0.showWaiting(
                uid, index, "ImagePullBackOff", "Back-off pulling image \"\(image)\": ErrImagePull: \(why)")
        }
        let wait = max(min(300, 10 * Double(1 << min(pulls, 6))), shown + timing.imageBackOff + 14.2)
        kubelet(uid, after: wait) { $0.tryStart(uid, index) }
    }

    private func start(_ uid: String, _ index: Int, _ start: ContainerStart) {
        podEvent(uid, "Normal", "Created", "Container created", container: index)
        lives[uid]?.containers[index].live = ContainerLife.Live(id: start.id, since: now)
        let timeline = timeline
        let id = start.id
        runtime.start(start, on: timeline) { end in
            timeline.after(0) { $0.containerEnded(uid, index, id, end) }
        }
        kubelet(uid, after: timing.start) { $0.showRunning(uid, index, id) }
    }

    private func showRunning(_ uid: String, _ index: Int, _ id: String) {
        guard let life = lives[uid], life.stage == .running else { return }
        let container = life.containers[index]
        if let ended = container.ended, ended.end.reason == "StartError" {
            podEvent(
                uid, "Warning", "Failed", "Error: " + String(decoding: ended.end.message, as: UTF8.self),
                container: index)
            return
        }
        guard container.live?.id == id || container.ended?.id == id else { return }
        podEvent(uid, "Normal", "Started", "Container started", container: index)
        lives[uid]?.containers[index].shown = .running(since: container.live?.since ?? container.ended?.since ?? now)
        lives[uid]?.containers[index].id = id
        lives[uid]?.containers[index].started = true
        lives[uid]?.containers[index].ready = container.kind != .initial
        publish(uid)
        goOn(uid)
    }

    /// The runtime tells of an end; the status shows it when the kubelet looks next.
    private func containerEnded(_ uid: String, _ index: Int, _ id: String, _ end: ContainerEnd) {
        guard let life = lives[uid], let live = life.containers[index].live, live.id == id else { return }
        lives[uid]?.containers[index].live = nil
        lives[uid]?.containers[index].ended = (end, id, live.since, now)
        if case .stopping = life.stage {
            stopNext(uid)
        } else {
            kubelet(uid, after: timing.notice) { $0.notice(uid, index, id) }
        }
    }

    /// Shows the ends that the runtime told of.
    func showEnds(_ uid: String) {
        guard let life = lives[uid] else { return }
        for (index, container) in life.containers.enumerated() {
            guard let ended = container.ended else { continue }
            lives[uid]?.containers[index].end(terminated(container, ended, of: life))
            lives[uid]?.containers[index].id = ended.id
            lives[uid]?.containers[index].ended = nil
        }
    }

    private func notice(_ uid: String, _ index: Int, _ id: String) {
        guard let life = lives[uid], life.stage == .running, life.containers[index].ended?.id == id else { return }
        showEnds(uid)
        if let life = lives[uid], life.live.isEmpty, life.mains.allSatisfy({ $0.terminated != nil }) {
            // No sidecar is left to wait for.
            lives[uid]?.stage = .stopping(.success)
            publish(uid)
            return kubelet(uid, after: 1) { $0.finish(uid) }
        }
        publish(uid)
        guard let container = lives[uid]?.containers[index], let code = container.exitCode else { return }
        switch container.kind {
        case .sidecar: restart(uid, index)
        case .initial where code != 0:
            kubelet(uid, after: timing.failure) { $0.stop(uid, .failure) }
        case .initial where container.terminated["reason"] == "OOMKilled":
            stop(uid, .outOfMemory)
        case .initial: kubelet(uid, after: 0.02) { $0.goOn(uid) }
        case .main:
            if lives[uid]?.mains.allSatisfy({ $0.terminated != nil }) == true { stop(uid, .success) }
        }
    }

    private func restart(_ uid: String, _ index: Int) {
        guard let container = lives[uid]?.containers[index] else { return }
        let wait = timing.restarts[min(container.restarts, timing.restarts.count - 1)]
        if container.restarts > 0 {
            podEvent(
                uid, "Warning", "BackOff", "Back-off restarting failed container \(container.name) in pod",
                container: index)
            kubelet(uid, after: wait - 0.1) { cluster in
                cluster.lives[uid]?.containers[index].lastTerminated = container.terminated
                cluster.showWaiting(
                    uid, index, "CrashLoopBackOff",
                    "back-off \(10 << min(container.restarts - 1, 5))s restarting failed container=\(container.name)")
            }
        }
        kubelet(uid, after: wait) { cluster in
            guard let life = cluster.lives[uid], life.stage == .running else { return }
            cluster.lives[uid]?.containers[index].lastTerminated = container.terminated
            cluster.lives[uid]?.containers[index].restarts += 1
            cluster.tryStart(uid, index)
        }
    }
}
