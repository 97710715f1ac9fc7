/// Paths inside a container, handled as text: nothing here touches a disk.
///
/// They are cut as the kernel cuts them, at each byte `/`: for Swift a slash and a combining mark after it are one character.
package enum ContainerPath {
    private static let slash = UInt8(ascii: "/")

    /// The parts between slashes, without empty ones.
    package static func segments(_ path: some StringProtocol) -> [String] {
        var segments: [String] = []
        for segment in path.utf8.split(separator: slash) { segments.append(String(decoding: segment, as: UTF8.self)) }
        return segments
    }

    package static func isAbsolute(_ path: String) -> Bool { path.utf8.first == slash }

    /// Without doubled and trailing slashes and `.` segments; nil where the path is relative or escapes by `..`.
    package static func normalized(_ path: String) -> String? {
        guard isAbsolute(path), !path.utf8.contains(0) else { return nil }
        let segments = segments(path).filter { $0 != "." }
        guard !segments.contains("..") else { return nil }
        return "/" + segments.joined(separator: "/")
    }

    /// `/a/b/c` → `/a/b`; the root's parent is the root.
    package static func parent(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: slash), slash != path.startIndex else { return "/" }
        return String(decoding: path.utf8[..<slash], as: UTF8.self)
    }

    /// `/a/b/c` → `c`.
    package static func name(_ path: String) -> String { segments(path).last ?? "" }

    /// Whether `path` is `folder` or lies in it.
    package static func contains(_ folder: String, _ path: String) -> Bool {
        folder == "/" || below(folder, path) != nil
    }

    /// What follows `folder` in the path: empty, or with a leading slash; nil where the path does not lie in it.
    package static func below(_ folder: String, _ path: String) -> String? {
        if folder == "/" { return path == "/" ? "" : path }
        guard path.utf8.starts(with: folder.utf8) else { return nil }
        let rest = path.utf8.dropFirst(folder.utf8.count)
        return rest.isEmpty || rest.first == slash ? String(decoding: rest, as: UTF8.self) : nil
    }
}
