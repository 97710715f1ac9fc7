/// A kind of object that the fake serves.
package enum Resource: String, Sendable, CaseIterable {
    case pods, persistentvolumeclaims, events, secrets, configmaps, nodes, namespaces, jobs, leases

    /// The API group, empty for the core.
    package var group: String {
        switch self {
        case .jobs: "batch"
        case .leases: "coordination.k8s.io"
        default: ""
        }
    }

    /// Group and version as objects name them.
    package var apiVersion: String { group.isEmpty ? "v1" : "\(group)/v1" }

    /// The kind as objects name it.
    package var kind: String {
        switch self {
        case .pods: "Pod"
        case .persistentvolumeclaims: "PersistentVolumeClaim"
        case .events: "Event"
        case .secrets: "Secret"
        case .configmaps: "ConfigMap"
        case .nodes: "Node"
        case .namespaces: "Namespace"
        case .jobs: "Job"
        case .leases: "Lease"
        }
    }

    /// Whether its objects live in namespaces.
    package var namespaced: Bool { self != .nodes && self != .namespaces }

    /// Whether its objects count their generations.
    var hasGeneration: Bool { self == .jobs || self == .pods }

    /// Whether a PUT of an object that is not there creates it.
    var createsOnUpdate: Bool { self == .leases }

    /// `jobs.batch`, as messages name it.
    var qualified: String { group.isEmpty ? rawValue : "\(rawValue).\(group)" }

    /// `Job.batch`, as messages of validation name it.
    var qualifiedKind: String { group.isEmpty ? kind : "\(kind).\(group)" }

    /// The resource of a kind; nil for one that the fake does not serve.
    package init?(kind: String) {
        guard let found = Self.allCases.first(where: { $0.kind == kind }) else { return nil }
        self = found
    }
}

/// An object's place: namespace (empty for those outside of namespaces) and name.
package struct ObjectKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Empty for objects outside of namespaces.
    package var namespace: String
    /// The object's name.
    package var name: String

    /// The key of an object.
    package init(_ namespace: String, _ name: String) { (self.namespace, self.name) = (namespace, name) }

    init(of object: JSON) {
        self.init(object["metadata"]["namespace"].text ?? "", object["metadata"]["name"].text ?? "")
    }

    package var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }

    package static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }
}
