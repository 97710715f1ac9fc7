import HTTPClient
import LocalSystem
import TES

/// A role that is assumed with a token of another party, such as Kubernetes:
/// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
package struct S3WebIdentity: Hashable, Sendable {
    /// The role's ARN.
    package var role: String
    /// Path of the file with the token, which somebody replaces before it expires.
    package var tokenFile: String
    /// Of the service STS.
    package var endpoint: S3Endpoint
    /// Names the sessions in the storage's own logs: letters, digits and `=,.@-_`.
    package var sessionName = "poiesis"

    package init(role: String, tokenFile: String, endpoint: S3Endpoint) {
        self.role = role
        self.tokenFile = tokenFile
        self.endpoint = endpoint
    }
}

/// Assumes the role, and again before the session expires; never twice at a time.
actor S3WebIdentitySource: S3AccessSource {
    private struct Session {
        var credentials: AWSCredentials
        /// Microseconds since 1970.
        var expires: Int64
        var renewal: Int64
    }

    private static let minute: Int64 = 60_000_000

    private let identity: S3WebIdentity
    private let configuration: S3Configuration
    private let client: HTTPClient
    private var session: Session?
    private var exchange: Task<Result<Session, FilerError>, Never>?

    init(_ identity: S3WebIdentity, _ configuration: S3Configuration, client: HTTPClient) {
        self.identity = identity
        self.configuration = configuration
        self.client = client
    }

    nonisolated var origin: S3Origin { .role(identity.role) }

    func access() async throws(FilerError) -> S3Access {
        if let session, configuration.clock() < session.renewal { return access(session) }
        do throws(FilerError) { return access(try await renewed()) } catch {
            // It still works; half a minute later STS may, too.
            guard var session, configuration.clock() < session.expires else { throw error }
            session.renewal = configuration.clock() + Self.minute / 2
            self.session = session
            return access(session)
        }
    }

    func access(insteadOf refused: S3Access, _ refusal: S3Refusal) async throws(FilerError) -> S3Access? {
        if let session, session.credentials != refused.credentials { return access(session) }
        return refusal.isOfCredentials ? access(try await renewed()) : nil
    }

    private func access(_ session: Session) -> S3Access {
        var access = configuration.access
        access.credentials = session.credentials
        return access
    }

    /// A new session; all who ask meanwhile get the same.
    private func renewed() async throws(FilerError) -> Session {
        let exchange =
            exchange
            ?? Task {
                let result: Result<Session, FilerError>
                do throws(FilerError) { result = .success(try await assume()) } catch { result = .failure(error) }
                if case .success(let session) = result { self.session = session }
                self.exchange = nil
                return result
            }
        self.exchange = exchange
        return try await exchange.value.get()
    }

    // MARK: The exchange

    private func assume() async throws(FilerError) -> Session {
        let token = try token()
        var request = HTTPRequest("POST", "\(identity.endpoint)/")
        request.timeout = .seconds(30)
        request.headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/xml")]
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15"), ("RoleArn", identity.role),
            ("RoleSessionName", identity.sessionName), ("WebIdentityToken", token),
        ]
        request.body = .bytes(
            Array(form.map { "\($0.0)=\(percentEncoded($0.1))" }.joined(separator: "&").utf8))
        let response: HTTPResponse
        do throws(HTTPError) { response = try await client.send(request, limit: 1 << 20) } catch {
            var named = FilerError(error)
            named.description = "STS at \(identity.endpoint) does not answer: \(named.description)"
            throw named
        }
        guard response.status == 200 else { throw refusal(response, token) }
        return try session(XMLText(response.body))
    }

    private func token() throws(FilerError) -> String {
        let text: String
        do throws(FileError) { text = try smallText(identity.tokenFile) } catch {
            throw FilerError(
                "the web identity's token \(identity.tokenFile) cannot be read: \(error.reason); AWS_WEB_IDENTITY_TOKEN_FILE names it"
            )
        }
        guard !text.isEmpty else { throw FilerError("the web identity's token \(identity.tokenFile) is empty") }
        return text
    }

    private func session(_ document: XMLText) throws(FilerError) -> Session {
        guard let access = document.values("AccessKeyId").first, let secret = document.values("SecretAccessKey").first,
            let token = document.values("SessionToken").first,
            let expiration = document.values("Expiration").first.flatMap({ Timestamp($0) })
        else {
            throw FilerError(
                "STS at \(identity.endpoint) answered without credentials: AWS_ENDPOINT_URL_STS must name a service of AssumeRoleWithWebIdentity"
            )
        }
        let (now, expires) = (configuration.clock(), expiration.microseconds)
        // A short session would else be renewed for each request.
        let renewal = expires - min(5 * Self.minute, max(0, expires - now) / 2)
        return Session(
            credentials: AWSCredentials(accessKey: access, secretKey: secret, sessionToken: token), expires: expires,
            renewal: renewal)
    }

    private func refusal(_ response: HTTPResponse, _ token: String) -> FilerError {
        let document = XMLText(response.body)
        let code = document.values("Code").first ?? ""
        let message = (document.values("Message").first ?? "").replacing(token, with: "…")
        let detail = [code, message].filter { !$0.isEmpty }.joined(separator: ": ")
        let remedy =
            switch code {
            case "ExpiredTokenException", "ExpiredToken", "InvalidIdentityToken":
                "the token in \(identity.tokenFile) is not accepted: its issuer and its audience must be those that the provider knows"
            case "AccessDenied": "the role's trust policy must allow this token's subject"
            default: "check AWS_ROLE_ARN and AWS_ENDPOINT_URL_STS"
            }
        return FilerError(
            "STS at \(identity.endpoint) does not let this server assume the role \(identity.role) (\(detail.isEmpty ? "status \(response.status)" : detail)); \(remedy)",
            isTransient: code == "IDPCommunicationError" || response.status == 429 || response.status >= 500
                || code == "Throttling")
    }
}
