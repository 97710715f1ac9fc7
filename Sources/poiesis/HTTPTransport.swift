import Foundation
import HTTPClient
import TES

/// The generated client's transport: libcurl to one server.
struct HTTPTransport: ClientTransport {
    private let client: HTTPClient
    /// With the base path, without a slash at its end.
    private let base: String

    /// - Parameter url: the server's; the specification's base path is added where it has none.
    init(url: String, client: HTTPClient) {
        base = Self.base(url)
        self.client = client
    }

    /// A server's URL with the specification's base path where it has none, without a slash at its end.
    static func base(_ url: String) -> String {
        var base = url
        while base.hasSuffix("/") { base.removeLast() }
        let path = URLComponents(string: base)?.path ?? ""
        return path.isEmpty ? base + TESRoutes.basePath : base
    }

    func send(
        method: String, path: String, query: [(name: String, value: String)], body: [UInt8]?
    ) async throws -> ClientAnswer {
        let text = query.map { percentEncoded($0.name) + "=" + percentEncoded($0.value) }.joined(separator: "&")
        var request = HTTPRequest(method, base + path + (text.isEmpty ? "" : "?" + text))
        if let body {
            request.body = .bytes(body)
            request.headers.append(("content-type", "application/json"))
        }
        do throws(HTTPError) {
            let response = try await client.send(request, limit: 1 << 30)
            return ClientAnswer(status: response.status, body: response.body)
        } catch {
            throw StartError(
                "the server at \(base) does not answer (\(error)): start one with poiesis serve, or give --url")
        }
    }
}
