extension Cluster {
    func evict(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let eviction = try body(request, kind: "Eviction")
        guard let pod = object(.pods, target.key) else { throw .notFound(.pods, target.name ?? "") }
        if policy.blocksEvictions {
            throw StatusError(
                429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
                details: [
                    "causes": [
                        [
                            "reason": "DisruptionBudget",
                            "message": "The disruption budget keep needs 1 healthy pods and has 1 currently",
                        ]
                    ]
                ])
        }
        if pod["metadata"]["deletionTimestamp"] == nil {
            disrupt(target.key, "EvictionByEvictionAPI", "Eviction API: evicting", eviction["deleteOptions"] ?? [:])
        }
        return APIResponse(
            201, json: ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201])
    }

    /// A container's log, as `kubectl logs` asks for it.
    func log(_ request: APIRequest, _ target: Target) throws(StatusError) -> APIResponse {
        let name = target.name ?? ""
        guard target.resource == .pods, let pod = object(.pods, target.key) else { throw .notFound(.pods, name) }
        let query = request.query
        func invalid(_ cause: StatusError.Cause) -> StatusError {
            .invalid("PodLogOptions", group: "", name: name, [cause])
        }
        let limit = query["limitBytes"].flatMap { Int($0) }
        let tail = query["tailLines"].flatMap { Int($0) }
        if let limit, limit <= 0 {
            throw invalid(.invalid("limitBytes", String(limit), "must be greater than 0"))
        }
        if let tail, tail < 0 {
            throw invalid(.invalid("tailLines", String(tail), "must be greater than or equal to 0"))
        }
        if query["stream"] != nil { throw invalid(.forbidden("stream", "may not be specified")) }
        let specs = pod["spec"]["containers"].items + pod["spec"]["initContainers"].items
        let container = query["container"] ?? specs.first?["name"].text ?? ""
        guard specs.contains(where: { $0["name"].text == container }) else {
            throw .badRequest("container \(container) is not valid for pod \(name)")
        }
        guard let node = pod["spec"]["nodeName"].text else { return APIResponse(204, type: nil) }
        guard nodes[node]?.up == true else {
            throw StatusError(
                500, nil,
                "Get \"https://192.0.2.2:10250/containerLogs/\(target.key)/\(container)\": dial tcp 192.0.2.2:10250: "
                    + "connect: connection refused")
        }
        guard let id = try logID(pod, container, previous: request.flag("previous")) else {
            return APIResponse(type: "text/plain")
        }
        var since: Double?
        if let seconds = query["sinceSeconds"].flatMap({ Double($0) }) { since = now - seconds }
        if let time = Timeline.seconds(query["sinceTime"]) { since = time.rounded(.down) }
        let options = LogOptions(
            since: since, tail: tail, limit: limit, timestamps: request.flag("timestamps"),
            follow: request.flag("follow"))
        return APIResponse(
            type: "text/plain", stream: .log(options.apply(to: runtime.log(id, follow: options.follow))))
    }

    private func logID(_ pod: JSON, _ container: String, previous: Bool) throws(StatusError) -> String? {
        let name = pod["metadata"]["name"].text ?? ""
        let statuses = pod["status"]["initContainerStatuses"].items + pod["status"]["containerStatuses"].items
        let status = statuses.first { $0["name"].text == container }
        func id(_ text: String?) -> String? { text.map { String($0.trimmingPrefix("containerd://")) } }
        if previous {
            guard let last = id(status["lastState"]["terminated"]["containerID"].text) else {
                throw .badRequest("previous terminated container \"\(container)\" in pod \"\(name)\" not found")
            }
            return last
        }
        if let found = id(status["containerID"].text) { return found }
        let reason = status["state"]["waiting"]["reason"].text ?? "PodInitializing"
        let why =
            switch reason {
            case "ErrImagePull": "image can't be pulled"
            case "ImagePullBackOff": "trying and failing to pull image"
            default: reason
            }
        throw .badRequest("container \"\(container)\" in pod \"\(name)\" is waiting to start: \(why)")
    }
}

/// What of a log is asked for.
struct LogOptions: Sendable {
    var since: Double?
    var tail: Int?
    var limit: Int?
    var timestamps: Bool
    var follow: Bool

    func apply(to lines: AsyncStream<[LogLine]>) -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        let options = self
        let task = Task {
            var left = options.limit ?? .max
            var first = true
            for await batch in lines {
                var batch = batch.filter { $0.time >= options.since ?? 0 }
                if first, let tail = options.tail { batch = batch.suffix(tail) }
                first = false
                for line in batch {
                    var bytes = line.bytes
                    if options.timestamps { bytes = Array((Self.stamp(line.nanoseconds) + " ").utf8) + bytes }
                    bytes = Array(bytes.prefix(left))
                    left -= bytes.count
                    if !bytes.isEmpty { continuation.yield(bytes) }
                }
                if left == 0 { break }
            }
            continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    /// A time with nine decimals, as a runtime writes it.
    private static func stamp(_ time: Int) -> String {
        let nanos = String(time % 1_000_000_000)
        let digits = String(repeating: "0", count: 9 - nanos.count) + nanos
        return Timeline.text(Double(time / 1_000_000_000)).dropLast() + "." + digits + "Z"
    }
}
