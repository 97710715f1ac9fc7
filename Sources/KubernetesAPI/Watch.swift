import HTTPClient

/// A change that a watch tells.
package enum WatchEvent<Object: KubernetesObject>: Hashable, Sendable {
    case added(Object)
    case modified(Object)
    /// Its last state; also an object that the selection no longer names.
    case deleted(Object)
    /// Everything up to this version was told. `endsInitialEvents` where what there was at the beginning is told with it.
    case bookmark(resourceVersion: String, endsInitialEvents: Bool)
    /// The watch has ended; ``Refusal/isExpired`` where its version is too old, so that a list has to begin it anew.
    case error(Refusal)
}

/// What a watch is to tell.
package struct WatchOptions: Hashable, Sendable {
    package var selection = Selection()
    /// That of a list or of the last event; without one, what there is comes first, as `added`, without a mark where it ends.
    package var resourceVersion: String?
    package var allowsBookmarks = true
    /// Seconds after which the server ends the watch; its default is half an hour or more.
    package var timeoutSeconds: Int?
    /// What there is comes first, then a bookmark that says so.
    package var sendsInitialEvents = false
    /// Give up when nothing came for so long, so that a dead connection is noticed; bookmarks come every minute. Nil for never.
    package var stallTimeout: Duration? = .seconds(100)
    /// Nil takes the client's.
    package var retry: RetryPolicy?

    package init() {}
}

/// A watch under way. The server is held back while nobody asks for the next event.
package struct Watch<Object: KubernetesObject> {
    private let stream: HTTPStream
    private let request: String
    private var lines = LineBuffer()

    init(_ stream: HTTPStream, request: String) {
        self.stream = stream
        self.request = request
    }

    /// The next event; nil once the server has ended the watch, which it does now and then.
    ///
    /// - Throws: ``KubernetesError/transport(_:)`` where the connection broke: what came before holds, and another watch goes on from
    ///   the last event's resource version.
    package mutating func next() async throws(KubernetesError) -> WatchEvent<Object>? {
        while true {
            if let line = lines.next() {
                if line.allSatisfy({ $0 == 32 || $0 == 13 }) { continue }
                return try event(line)
            }
            let piece: [UInt8]?
            do throws(HTTPError) { piece = try await stream.next() } catch { throw .transport(error) }
            guard let piece else {
                guard lines.isEmpty else { throw .unreadable("a watch ended within an event") }
                return nil
            }
            try lines.append(piece)
        }
    }

    private func event(_ bytes: [UInt8]) throws(KubernetesError) -> WatchEvent<Object> {
        let line = try decoded(WatchLine<Object>.self, bytes)
        if line.type == "ERROR", let status = line.status {
            return .error(Refusal(status, code: Int(status.code ?? 0), request: request))
        }
        guard let object = line.object else { throw .unreadable("a watch's event has no object") }
        switch line.type {
        case "ADDED": return .added(object)
        case "MODIFIED": return .modified(object)
        case "DELETED": return .deleted(object)
        case "BOOKMARK":
            guard let version = object.metadata?.resourceVersion else {
                throw .unreadable("a bookmark has no resourceVersion")
            }
            let isEnd = object.metadata?.annotations?["k8s.io/initial-events-end"] == "true"
            return .bookmark(resourceVersion: version, endsInitialEvents: isEnd)
        default: throw .unreadable("a watch's event is of the unknown type \"\(line.type)\"")
        }
    }
}

/// Cuts a stream into lines.
struct LineBuffer {
    /// Bytes of the longest line: an object has 1.5 MB at most in etcd, and JSON a little more.
    private static let longest = 16 << 20

    private var bytes: [UInt8] = []
    /// Where the next line begins, and up to where no line end was found.
    private var start = 0
    private var searched = 0

    var isEmpty: Bool { start == bytes.count }

    mutating func append(_ piece: [UInt8]) throws(KubernetesError) {
        if start > 0 {
            bytes.removeFirst(start)
            searched -= start
            start = 0
        }
        bytes += piece
        guard bytes.count <= Self.longest else {
            throw .unreadable("a watch's event is longer than \(Self.longest) bytes")
        }
    }

    /// A line without its end; nil where more bytes are needed.
    mutating func next() -> [UInt8]? {
        guard let end = bytes[searched...].firstIndex(of: 10) else {
            searched = bytes.count
            return nil
        }
        defer { (start, searched) = (end + 1, end + 1) }
        return Array(bytes[start..<end])
    }
}

extension KubernetesClient {
    /// Watches the objects of a collection.
    package func watch<Object: KubernetesObject>(
        _ type: Object.Type, namespace: String? = nil, options: WatchOptions
    ) async throws(KubernetesError) -> Watch<Object> {
        var request = APIRequest("GET", path(type, namespace))
        request.add("watch", "1")
        request.add(options.selection)
        request.add("resourceVersion", options.resourceVersion)
        if options.sendsInitialEvents {
            request.add("sendInitialEvents", "true")
            request.add("resourceVersionMatch", "NotOlderThan")
        }
        if options.allowsBookmarks { request.add("allowWatchBookmarks", "true") }
        request.add("timeoutSeconds", options.timeoutSeconds.map { "\($0)" })
        request.timeout = nil
        request.stallTimeout = options.stallTimeout
        request.retry = options.retry
        return Watch(try await open(request), request: request.name)
    }
}
