import Foundation
package import HTTPClient
import Orchestrator

/// Docker, or Podman, through the Docker Engine API on a unix socket.
///
/// https://docs.docker.com/reference/api/engine/version/v1.41/
package struct DockerEngine: ContainerEngine {
    let configuration: ContainerConfiguration
    private let client: HTTPClient

    package init(configuration: ContainerConfiguration, client: HTTPClient) {
        self.configuration = configuration
        self.client = client
    }

    /// One call; statuses in `accepted` pass, others are errors with the engine's own message.
    func call(
        _ method: String, _ path: String, query: [(String, String)] = [], body: (any Encodable & Sendable)? = nil,
        raw: HTTPRequest.Body? = nil, accepted: Set<Int> = [], timeout: Duration? = .seconds(60)
    ) async throws(EngineError) -> HTTPResponse {
        var request = HTTPRequest(method, "http://engine/v1.41" + path + Self.query(query))
        request.unixSocket = configuration.socket
        request.timeout = timeout
        request.stallTimeout = nil
        // What changes the engine is never broken off: a container whose creation got no answer would be left behind.
        request.isCancellable = timeout == nil || method == "GET"
        if let raw {
            request.body = raw
            request.headers.append(("content-type", "application/x-tar"))
        } else if let body {
            guard let bytes = try? Self.encoder.encode(body) else { throw .refused("a request could not be encoded") }
            request.body = .bytes(Array(bytes))
            request.headers.append(("content-type", "application/json"))
        }
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try await client.send(request)
        } catch {
            throw .unreachable("the container engine at \(configuration.socket) does not answer: \(error)")
        }
        if (200..<300).contains(response.status) || accepted.contains(response.status) { return response }
        let message = Self.message(response)
        throw response.status == 404 ? .missing(message) : .refused(message)
    }

    private static func query(_ query: [(String, String)]) -> String {
        if query.isEmpty { return "" }
        let allowed = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
        return "?"
            + query.map { "\($0)=\($1.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")" }.joined(
                separator: "&")
    }

    private static func message(_ response: HTTPResponse) -> String {
        struct Message: Decodable { var message: String }
        let decoded = try? JSONDecoder().decode(Message.self, from: Data(response.body))
        return decoded?.message ?? "status \(response.status)"
    }

    /// The engine's names begin with a capital: `NCPU` is `nCPU` here.
    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .custom { path in
            EngineKey(
                stringValue: (path.last?.stringValue.prefix(1).uppercased() ?? "")
                    + (path.last?.stringValue.dropFirst() ?? ""))
        }
        return encoder
    }

    private static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .custom { path in
            EngineKey(
                stringValue: (path.last?.stringValue.prefix(1).lowercased() ?? "")
                    + (path.last?.stringValue.dropFirst() ?? ""))
        }
        return decoder
    }

    private struct EngineKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ response: HTTPResponse) throws(EngineError) -> Value {
        do {
            return try Self.decoder.decode(type, from: Data(response.body))
        } catch {
            throw .refused("the container engine answered something unexpected: \(error)")
        }
    }

    /// What the engine says about its machine.
    struct Info: Decodable {
        var nCPU: Int
        var memTotal: Int64
    }

    func info() async throws(EngineError) -> Info {
        try Self.decode(Info.self, try await call("GET", "/info"))
    }
}
