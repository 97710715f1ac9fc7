/// How a Pod's life ends: by itself, by deletion, by eviction, with its sandbox or its node.
extension Cluster {
    /// Tells every container to end: those of the Pod's work first and the sidecars with them, or after the main ones.
    func stop(_ uid: String, _ reason: PodLife.Reason, grace: Int? = nil) {
        guard let life = lives[uid], life.stage != .over else { return }
        if case .stopping(.deletion) = life.stage { return }
        let known = grace ?? object(.pods, life.key)["spec"]["terminationGracePeriodSeconds"].int ?? 30
        let again: Bool
        if case .stopping = life.stage { again = true } else { again = false }
        lives[uid]?.stage = .stopping(reason)
        let mains = life.live.filter { life.containers[$0].kind == .main }
        if !again {
            for index in mains.isEmpty ? life.live : mains { tell(uid, index, grace: Double(known)) }
        }
        if !mains.isEmpty {
            // The sidecars are told when the main containers are over; they have what is left of the grace, 2 s at least.
            let deadline = now + Double(known)
            lives[uid]?.sidecarDeadline = deadline
        }
        stopNext(uid)
    }

    private func tell(_ uid: String, _ index: Int, grace: Double) {
        guard let container = lives[uid]?.containers[index], let live = container.live else { return }
        podEvent(uid, "Normal", "Killing", "Stopping container \(container.name)", container: index)
        runtime.signal(live.id, .terminate)
        after(grace) { cluster in
            guard cluster.lives[uid]?.containers[index].live?.id == live.id else { return }
            cluster.runtime.signal(live.id, .kill)
        }
    }

    /// A container ended while all are to: tells the sidecars when the others are over, and goes on when nothing runs.
    func stopNext(_ uid: String) {
        guard let life = lives[uid], case .stopping(let reason) = life.stage else { return }
        let live = life.live
        if let deadline = life.sidecarDeadline, !live.contains(where: { life.containers[$0].kind == .main }) {
            lives[uid]?.sidecarDeadline = nil
            for index in live { tell(uid, index, grace: max(2, deadline - now)) }
        }
        guard live.isEmpty, reason != .eviction, reason != .nodeRestart else { return }
        kubelet(uid, after: 0.1) { cluster in
            guard cluster.lives[uid]?.stage == .stopping(reason) else { return }
            cluster.stopped(uid, reason)
        }
    }

    private func stopped(_ uid: String, _ reason: PodLife.Reason) {
        showEnds(uid)
        lives[uid]?.sandbox = false
        switch reason {
        case .failure:
            lives[uid]?.final = true
            lives[uid]?.stage = .over
            publish(uid)
        case .success:
            publish(uid)
            kubelet(uid, after: timing.finish) { $0.finish(uid) }
        case .sandboxLost:
            publish(uid)
            if lives[uid]?.phase == "Failed" || lives[uid]?.phase == "Succeeded" {
                kubelet(uid, after: timing.finish) { $0.finish(uid) }
            } else {
                lives[uid]?.stage = .stuck
            }
        case .outOfMemory:
            lives[uid]?.stage = .stuck
            publish(uid)
        case .deletion:
            lives[uid]?.final = true
            publish(uid)
            kubelet(uid, after: 0.7) { $0.letGo(uid) }
        case .eviction, .nodeRestart: break
        }
    }

    /// The Pod's phase becomes final.
    func finish(_ uid: String) {
        guard let life = lives[uid], life.stage != .stopping(.deletion) else { return }
        lives[uid]?.sandbox = false
        lives[uid]?.final = true
        lives[uid]?.stage = .over
        publish(uid)
    }

    func beginDeletion(_ uid: String, grace: Int) {
        guard let life = lives[uid] else { return }
        if life.stage == .over || grace == 0 { return letPodGo(uid) }
        // Reasons of waiting go with the deletion.
        for (index, container) in life.containers.enumerated() {
            if case .waiting = container.shown {
                lives[uid]?.containers[index].shown = .waiting(reason: "PodInitializing", message: nil)
            }
        }
        publish(uid)
        if life.stage == .stuck { lives[uid]?.stage = .running }
        stop(uid, .deletion, grace: grace)
    }

    /// The kubelet's last words on a deleted Pod.
    private func letGo(_ uid: String) {
        publishMadeUpEnds(uid)
        lives[uid]?.stage = .over
        kubelet(uid, after: 0.004) { $0.letPodGo(uid) }
    }

    private func letPodGo(_ uid: String) {
        guard let life = lives[uid] else { return }
        update(.pods, life.key) { pod in
            guard pod["metadata"]["deletionTimestamp"] != nil, pod["metadata"]["deletionGracePeriodSeconds"] != 0 else {
                return
            }
            pod["metadata"]["deletionTimestamp"] = timestamp
            pod["metadata"]["deletionGracePeriodSeconds"] = 0
        }
    }

    /// A Pod's object is gone: what still runs is told to end, without anybody seeing it.
    func forget(_ uid: String) {
        guard let life = lives.removeValue(forKey: uid) else { return }
        let left = life.containers.compactMap { $0.live?.id }
        for id in left { runtime.signal(id, .terminate) }
        let runtime = runtime
        after(2) { _ in
            for id in left { runtime.signal(id, .kill) }
            runtime.removePod(uid)
        }
    }

    private func uid(_ key: ObjectKey) -> String { object(.pods, key)["metadata"]["uid"].text ?? "" }

    /// The Pod's sandbox dies: its containers are told to end, and if they end well it stays Pending for ever.
    package func loseSandbox(_ key: ObjectKey) {
        let uid = uid(key)
        kubelet(uid, after: 0.8) { cluster in
            guard cluster.lives[uid]?.stage == .running else { return }
            cluster.lives[uid]?.sandbox = false
            cluster.publish(uid)
            cluster.stop(uid, .sandboxLost)
        }
    }

    /// The kubelet evicts a Pod on its own account: whatever its grace, everything is gone within two seconds.
    /// - Parameter message: what `status.message` says, such as the emptyDir that is too large.
    package func evictByKubelet(_ key: ObjectKey, _ message: String) {
        let uid = uid(key)
        kubelet(uid, after: 0) { cluster in
            guard let life = cluster.lives[uid], life.stage == .running else { return }
            cluster.podEvent(uid, "Warning", "Evicted", message)
            cluster.lives[uid]?.stage = .stopping(.eviction)
            for index in life.live { cluster.tell(uid, index, grace: 1.5) }
            cluster.kubelet(uid, after: 2.2) { $0.showEviction(uid, message) }
        }
    }

    private func showEviction(_ uid: String, _ message: String) {
        guard let life = lives[uid], life.stage == .stopping(.eviction) else { return }
        let text = "The container could not be located when the pod was deleted.  The container used to be Running"
        for (index, container) in life.containers.enumerated() where container.isRunning {
            lives[uid]?.containers[index].shown = .waiting(reason: "PodInitializing", message: nil)
            lives[uid]?.containers[index].lastTerminated = ContainerLife.unknown(text)
            lives[uid]?.containers[index].restarts += 1
            lives[uid]?.containers[index].ended = nil
            lives[uid]?.containers[index].id = nil
            lives[uid]?.containers[index].ready = false
            lives[uid]?.containers[index].started = false
        }
        lives[uid]?.evicted = message
        lives[uid]?.sandbox = false
        lives[uid]?.final = true
        publish(uid)
        kubelet(uid, after: timing.notice) { cluster in
            cluster.lives[uid]?.stage = .over
            cluster.publishMadeUpEnds(uid)
        }
    }

    /// Kubelet, runtime and every process of a node end at once; kubelet and runtime come back.
    /// - Parameter seconds: how long they are away.
    package func restartNode(_ name: String, away seconds: Double) {
        stopKubelet(name)
        let hit = lives.values.filter { $0.node == name && $0.stage == .running }.map(\.uid)
        for uid in hit {
            lives[uid]?.stage = .stopping(.nodeRestart)
            for index in lives[uid]?.live ?? [] {
                guard let live = lives[uid]?.containers[index].live else { continue }
                lives[uid]?.containers[index].live = nil
                lives[uid]?.containers[index].ended = (
                    ContainerEnd(255, reason: "Unknown"), live.id, live.since, now + seconds
                )
                runtime.signal(live.id, .kill)
            }
        }
        after(seconds) { cluster in
            cluster.startKubelet(name)
            for uid in hit {
                cluster.kubelet(uid, after: 1) { cluster in
                    cluster.showEnds(uid)
                    cluster.lives[uid]?.sandbox = false
                    cluster.publish(uid)
                    cluster.kubelet(uid, after: 1.1) { $0.finish(uid) }
                }
            }
        }
    }
}
