/// Deletion, and what goes with an owner.
extension Cluster {
    /// Begins an object's deletion as a DELETE does. Returns the object as the answer shows it.
    @discardableResult
    package func startDeletion(_ resource: Resource, _ key: ObjectKey, _ options: JSON = [:]) -> JSON? {
        guard let object = object(resource, key) else { return nil }
        if resource == .pods { return startPodDeletion(key, object, options) }
        let policy = options["propagationPolicy"].text ?? (resource == .jobs ? "Orphan" : "Background")
        var finalizers = object["metadata"]["finalizers"].items
        let mark: JSON? = policy == "Foreground" ? "foregroundDeletion" : policy == "Orphan" ? "orphan" : nil
        let uid = object["metadata"]["uid"].text ?? ""
        finalizers.removeAll { $0 == "foregroundDeletion" || $0 == "orphan" }
        if let mark, policy == "Foreground" || resource == .jobs || !(dependents[uid] ?? []).isEmpty {
            finalizers.append(mark)
        }
        if finalizers.isEmpty {
            return remove(resource, key)
        }
        return update(resource, key) { object in
            object["metadata"]["finalizers"] = .array(finalizers)
            if object["metadata"]["deletionTimestamp"] == nil {
                object["metadata"]["deletionTimestamp"] = timestamp
                object["metadata"]["deletionGracePeriodSeconds"] = 0
            }
        }
    }

    private func startPodDeletion(_ key: ObjectKey, _ pod: JSON, _ options: JSON) -> JSON? {
        let asked = options["gracePeriodSeconds"].int ?? pod["spec"]["terminationGracePeriodSeconds"].int ?? 30
        let over = ["Succeeded", "Failed"].contains(pod["status"]["phase"].text ?? "")
        let unbound = pod["spec"]["nodeName"] == nil
        let grace = over || unbound ? 0 : asked
        let before = pod["metadata"]["deletionGracePeriodSeconds"].int
        if let before, before <= grace { return pod }
        return update(.pods, key) { pod in
            pod["metadata"]["deletionTimestamp"] = .string(Timeline.text(now + Double(grace)))
            pod["metadata"]["deletionGracePeriodSeconds"] = .int(grace)
        }
    }

    /// What the garbage collector does about a change of something that may be an owner.
    func ownerChanged(_ change: Change) {
        let object = change.after ?? change.before
        guard let uid = object["metadata"]["uid"].text else { return }
        if change.after == nil, dependents[uid] != nil {
            after(0.003) { $0.collect(uid) }
        }
        if let metadata = change.after?["metadata"], metadata["deletionTimestamp"] != nil {
            let finalizers = metadata["finalizers"].items
            if finalizers.contains("foregroundDeletion") || finalizers.contains("orphan") {
                after(0.003) { $0.finishDeletion(change.resource, change.key) }
            }
        }
        for owner in object["metadata"]["ownerReferences"].items where change.after == nil {
            guard let resource = Resource(kind: owner["kind"].text ?? ""), let name = owner["name"].text else {
                continue
            }
            after(0.01) { $0.finishDeletion(resource, ObjectKey(change.key.namespace, name)) }
        }
    }

    /// Deletes what only a vanished owner owned.
    private func collect(_ uid: String) {
        for dependent in (dependents[uid] ?? []).sorted(by: { $0.resource.rawValue < $1.resource.rawValue }) {
            let owners = object(dependent.resource, dependent.key)["metadata"]["ownerReferences"].items
            let other = owners.contains { owner in
                guard owner["uid"].text != uid, let resource = Resource(kind: owner["kind"].text ?? "") else {
                    return false
                }
                let key = ObjectKey(dependent.key.namespace, owner["name"].text ?? "")
                return object(resource, key)["metadata"]["uid"] == owner["uid"]
            }
            if !other { startDeletion(dependent.resource, dependent.key, ["propagationPolicy": "Background"]) }
        }
    }

    /// Goes on with a foreground or orphaning deletion.
    private func finishDeletion(_ resource: Resource, _ key: ObjectKey) {
        guard let object = object(resource, key), object["metadata"]["deletionTimestamp"] != nil else { return }
        let uid = object["metadata"]["uid"].text ?? ""
        let finalizers = object["metadata"]["finalizers"].items
        let owned = (dependents[uid] ?? []).sorted { $0.resource.rawValue > $1.resource.rawValue }
        if finalizers.contains("orphan") {
            for dependent in owned {
                update(dependent.resource, dependent.key) { object in
                    let owners = object["metadata"]["ownerReferences"].items.filter { $0["uid"].text != uid }
                    object["metadata"]["ownerReferences"] = owners.isEmpty ? nil : .array(owners)
                }
            }
            update(resource, key) { object in
                let left = finalizers.filter { $0 != "orphan" }
                object["metadata"]["finalizers"] = left.isEmpty ? nil : .array(left)
            }
        } else if finalizers.contains("foregroundDeletion") {
            for dependent in owned
            where self.object(dependent.resource, dependent.key)["metadata"]["deletionTimestamp"] == nil {
                startDeletion(dependent.resource, dependent.key, ["propagationPolicy": "Foreground"])
            }
            if dependents[uid]?.isEmpty ?? true {
                update(resource, key) { object in
                    let left = finalizers.filter { $0 != "foregroundDeletion" }
                    object["metadata"]["finalizers"] = left.isEmpty ? nil : .array(left)
                }
            }
        }
    }
}
