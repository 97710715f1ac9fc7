import Foundation
package import HTTPClient
import Orchestrator

/// Docker, or Podman, through the Docker Engine API on a unix socket.
///
/// https://docs.docker.com/reference/api/engine/ Paths without a version: engines refuse versions that are too old or too new for
/// them, and what is asked here is in all of them.
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
        var request = self.request(method, path, query, timeout)
        if let raw {
            request.body = raw
            request.headers.append(("content-type", "application/x-tar"))
        } else if let body {
            guard let bytes = try? Self.encoder.encode(body) else { throw .refused("a request could not be encoded") }
            request.body = .bytes(Array(bytes))
            request.headers.append(("content-type", "application/json"))
        }
        let response: HTTPResponse
        do throws(HTTPError) { response = try await client.send(request) } catch { throw unanswered(error) }
        try Self.check(response, accepted)
        return response
    }

    /// One call whose answer is read piece by piece, on the client's thread; an answer that stops coming is a timeout.
    func stream(
        _ method: String, _ path: String, query: [(String, String)], headers: [(name: String, value: String)],
        stall: Duration, receive: @escaping @Sendable ([UInt8]) -> Void
    ) async throws(EngineError) {
        var request = self.request(method, path, query, nil)
        request.headers += headers
        request.stallTimeout = stall
        let response: HTTPResponse
        do throws(HTTPError) { response = try await client.send(request, receive: receive) } catch {
            if case .timeout = error { throw .busy("nothing came for \(stall.components.seconds / 60) minutes") }
            throw unanswered(error)
        }
        try Self.check(response, [])
    }

    private func request(
        _ method: String, _ path: String, _ query: [(String, String)], _ timeout: Duration?
    ) -> HTTPRequest {
        var request = HTTPRequest(method, "http://engine" + path + Self.query(query))
        request.unixSocket = configuration.socket
        request.timeout = timeout
        request.stallTimeout = nil
        // What changes the engine is never broken off: a container whose creation got no answer would be left behind.
        request.isCancellable = timeout == nil || method == "GET"
        return request
    }

    /// Only what says that the engine is not there is a reason to ask it again for ever.
    private func unanswered(_ error: HTTPError) -> EngineError {
        let reason = "the container engine at \(configuration.socket) does not answer: \(error)"
        switch error {
        case .unreachable, .timeout, .broken, .cancelled: return .unreachable(reason)
        case .tls, .invalidURL, .tooLarge, .caller: return .refused(reason)
        }
    }

    private static func check(_ response: HTTPResponse, _ accepted: Set<Int>) throws(EngineError) {
        if (200..<300).contains(response.status) || accepted.contains(response.status) { return }
        let message = message(response)
        throw response.status == 404 ? .missing(message) : .refused(message)
    }

    /// A question that the engine has to be able to answer: where it cannot (5xx), nothing is known, and it is to be asked again.
    func ask(
        _ method: String, _ path: String, accepted: Set<Int> = [], timeout: Duration? = .seconds(60)
    ) async throws(EngineError) -> HTTPResponse {
        let response = try await call(
            method, path, accepted: accepted.union(500..<600), timeout: timeout)
        if response.status >= 500 {
            throw .unreachable("the container engine failed: \(Self.message(response))")
        }
        return response
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
