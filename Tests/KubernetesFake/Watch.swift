/// Where a watch's bytes go.
package protocol WatchSink: Sendable {
    /// One or more whole lines.
    func send(_ bytes: [UInt8])
    /// The stream ends as it should.
    func finish()
}

/// What a watch asks for.
struct WatchRequest: Sendable {
    var resource: Resource
    var namespace: String?
    var selector: Selector
    /// nil: everything that exists first.
    var version: Int?
    var bookmarks = false
    /// Whether a bookmark marks the end of what existed.
    var marksInitialEvents = false
    /// Seconds until the stream ends; nil is until the client goes.
    var timeout: Double?
}

struct Watcher {
    var request: WatchRequest
    var sink: any WatchSink
    /// Versions up to this one were told.
    var told: Int
    /// Whether anything was sent.
    var hasTold = false
}

extension Cluster {
    /// Starts a watch. Returns its number, for `closeWatch`.
    func openWatch(_ request: WatchRequest, _ sink: any WatchSink) -> Int {
        let number = nextWatcher
        nextWatcher += 1
        var told = request.version ?? resourceVersion
        var hasTold = false
        if let version = request.version, version < compacted {
            // The two texts of the recordings: of a resource with a cache, and of events, which have none.
            let error = StatusError.expired(
                request.resource == .events
                    ? "The resourceVersion for the provided watch is too old."
                    : "too old resource version: \(version) (\(compacted))")
            sink.send(Self.line("ERROR", error.object))
            sink.finish()
            return number
        }
        if request.version == nil {
            for (key, object) in (objects[request.resource] ?? [:]).sorted(by: { $0.key < $1.key })
            where Self.concerns(request, key) && request.selector.matches(object) {
                sink.send(Self.line("ADDED", object))
            }
            if request.marksInitialEvents {
                sink.send(bookmark(request.resource, initialEventsEnd: true))
            }
        } else {
            var cache: [String: [UInt8]] = [:]
            for change in changes(after: told) where change.resource == request.resource {
                if let bytes = Self.event(change, request, &cache) {
                    sink.send(bytes)
                    hasTold = true
                }
                cache = [:]
            }
            told = max(told, resourceVersion)
        }
        watchers[number] = Watcher(request: request, sink: sink, told: told, hasTold: hasTold)
        if let name = request.selector.name {
            watchersOfName[request.resource, default: [:]][name, default: []].insert(number)
        } else {
            watchersOfAll[request.resource, default: []].insert(number)
        }
        if let timeout = request.timeout { after(timeout) { $0.endWatch(number) } }
        if request.bookmarks { sendBookmarks(number) }
        return number
    }

    /// Watches every object of a resource from now on, without HTTP.
    package func watchEverything(_ resource: Resource, _ sink: any WatchSink) {
        guard let all = try? Selector(labels: nil, fields: nil, resource: resource) else { return }
        _ = openWatch(WatchRequest(resource: resource, selector: all, version: resourceVersion), sink)
    }

    /// The number of watches that are open.
    package var openWatches: Int { watchers.count }

    /// A watch whose client is gone.
    func closeWatch(_ number: Int) {
        guard let watcher = watchers.removeValue(forKey: number) else { return }
        watchersOfAll[watcher.request.resource]?.remove(number)
        if let name = watcher.request.selector.name {
            watchersOfName[watcher.request.resource]?[name]?.remove(number)
            if watchersOfName[watcher.request.resource]?[name]?.isEmpty == true {
                watchersOfName[watcher.request.resource]?[name] = nil
            }
        }
    }

    private func endWatch(_ number: Int) {
        guard let watcher = watchers[number] else { return }
        closeWatch(number)
        // A short watch that told nothing gets none.
        if watcher.request.bookmarks && ((watcher.request.timeout ?? 0) >= 10 || watcher.hasTold) {
            watcher.sink.send(bookmark(watcher.request.resource))
        }
        watcher.sink.finish()
    }

    private func sendBookmarks(_ number: Int) {
        after(timing.bookmark) { cluster in
            guard let watcher = cluster.watchers[number] else { return }
            watcher.sink.send(cluster.bookmark(watcher.request.resource))
            cluster.sendBookmarks(number)
        }
    }

    /// A bookmark with the newest version. Its object is what Go makes of an empty one: `spec.containers` is null.
    private func bookmark(_ resource: Resource, initialEventsEnd: Bool = false) -> [UInt8] {
        var object: JSON = [
            "kind": .string(resource.kind), "apiVersion": .string(resource.apiVersion),
            "metadata": ["resourceVersion": .string(String(resourceVersion))],
        ]
        if initialEventsEnd { object["metadata"]["annotations"] = ["k8s.io/initial-events-end": "true"] }
        switch resource {
        case .pods:
            object["spec"] = ["containers": .null]
            object["status"] = [:]
        case .jobs:
            object["spec"] = ["template": ["metadata": [:], "spec": ["containers": .null]]]
            object["status"] = [:]
        case .leases: object["spec"] = [:]
        default: break
        }
        return Self.line("BOOKMARK", object)
    }

    private func changes(after version: Int) -> ArraySlice<Change> {
        var (low, high) = (0, history.count)
        while low < high {
            let middle = (low + high) / 2
            if history[middle].version <= version { low = middle + 1 } else { high = middle }
        }
        return history[low...]
    }

    func tellWatchers(_ change: Change) {
        let named = watchersOfName[change.resource]?[change.key.name] ?? []
        let all = watchersOfAll[change.resource] ?? []
        var cache: [String: [UInt8]] = [:]
        for group in [all, named] {
            for number in group {
                guard let watcher = watchers[number], change.version > watcher.told,
                    let bytes = Self.event(change, watcher.request, &cache)
                else { continue }
                watcher.sink.send(bytes)
                watchers[number]?.hasTold = true
            }
        }
    }

    private static func concerns(_ request: WatchRequest, _ key: ObjectKey) -> Bool {
        request.namespace == nil || request.namespace == key.namespace
    }

    /// The line that tells a watch of a change; an object that comes to match is ADDED, one that no longer does is DELETED.
    /// - Parameter cache: the lines that were already made of this change.
    private static func event(
        _ change: Change, _ request: WatchRequest, _ cache: inout [String: [UInt8]]
    ) -> [UInt8]? {
        guard concerns(request, change.key) else { return nil }
        let matched = change.before.map(request.selector.matches) ?? false
        let matches = change.after.map(request.selector.matches) ?? false
        let type: String
        var object: JSON?
        switch (matched, matches) {
        case (false, false): return nil
        case (false, true): (type, object) = ("ADDED", change.after)
        case (true, true): (type, object) = ("MODIFIED", change.after)
        case (true, false):
            type = "DELETED"
            object = change.last ?? change.before
            object?["metadata"]["resourceVersion"] = .string(String(change.version))
        }
        if let bytes = cache[type] { return bytes }
        let bytes = line(type, object ?? .null)
        cache[type] = bytes
        return bytes
    }

    private static func line(_ type: String, _ object: JSON) -> [UInt8] {
        var bytes = Array("{\"type\":\"\(type)\",\"object\":".utf8)
        object.write(to: &bytes)
        bytes += "}\n".utf8
        return bytes
    }
}
