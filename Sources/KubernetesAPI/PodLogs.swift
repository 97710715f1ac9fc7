import HTTPClient

/// Which part of a container's log.
///
/// https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod
package struct PodLogOptions: Hashable, Sendable {
    /// Nil is the main container.
    package var container: String?
    /// That of the container before its last restart.
    package var isPrevious = false
    /// A time of the runtime's clock before each line.
    package var hasTimestamps = false
    /// The last so many pieces of at most 16 KiB, which mostly are lines.
    package var tailLines: Int64?
    /// Cuts inside a line.
    package var limitBytes: Int64?
    package var sinceSeconds: Int64?
    /// RFC 3339; only its whole seconds count.
    package var sinceTime: String?

    package init() {}
}

/// A log that goes on until its container ends.
package struct PodLogStream: Sendable {
    let stream: HTTPStream

    /// What has come since the last call; nil once the container has ended.
    package func next() async throws(KubernetesError) -> [UInt8]? {
        do throws(HTTPError) { return try await stream.next() } catch { throw .transport(error) }
    }
}

extension KubernetesClient {
    /// Standard output and error of a container, mixed, as the runtime kept them: not every byte (a CR before LF is lost), and not
    /// UTF-8 where the program wrote other bytes. Empty where the Pod has no node yet.
    ///
    /// - Parameter limit: most bytes; more is ``HTTPError/tooLarge(limit:)``.
    /// - Throws: ``StatusReason/badRequest`` before the container has started, ``StatusReason/notFound`` without such a Pod.
    package func podLog(
        _ pod: String, namespace: String? = nil, options: PodLogOptions = PodLogOptions(), limit: Int = 16 << 20
    ) async throws(KubernetesError) -> [UInt8] {
        var request = logRequest(pod, namespace, options)
        request.limit = limit
        return try await send(request).body
    }

    /// Follows a container's log; it must have started.
    package func followPodLog(
        _ pod: String, namespace: String? = nil, options: PodLogOptions = PodLogOptions()
    ) async throws(KubernetesError) -> PodLogStream {
        var request = logRequest(pod, namespace, options)
        request.add("follow", "true")
        request.timeout = nil
        request.stallTimeout = nil
        return PodLogStream(stream: try await open(request))
    }

    private func logRequest(_ pod: String, _ namespace: String?, _ options: PodLogOptions) -> APIRequest {
        var request = APIRequest("GET", path(Pod.self, namespace, pod, subresource: "log"))
        request.add("container", options.container)
        if options.isPrevious { request.add("previous", "true") }
        if options.hasTimestamps { request.add("timestamps", "true") }
        request.add("tailLines", options.tailLines.map { "\($0)" })
        request.add("limitBytes", options.limitBytes.map { "\($0)" })
        request.add("sinceSeconds", options.sinceSeconds.map { "\($0)" })
        request.add("sinceTime", options.sinceTime)
        return request
    }
}
