import Foundation

/// One change of one object.
struct Change: Sendable {
    var version: Int
    var resource: Resource
    var key: ObjectKey
    var before: JSON?
    var after: JSON?
    /// What a DELETED event carries: the last state, with the deletion's version.
    var last: JSON?
}

/// An object that has an owner.
struct Dependent: Hashable {
    var resource: Resource
    var key: ObjectKey
}

extension Cluster {
    /// An object as the store has it, nil if there is none.
    package func object(_ resource: Resource, _ key: ObjectKey) -> JSON? { objects[resource]?[key] }

    /// Every object of a resource, in the order of keys.
    package func all(_ resource: Resource) -> [JSON] {
        (objects[resource] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
    }

    /// Each state in which the objects of a kind were stored, oldest first, as far as the history goes.
    package func states(_ resource: Resource) -> [JSON] {
        history.filter { $0.resource == resource }.compactMap(\.after)
    }

    /// The most objects of a kind for which something held at one time, as far as the history goes.
    package func most(_ resource: Resource, where holds: (JSON) -> Bool) -> Int {
        var now: Set<ObjectKey> = []
        var most = 0
        for change in history where change.resource == resource {
            if change.after.map(holds) == true { now.insert(change.key) } else { now.remove(change.key) }
            most = max(most, now.count)
        }
        return most
    }

    /// Stores a new object with uid, version and time of creation. The caller has made sure of a free name.
    @discardableResult
    package func insert(_ resource: Resource, _ object: JSON) -> JSON {
        var object = object
        object["kind"] = .string(resource.kind)
        object["apiVersion"] = .string(resource.apiVersion)
        resourceVersion += 1
        object["metadata"]["uid"] = object["metadata"]["uid"] ?? .string(UUID().uuidString.lowercased())
        object["metadata"]["creationTimestamp"] = timestamp
        object["metadata"]["resourceVersion"] = .string(String(resourceVersion))
        if resource.hasGeneration { object["metadata"]["generation"] = 1 }
        let key = ObjectKey(of: object)
        objects[resource, default: [:]][key] = object
        for owner in object["metadata"]["ownerReferences"].items {
            dependents[owner["uid"].text ?? "", default: []].insert(Dependent(resource: resource, key: key))
        }
        record(Change(version: resourceVersion, resource: resource, key: key, after: object))
        return object
    }

    /// Puts an object there as it is, with the uid and version that it has; no controller acts on it, no watch is told.
    package func seed(_ object: JSON) {
        guard let resource = Resource(kind: object["kind"].text ?? "") else { return }
        let key = ObjectKey(of: object)
        objects[resource, default: [:]][key] = object
        resourceVersion = max(resourceVersion, Int(object["metadata"]["resourceVersion"].text ?? "") ?? 0)
        for owner in object["metadata"]["ownerReferences"].items {
            dependents[owner["uid"].text ?? "", default: []].insert(Dependent(resource: resource, key: key))
        }
    }

    /// Changes an object; nothing happens if the change changes nothing. An object whose deletion was asked for and that
    /// nothing holds any more is removed. Returns the object as it is then, or was last.
    @discardableResult
    package func update(_ resource: Resource, _ key: ObjectKey, _ change: (inout JSON) -> Void) -> JSON? {
        guard let before = objects[resource]?[key] else { return nil }
        var after = before
        change(&after)
        guard after != before else { return before }
        resourceVersion += 1
        after["metadata"]["resourceVersion"] = .string(String(resourceVersion))
        let deletes = before["metadata"]["deletionTimestamp"] == nil && after["metadata"]["deletionTimestamp"] != nil
        if resource.hasGeneration, deletes || Self.demand(before) != Self.demand(after) {
            after["metadata"]["generation"] = .int((before["metadata"]["generation"].int ?? 1) + 1)
        }
        if after["metadata"]["deletionTimestamp"] != nil, after["metadata"]["finalizers"].items.isEmpty,
            resource != .pods || after["metadata"]["deletionGracePeriodSeconds"] == 0
        {
            // The kubelet's last word on a Pod is seen as a change of its own; all else goes with its last write.
            if resource == .pods && before["metadata"]["deletionGracePeriodSeconds"] != 0 {
                store(resource, key, before, after)
            }
            remove(resource, key)
            return after
        }
        store(resource, key, before, after)
        return after
    }

    /// What an object asks for: its spec, without the node that a Pod was bound to.
    private static func demand(_ object: JSON) -> JSON? {
        var spec = object["spec"]
        spec["nodeName"] = nil
        return spec
    }

    private func store(_ resource: Resource, _ key: ObjectKey, _ before: JSON, _ after: JSON) {
        objects[resource]?[key] = after
        if before["metadata"]["ownerReferences"] != after["metadata"]["ownerReferences"] {
            let dependent = Dependent(resource: resource, key: key)
            for owner in before["metadata"]["ownerReferences"].items {
                dependents[owner["uid"].text ?? ""]?.remove(dependent)
            }
            for owner in after["metadata"]["ownerReferences"].items {
                dependents[owner["uid"].text ?? "", default: []].insert(dependent)
            }
        }
        record(Change(version: resourceVersion, resource: resource, key: key, before: before, after: after))
    }

    /// Takes an object away at once, whatever holds it.
    @discardableResult
    package func remove(_ resource: Resource, _ key: ObjectKey) -> JSON? {
        guard let before = objects[resource]?.removeValue(forKey: key) else { return nil }
        resourceVersion += 1
        for owner in before["metadata"]["ownerReferences"].items {
            let uid = owner["uid"].text ?? ""
            dependents[uid]?.remove(Dependent(resource: resource, key: key))
            if dependents[uid]?.isEmpty == true { dependents[uid] = nil }
        }
        var last = before
        last["metadata"]["resourceVersion"] = .string(String(resourceVersion))
        record(Change(version: resourceVersion, resource: resource, key: key, before: before, last: last))
        return last
    }

    private func record(_ change: Change) {
        history.append(change)
        if history.count > historyLimit + historyLimit / 4 {
            compacted = history[history.count - historyLimit - 1].version
            history.removeFirst(history.count - historyLimit)
        }
        tellWatchers(change)
        if policy.controllers { react(to: change) }
    }

    /// Forgets every change: a watch or a list of an older version is then expired.
    package func compact() {
        history = []
        compacted = resourceVersion
    }

    /// The objects of a resource as they were at a version. Throws 410 if that is no longer known.
    func snapshot(_ resource: Resource, at version: Int) throws(StatusError) -> [ObjectKey: JSON] {
        var result = objects[resource] ?? [:]
        if version >= resourceVersion { return result }
        guard version >= compacted else {
            throw .expired("The resourceVersion for the provided list is too old.")
        }
        for change in history.reversed() {
            if change.version <= version { break }
            if change.resource == resource { result[change.key] = change.before }
        }
        return result
    }

    /// Objects that an object owns, in the order of keys.
    func dependents(of uid: String?, _ resource: Resource) -> [ObjectKey] {
        (dependents[uid ?? ""] ?? []).filter { $0.resource == resource }.map(\.key).sorted()
    }

    /// What the controllers do about a change. Each reacts later, as the real ones do.
    private func react(to change: Change) {
        switch change.resource {
        case .jobs: jobChanged(change)
        case .pods:
            jobOfPodChanged(change)
            podChanged(change)
            if change.after == nil { claimsMayGo(in: change.key.namespace) }
        case .persistentvolumeclaims: claimChanged(change)
        case .nodes: scheduleWaiting()
        default: break
        }
        ownerChanged(change)
    }
}
