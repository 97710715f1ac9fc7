/// A request to the API server, as far as the client has no method of its own for it.
package struct APIRequest: Sendable {
    package var method: String
    /// Percent-encoded, from the root on: `/api/v1/…`.
    package var path: String
    /// Not encoded.
    package var query: [(name: String, value: String)] = []
    /// Nil for none.
    package var body: [UInt8]?
    /// The type of the body.
    package var contentType = "application/json"
    /// The type of the answer.
    package var accept = "application/json"
    /// Whether nothing is worse if the server carries the request out twice. True for GET, PUT and DELETE unless changed.
    package var isRepeatable: Bool
    /// For the whole exchange; nil for none.
    package var timeout: Duration? = .seconds(90)
    /// Give up when nothing came for so long; nil for never.
    package var stallTimeout: Duration? = .seconds(60)
    /// Nil takes the client's.
    package var retry: RetryPolicy?
    /// Most bytes of the answer.
    package var limit = 256 << 20

    package init(_ method: String, _ path: String) {
        self.method = method
        self.path = path
        isRepeatable = ["GET", "PUT", "DELETE"].contains(method)
    }

    /// Path and query.
    var target: String {
        guard !query.isEmpty else { return path }
        let pairs = query.map { percentEncoded($0.name) + "=" + percentEncoded($0.value) }
        return path + "?" + pairs.joined(separator: "&")
    }

    mutating func add(_ name: String, _ value: String?) {
        if let value { query.append((name, value)) }
    }
}

/// An answer of status 2xx.
package struct APIAnswer: Sendable {
    package var status: Int
    package var body: [UInt8]
    /// What the server warns of, such as members that it does not know.
    package var warnings: [String]
}

/// Which objects of a collection are meant.
package struct Selection: Hashable, Sendable {
    /// Such as `app=poiesis,!old`.
    package var labels: String?
    /// Such as `metadata.name=a`.
    package var fields: String?

    package init(labels: String? = nil, fields: String? = nil) {
        self.labels = labels
        self.fields = fields
    }
}

/// How a list is read; without a resource version it is the newest.
package struct ListOptions: Hashable, Sendable {
    package var selection = Selection()
    /// Most objects of one chunk.
    package var limit: Int?
    /// That of the chunk before.
    package var continueToken: String?
    /// The version to show; see ``resourceVersionMatch``.
    package var resourceVersion: String?
    /// `Exact` or `NotOlderThan`.
    package var resourceVersionMatch: String?

    package init() {}
}

/// Checks that the server makes, or leaves out, when it writes.
package struct WriteOptions: Hashable, Sendable {
    /// Checks everything and writes nothing.
    package var isDryRun = false
    /// `Ignore`, `Warn` or `Strict`, about members that the server does not know; nil is its default, `Warn`.
    package var fieldValidation: String?
    /// Whom changes are recorded for.
    package var fieldManager: String?

    package init() {}
}

/// What happens to the objects that a deleted one owns.
package enum PropagationPolicy: String, Hashable, Sendable {
    /// They are deleted after it.
    case background = "Background"
    /// They are deleted before it.
    case foreground = "Foreground"
    /// They stay, without an owner.
    case orphan = "Orphan"
}

/// A change of some members of an object.
package enum Patch: Hashable, Sendable {
    /// RFC 7396: null removes a member, arrays are replaced.
    case merge([UInt8])
    /// Kubernetes' own: arrays of objects are merged by their keys.
    case strategicMerge([UInt8])
    /// RFC 6902: a list of operations. It is not sent again where it may have been carried out.
    case json([UInt8])
    /// Server-side apply: JSON or YAML with all members that the manager wants; makes the object where there is none.
    case apply([UInt8], fieldManager: String, isForced: Bool)
}

/// What came of a deletion.
package enum Deletion<Object: KubernetesObject>: Hashable, Sendable {
    /// It is gone, or (`Background`) no longer there for readers.
    case deleted
    /// As the server answers it: it is still there until its grace and its finalizers are over, unless the grace is 0.
    case deleting(Object)
}
