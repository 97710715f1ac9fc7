import TES
import TaskCore

/// A URL of an input or output; a bare absolute path is a `file` URL.
package struct RemoteURL: Hashable, Sendable, CustomStringConvertible {
    /// In lower case.
    package var scheme: String
    /// Host and port, or bucket.
    package var authority: String
    /// Starts with a slash, or is empty. As in the URL; file paths are decoded.
    package var path: String
    /// What follows the path, with its `?`.
    package var query: String

    /// Nil where the text has no scheme and is no absolute path.
    package init?(_ text: String) {
        query = ""
        if ContainerPath.isAbsolute(text) {
            scheme = "file"
            authority = ""
            path = text
            return
        }
        guard let colon = text.firstIndex(of: ":") else { return nil }
        scheme = text[..<colon].lowercased()
        // Slashes are bytes: what combines with one does not hide it.
        var rest = text.utf8[text.index(after: colon)...]
        guard rest.first == UInt8(ascii: "/") else { return nil }
        authority = ""
        if rest.starts(with: "//".utf8) {
            rest = rest.dropFirst(2)
            let ends = scheme == "http" || scheme == "https" ? Array("/?#".utf8) : Array("/".utf8)
            let end = rest.firstIndex { ends.contains($0) } ?? rest.endIndex
            authority = String(Substring(rest[..<end]))
            rest = rest[end...]
        }
        path = String(Substring(rest))
        if scheme == "file" { path = percentDecoded(path) ?? path }
        if scheme == "http" || scheme == "https" {
            let end = path.firstIndex { $0 == "?" || $0 == "#" } ?? path.endIndex
            query = path[end...].hasPrefix("?") ? String(path[end...].prefix { $0 != "#" }) : ""
            path = String(path[..<end])
        }
    }

    /// What RFC 3986 allows in a path besides unreserved characters.
    private static let keptInPath = "/!$&'()*+,;=:@"

    package var description: String {
        let shown = scheme == "file" ? percentEncoded(path, keeping: Self.keptInPath) : path
        return "\(scheme)://\(authority)\(shown)\(query)"
    }

    /// The URL of something below this one.
    ///
    /// - Parameter relative: a path, not encoded.
    package func appending(_ relative: String) -> RemoteURL {
        var url = self
        while url.path.hasSuffix("/") { url.path.removeLast() }
        let isEncoded = scheme == "http" || scheme == "https"
        url.path += "/" + (isEncoded ? percentEncoded(relative, keeping: Self.keptInPath) : relative)
        return url
    }

    /// For messages and logs: without a user's name and password, and without a query, which may be a signature.
    package var redacted: String {
        let host = authority.split(separator: "@").last.map(String.init) ?? ""
        return "\(scheme)://\(host)\(path)\(query.isEmpty ? "" : "?…")"
    }
}
