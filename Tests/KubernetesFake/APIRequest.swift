import Foundation

/// One request to the API.
package struct APIRequest: Sendable {
    /// `GET`, `POST` …
    package var method: String
    /// The path, percent-decoded part by part.
    package var path: [String]
    /// Parameters, decoded; of one that is there twice the last.
    package var query: [String: String]
    /// Names in lower case.
    package var headers: [String: String]
    /// Empty where there is none.
    package var body: [UInt8]

    /// - Parameter target: the path with its query, as it stands in the request's first line.
    package init(method: String, target: String, headers: [String: String] = [:], body: [UInt8] = []) {
        self.method = method
        self.headers = headers
        self.body = body
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = parts[0].split(separator: "/").map { String($0).removingPercentEncoding ?? String($0) }
        query = [:]
        for item in parts.dropFirst().first?.split(separator: "&") ?? [] {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                $0.replacing("+", with: " ").removingPercentEncoding ?? String($0)
            }
            query[pair[0]] = pair.count > 1 ? pair[1] : ""
        }
    }

    func flag(_ name: String) -> Bool { query[name] == "true" || query[name] == "1" }

    var mediaType: String {
        String((headers["content-type"] ?? "").prefix { $0 != ";" }).trimmingCharacters(in: .whitespaces)
    }
}

/// What the API answers.
package struct APIResponse: Sendable {
    /// The code of HTTP.
    package var status: Int
    /// Names and values, without those of the transport.
    package var headers: [(String, String)]
    /// Empty where the answer is a stream.
    package var body: [UInt8]
    /// Set where the body is a stream instead.
    var stream: Stream?

    enum Stream: Sendable {
        case watch(WatchRequest)
        /// The pieces of a log as they come.
        case log(AsyncStream<[UInt8]>)
    }

    /// The body as JSON; nil if it is none.
    package var object: JSON? { try? JSON(parsing: body) }

    init(_ status: Int = 200, json: JSON, headers: [(String, String)] = []) {
        self.status = status
        self.headers = headers + [("Content-Type", "application/json")]
        body = json.bytes + [10]
    }

    init(_ status: Int = 200, type: String?, body: [UInt8] = [], stream: Stream? = nil) {
        self.status = status
        headers = type.map { [("Content-Type", $0)] } ?? []
        self.body = body
        self.stream = stream
    }

    init(_ error: StatusError) {
        self.init(error.code, json: error.object, headers: error.headers)
    }

    static func plain(_ status: Int, _ text: String) -> APIResponse {
        var response = APIResponse(status, type: "text/plain; charset=utf-8", body: Array(text.utf8))
        response.headers.append(("X-Content-Type-Options", "nosniff"))
        return response
    }
}

/// What a request's path names.
struct Target: Sendable {
    var resource: Resource
    /// Empty: all namespaces, or none.
    var namespace: String
    var name: String?
    var subresource: String?

    var key: ObjectKey { ObjectKey(namespace, name ?? "") }

    /// The target of `/api/v1/…` or `/apis/GROUP/v1/…`; nil for other paths.
    init?(_ path: [String]) {
        var rest = path[...]
        let group: String
        if rest.starts(with: ["api", "v1"]) {
            group = ""
            rest = rest.dropFirst(2)
        } else if rest.count > 3, rest.first == "apis", rest[2] == "v1" {
            group = rest[1]
            rest = rest.dropFirst(3)
        } else {
            return nil
        }
        namespace = ""
        if rest.first == "namespaces", rest.count > 2 {
            namespace = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        }
        guard let word = rest.popFirst(), let resource = Resource(rawValue: word), resource.group == group,
            rest.count <= 2, resource.namespaced || namespace.isEmpty
        else { return nil }
        self.resource = resource
        name = rest.popFirst()
        subresource = rest.popFirst()
    }
}
