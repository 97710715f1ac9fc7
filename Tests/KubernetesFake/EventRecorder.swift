/// Events, in the two shapes of the recordings: of controllers and kubelets (first and last time, count), of the scheduler
/// (`eventTime` alone).
extension Cluster {
    /// Records an event about an object; the same one again raises its count.
    /// - Parameters:
    ///   - node: the node whose kubelet says it.
    ///   - field: `spec.initContainers{exec-0}`, for an event about a container.
    func recordEvent(
        _ resource: Resource, _ object: JSON, type: String, reason: String, message: String, component: String,
        node: String? = nil, field: String? = nil
    ) {
        let uid = object["metadata"]["uid"].text ?? ""
        let namespace = object["metadata"]["namespace"].text ?? ""
        let identity = [uid, field ?? "", type, reason, message].joined(separator: "\u{0}")
        if let key = eventNames[identity], self.object(.events, key) != nil {
            update(.events, key) { event in
                event["count"] = .int((event["count"].int ?? 1) + 1)
                event["lastTimestamp"] = timestamp
            }
            return
        }
        let name = "\(object["metadata"]["name"].text ?? "").\(String(Int(now * 1000), radix: 16))\(resourceVersion)"
        let key = ObjectKey(namespace, name)
        eventNames[identity] = key
        insert(
            .events,
            [
                "metadata": ["name": .string(name), "namespace": .string(namespace)],
                "involvedObject": .of([
                    "kind": .string(resource.kind), "namespace": .string(namespace), "name": object["metadata"]["name"],
                    "uid": .string(uid), "apiVersion": .string(resource.apiVersion),
                    "resourceVersion": object["metadata"]["resourceVersion"], "fieldPath": field.map(JSON.string),
                ]),
                "reason": .string(reason), "message": .string(message),
                "source": .of(["component": .string(component), "host": node.map(JSON.string)]),
                "firstTimestamp": timestamp, "lastTimestamp": timestamp, "count": 1, "type": .string(type),
                "eventTime": .null, "reportingComponent": .string(component),
                "reportingInstance": .string(node ?? ""),
            ])
    }

    /// An event of the scheduler.
    func recordSchedulerEvent(_ pod: JSON, type: String, reason: String, message: String, action: String) {
        let uid = pod["metadata"]["uid"].text ?? ""
        let identity = [uid, type, reason, message].joined(separator: "\u{0}")
        if let key = eventNames[identity], object(.events, key) != nil {
            update(.events, key) { event in
                let count = event["series"]["count"].int ?? 1
                event["series"] = ["count": .int(count + 1), "lastObservedTime": .string(Timeline.text(now))]
            }
            return
        }
        let namespace = pod["metadata"]["namespace"].text ?? ""
        let name = "\(pod["metadata"]["name"].text ?? "").\(String(Int(now * 1000), radix: 16))\(resourceVersion)"
        eventNames[identity] = ObjectKey(namespace, name)
        let micros = String(Timeline.text(now).dropLast()) + ".000000Z"
        insert(
            .events,
            [
                "metadata": ["name": .string(name), "namespace": .string(namespace)],
                "involvedObject": .of([
                    "kind": "Pod", "namespace": .string(namespace), "name": pod["metadata"]["name"],
                    "uid": .string(uid),
                    "apiVersion": "v1", "resourceVersion": pod["metadata"]["resourceVersion"],
                ]),
                "reason": .string(reason), "message": .string(message), "source": [:], "firstTimestamp": .null,
                "lastTimestamp": .null, "type": .string(type), "eventTime": .string(micros), "action": .string(action),
                "reportingComponent": "default-scheduler", "reportingInstance": "default-scheduler-0",
            ])
    }
}
