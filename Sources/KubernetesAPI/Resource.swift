/// Where the objects of one kind are found.
package struct Resource: Hashable, Sendable {
    /// Empty for the core group.
    package var group: String
    /// Such as `v1`.
    package var version: String
    /// The name in paths, such as `pods`.
    package var plural: String
    /// The name in objects, such as `Pod`.
    package var kind: String
    /// Whether its objects lie in namespaces.
    package var isNamespaced: Bool

    package init(group: String = "", version: String = "v1", plural: String, kind: String, isNamespaced: Bool = true) {
        self.group = group
        self.version = version
        self.plural = plural
        self.kind = kind
        self.isNamespaced = isNamespaced
    }

    /// `v1`, `batch/v1`.
    package var apiVersion: String { group.isEmpty ? version : group + "/" + version }

    /// The path of the collection, of an object or of a part of it (`pods/NAME/log`).
    ///
    /// - Parameter namespace: ignored where the resource has none.
    package func path(namespace: String, name: String? = nil, subresource: String? = nil) -> String {
        var path = (group.isEmpty ? "/api/" : "/apis/") + apiVersion
        if isNamespaced { path += "/namespaces/" + percentEncoded(namespace) }
        path += "/" + plural
        if let name { path += "/" + percentEncoded(name) }
        if let subresource { path += "/" + subresource }
        return path
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986).
func percentEncoded(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95, 126: result.unicodeScalars.append(Unicode.Scalar(byte))
        default: result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }
    return result
}

/// An object of the API: a generated structure with a resource of its own.
package protocol KubernetesObject: JSONValue, Hashable {
    static var resource: Resource { get }

    var apiVersion: String? { get set }
    var kind: String? { get set }
    var metadata: ObjectMeta? { get set }
}

extension Job: KubernetesObject {
    package static let resource = Resource(group: "batch", plural: "jobs", kind: "Job")
}

extension Pod: KubernetesObject {
    package static let resource = Resource(plural: "pods", kind: "Pod")
}

extension PersistentVolumeClaim: KubernetesObject {
    package static let resource = Resource(plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim")
}

extension Lease: KubernetesObject {
    package static let resource = Resource(group: "coordination.k8s.io", plural: "leases", kind: "Lease")
}

extension Event: KubernetesObject {
    package static let resource = Resource(plural: "events", kind: "Event")
}

extension Node: KubernetesObject {
    package static let resource = Resource(plural: "nodes", kind: "Node", isNamespaced: false)
}

extension KubernetesObject {
    /// Reads an object from JSON; members that the model lacks are skipped.
    ///
    /// - Throws: ``KubernetesError/unreadable(_:)``
    package init(json: [UInt8]) throws(KubernetesError) { self = try decoded(Self.self, json) }

    /// The object as JSON, with `apiVersion` and `kind` of its resource where it has none.
    package var json: [UInt8] { JSONWriter.encode(completed) }

    /// With its resource's `apiVersion` and `kind`, which objects in lists lack.
    var completed: Self {
        var object = self
        object.apiVersion = apiVersion ?? Self.resource.apiVersion
        object.kind = kind ?? Self.resource.kind
        return object
    }
}

/// One chunk of a list.
package struct ObjectList<Object: KubernetesObject>: Hashable, Sendable {
    package var items: [Object] = []
    /// The version that all chunks of the list show; a watch goes on from it.
    package var resourceVersion: String?
    /// The token of the next chunk; nil after the last one.
    package var continueToken: String?
    /// Objects after this chunk, where the server knows.
    package var remainingItemCount: Int64?
}
