import Filer
package import KubernetesAPI
import TaskCore

/// The forms in which settings and tasks write what is more than one word.
extension MountedVolume {
    /// `PATH=hostPath:FOLDER`, `PATH=nfs:SERVER:FOLDER` or `PATH=pvc:CLAIM[/FOLDER]`, then `:ro` (as without it) or `:rw`.
    /// Nil for anything else.
    package init?(text: String) {
        let isWritable = text.hasSuffix(":rw")
        let named = isWritable || text.hasSuffix(":ro") ? text.dropLast(3) : text[...]
        let halves = named.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard halves.count == 2, let path = ContainerPath.normalized(halves[0]) else { return nil }
        let words = halves[1].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 2, let source = Source(kind: words[0], words[1]) else { return nil }
        self.init(path: path, source: source, isWritable: isWritable)
    }
}

extension MountedVolume.Source {
    fileprivate init?(kind: String, _ text: String) {
        switch kind {
        case "hostPath":
            guard let path = ContainerPath.normalized(text) else { return nil }
            self = .hostPath(path)
        case "nfs":
            // An IPv6 server has colons of its own: the folder begins at the last one before a slash.
            guard let slash = text.firstIndex(of: "/"), slash > text.startIndex, text[..<slash].hasSuffix(":"),
                let path = ContainerPath.normalized(String(text[slash...]))
            else { return nil }
            let server = String(text[..<slash].dropLast())
            if server.isEmpty { return nil }
            self = .nfs(server: server, path: path)
        case "pvc":
            let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard !halves[0].isEmpty else { return nil }
            if halves.count == 1 {
                self = .claim(halves[0], subPath: nil)
            } else {
                guard let path = ContainerPath.normalized("/" + halves[1]), path != "/" else { return nil }
                self = .claim(halves[0], subPath: String(path.dropFirst()))
            }
        default: return nil
        }
    }
}

extension KubernetesConfiguration.StorageLogin {
    /// `SECRET`, `SECRET=https://ENDPOINT` or `SECRET=s3://BUCKET`; nil for anything else.
    package init?(text: String) {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard KubernetesNames.isSubdomain(halves[0]) else { return nil }
        let scope = halves.count == 2 ? halves[1] : nil
        if let scope, !Self.isScope(scope) { return nil }
        self.init(secret: halves[0], scope: scope)
    }

    /// Whether `tif` and `tof` can read it.
    static func isScope(_ text: String) -> Bool {
        !text.contains(",") && (try? S3Login("/folder=" + text)) != nil
    }
}

extension KubernetesConfiguration.AllowedParameters {
    /// Reads `ID` or `FIRST-LAST`, as ``userIDs`` and ``groupIDs`` are written; nil for anything else.
    package static func ids(_ text: String) -> ClosedRange<Int64>? {
        let halves = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard let first = halves[0], let last = halves[halves.count - 1], halves.count <= 2, first <= last else {
            return nil
        }
        return first...last
    }
}

extension Toleration {
    /// As `kubectl taint` writes taints: `KEY=VALUE:EFFECT`, `KEY:EFFECT`, `KEY=VALUE` or `KEY`; without a value any value is
    /// tolerated, without an effect each. Nil for anything else.
    package init?(text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let halves = parts[0].split(separator: "=", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, halves.count <= 2, KubernetesNames.isLabelKey(halves[0]) else { return nil }
        self.init(key: halves[0], operator: "Exists")
        if halves.count == 2 {
            guard KubernetesNames.isLabelValue(halves[1]) else { return nil }
            self.operator = "Equal"
            value = halves[1]
        }
        if parts.count == 2 {
            guard ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(parts[1]) else { return nil }
            effect = parts[1]
        }
    }

    /// The text that reads back as this.
    package var text: String {
        (key ?? "") + (value.map { "=" + $0 } ?? "") + (effect.map { ":" + $0 } ?? "")
    }
}
