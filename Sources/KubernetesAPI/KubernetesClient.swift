package import HTTPClient

/// A client of one Kubernetes API server.
///
/// Each request waits for its turn (``Options/requestsPerSecond``), is sent with the newest credentials and again where
/// ``RetryPolicy`` allows it. Connections are kept and used again. HTTP/2 is not used: one connection that hangs would hold up every
/// watch and every request.
package final class KubernetesClient: Sendable {
    /// How the client treats its server.
    package struct Options: Hashable, Sendable {
        /// That of requests that have none of their own.
        package var retry = RetryPolicy()
        /// Requests a second, each try counted; a watch is one.
        package var requestsPerSecond: Double = 50
        /// Requests at once after a quiet time.
        package var burst = 100

        package init() {}
    }

    /// Where the server is; its namespace holds where a call names none.
    package let configuration: ClusterConfiguration
    private let http: HTTPClient
    private let options: Options
    private let credentials: CredentialStore
    private let limit: RequestLimit
    private let address: ServerAddress

    /// - Parameter http: stays the caller's, who closes it.
    package init(_ configuration: ClusterConfiguration, http: HTTPClient, options: Options = Options()) {
        self.configuration = configuration
        self.http = http
        self.options = options
        credentials = CredentialStore(configuration)
        limit = RequestLimit(rate: options.requestsPerSecond, burst: options.burst)
        address = ServerAddress(configuration)
    }

    /// Sends a request and waits for its whole answer.
    ///
    /// - Throws: ``KubernetesError/refused(_:)`` for every answer other than 2xx.
    package func send(_ request: APIRequest) async throws(KubernetesError) -> APIAnswer {
        try await perform(request) { (sent: HTTPRequest) async throws(KubernetesError) in
            let response: HTTPResponse
            do throws(HTTPError) {
                response = try await http.send(sent, limit: request.limit)
            } catch { throw .transport(error) }
            guard (200..<300).contains(response.status) else {
                throw .refused(
                    Refusal(
                        code: response.status, contentType: response.header("content-type"),
                        retryAfter: response.header("retry-after"), body: response.body, request: request.name))
            }
            return APIAnswer(
                status: response.status, body: response.body,
                warnings: response.headers.filter { $0.name == "warning" }.map(\.value))
        }
    }

    /// Sends a request and waits for the head of its answer; the body is taken from the stream.
    ///
    /// - Throws: ``KubernetesError/refused(_:)`` for every answer other than 2xx.
    package func open(_ request: APIRequest) async throws(KubernetesError) -> HTTPStream {
        try await perform(request) { (sent: HTTPRequest) async throws(KubernetesError) in
            let stream: HTTPStream
            let body: [UInt8]
            do throws(HTTPError) {
                stream = try await http.open(sent)
                if (200..<300).contains(stream.status) { return stream }
                body = try await stream.rest(limit: 1 << 20)
            } catch { throw .transport(error) }
            throw .refused(
                Refusal(
                    code: stream.status, contentType: stream.header("content-type"),
                    retryAfter: stream.header("retry-after"), body: body, request: request.name))
        }
    }

    /// Sends until there is an answer or nothing is to be hoped for.
    private func perform<Answer: Sendable>(
        _ request: APIRequest, _ exchange: (HTTPRequest) async throws(KubernetesError) -> Answer
    ) async throws(KubernetesError) -> Answer {
        let policy = request.retry ?? options.retry
        var failures = 0
        var hasRenewed = false
        while true {
            try await limit.take()
            let access = try await credentials.access()
            do throws(KubernetesError) {
                return try await exchange(message(request, access))
            } catch {
                if error.refusal?.code == 401, !hasRenewed, await credentials.renew(after: access) {
                    hasRenewed = true
                    continue
                }
                failures += 1
                guard
                    let delay = policy.delay(after: error, failures: failures, isRepeatable: request.isRepeatable)
                else { throw error }
                try await pause(delay)
            }
        }
    }

    private func message(_ request: APIRequest, _ access: CredentialStore.Access) -> HTTPRequest {
        var message = HTTPRequest(request.method, address.url + request.target)
        message.connectTo = address.connectTo
        message.proxy = configuration.proxy
        message.tls = access.tls
        message.avoidsHTTP2 = true
        message.timeout = request.timeout
        message.stallTimeout = request.stallTimeout
        message.headers = [("Accept", request.accept)]
        if let token = access.token { message.headers.append(("Authorization", "Bearer " + token)) }
        if let body = request.body {
            message.headers.append(("Content-Type", request.contentType))
            message.body = .bytes(body)
        }
        return message
    }
}

extension APIRequest {
    /// Method and path, for messages.
    var name: String { method + " " + path }
}
