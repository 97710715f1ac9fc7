import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Carries the generated client's requests to one server, with Foundation's `URLSession`.
public struct URLSessionTransport: ClientTransport {
    /// With the specification's base path, without a slash at its end.
    private let base: String
    private let session = URLSession(configuration: .ephemeral)

    /// - Parameter server: the server's URL; the specification's base path is added where it has none.
    public init(server: String) {
        var base = server
        while base.hasSuffix("/") { base.removeLast() }
        let path = URLComponents(string: base)?.path ?? ""
        self.base = path.isEmpty ? base + TaskServiceClient.basePath : base
    }

    public func send(
        method: String, path: String, query: [(name: String, value: String)], body: [UInt8]?
    ) async throws -> ClientAnswer {
        let parameters = query.map { percentEncoded($0.name) + "=" + percentEncoded($0.value) }
        let text = base + path + (parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&"))
        guard let url = URL(string: text) else { throw URLError(.badURL) }
        var request = URLRequest(url: url)
        request.httpMethod = method
        if let body {
            request.httpBody = Data(body)
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        let (data, response) = try await session.data(for: request)
        return ClientAnswer(status: (response as? HTTPURLResponse)?.statusCode ?? 0, body: [UInt8](data))
    }
}
