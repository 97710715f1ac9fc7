/// Paths inside a container, handled as text: nothing here touches a disk.
package enum ContainerPath {
    /// Without doubled and trailing slashes and `.` segments; nil where the path is relative or escapes by `..`.
    package static func normalized(_ path: String) -> String? {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
        let segments = path.split(separator: "/").filter { $0 != "." }
        guard !segments.contains("..") else { return nil }
        return "/" + segments.joined(separator: "/")
    }

    /// `/a/b/c` → `/a/b`; the root's parent is the root.
    package static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// `/a/b/c` → `c`.
    package static func name(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? ""
    }

    /// Whether `path` is `folder` or lies in it.
    package static func contains(_ folder: String, _ path: String) -> Bool {
        folder == "/" || path == folder || path.hasPrefix(folder + "/")
    }
}
