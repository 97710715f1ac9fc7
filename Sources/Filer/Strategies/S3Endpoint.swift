/// Where a service of S3 or STS answers.
package struct S3Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// `http` or `https`.
    package let scheme: String
    /// In lower case, with a port that is not the scheme's own: as libcurl sends and we sign it.
    package let host: String

    /// `https://HOST[:PORT]` or `http://HOST[:PORT]`; without a scheme it is https. Nil for anything else, also for a path.
    package init?(_ text: String) {
        var rest = text[...]
        var scheme = "https"
        if let separator = text.firstRange(of: "://") {
            scheme = text[..<separator.lowerBound].lowercased()
            rest = text[separator.upperBound...]
        }
        while rest.hasSuffix("/") { rest.removeLast() }
        guard scheme == "http" || scheme == "https", !rest.isEmpty,
            rest.utf8.allSatisfy({ $0 > 32 && $0 < 127 && !"/?#@,\\".utf8.contains($0) })
        else { return nil }
        // An address of IPv6 has colons, but in brackets.
        let afterAddress = rest.lastIndex(of: "]").map { rest.index(after: $0) } ?? rest.startIndex
        if let colon = rest[afterAddress...].firstIndex(of: ":") {
            guard colon > rest.startIndex, let port = UInt16(rest[rest.index(after: colon)...]) else { return nil }
            if port == (scheme == "http" ? 80 : 443) { rest = rest[..<colon] }
        }
        self.scheme = scheme
        host = rest.lowercased()
    }

    private init(host: String) {
        scheme = "https"
        self.host = host
    }

    /// Amazon's own: https://docs.aws.amazon.com/general/latest/gr/s3.html.
    ///
    /// - Parameter service: `s3` or `sts`.
    package static func amazon(_ service: String, region: String) -> S3Endpoint {
        S3Endpoint(host: "\(service).\(region).amazonaws.com\(region.hasPrefix("cn-") ? ".cn" : "")")
    }

    /// Whether it belongs to Amazon.
    package var isAmazons: Bool {
        [".amazonaws.com", ".amazonaws.com.cn"].contains { host.hasSuffix($0) }
    }

    package var description: String { "\(scheme)://\(host)" }
}
