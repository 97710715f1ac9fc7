import HTTPClient
import LocalSystem
import Synchronization

/// An answer that says that credentials are not, or no longer, good for a request.
struct S3Refusal: Hashable, Sendable {
    /// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; MinIO says `InvalidTokenId`.
    private static let endings: Set = [
        "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId",
        "InvalidAccessKeyId",
    ]
    /// Whether the credentials themselves are refused, not what was asked with them.
    let isOfCredentials: Bool

    /// Nil for any other answer.
    init?(_ response: HTTPResponse) {
        guard [400, 401, 403].contains(response.status) else { return nil }
        isOfCredentials = XMLText(response.body).values("Code").first.map(Self.endings.contains) ?? false
        if response.status == 400, !isOfCredentials { return nil }
    }
}

/// Where credentials come from, for what a person can do about them.
enum S3Origin: Hashable, Sendable {
    case settings
    /// There are none.
    case nobody(hasLogins: Bool)
    case folder(String)
    case role(String)

    func remedy(bucket: String) -> String {
        switch self {
        case .settings: "check this server's S3 credentials and their rights"
        case .nobody(hasLogins: false):
            "this server has no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        case .nobody(hasLogins: true):
            "this server has no S3 credentials for it: add FOLDER=s3://\(bucket) to the S3 logins, or FOLDER for everything"
        case .folder(let folder): "check the S3 credentials in \(folder) and their rights"
        case .role(let role): "check the rights of the role \(role)"
        }
    }

    func regionRemedy(_ region: String) -> String {
        switch self {
        case .folder(let folder): "write that into \(folder)/region"
        case .settings, .nobody, .role: "set AWS_REGION=\(region)"
        }
    }
}

/// Gives what requests are made with.
protocol S3AccessSource: Sendable {
    var origin: S3Origin { get }
    func access() async throws(FilerError) -> S3Access
    /// Another than what was refused; nil where there is none.
    func access(insteadOf refused: S3Access, _ refusal: S3Refusal) async throws(FilerError) -> S3Access?
}

/// What the settings say.
struct S3FixedSource: S3AccessSource {
    let fixed: S3Access
    let origin: S3Origin

    func access() async throws(FilerError) -> S3Access { fixed }
    func access(insteadOf refused: S3Access, _ refusal: S3Refusal) async throws(FilerError) -> S3Access? { nil }
}

/// A login's folder, whose files are replaced from time to time. They are read anew after five minutes, and where what they said is
/// refused. While they cannot be read, what they said last holds.
final class S3FolderSource: S3AccessSource {
    private static let lifetime: Int64 = 300_000_000
    /// After which files that could not be read are tried again.
    private static let pause: Int64 = 30_000_000

    private let login: S3Login
    private let configuration: S3Configuration
    private let last = Mutex<(access: S3Access, time: Int64)?>(nil)

    init(_ login: S3Login, _ configuration: S3Configuration) {
        self.login = login
        self.configuration = configuration
    }

    var origin: S3Origin { .folder(login.folder) }

    func access() async throws(FilerError) -> S3Access {
        if let last = last.withLock({ $0 }), configuration.clock() - last.time < Self.lifetime { return last.access }
        do throws(FilerError) { return try await read() } catch {
            let time = configuration.clock()
            let kept = last.withLock { last in
                last?.time = time - Self.lifetime + Self.pause
                return last?.access
            }
            guard let kept else { throw error }
            return kept
        }
    }

    /// Where the storage is; nil where the folder does not tell now.
    func server() async -> S3Endpoint? {
        if let last = last.withLock({ $0 }), configuration.clock() - last.time < Self.lifetime {
            return last.access.server
        }
        let (login, configuration) = (login, configuration)
        let server = await onDisk { _ in login.server(besides: configuration) }
        return server ?? last.withLock { $0?.access.server }
    }

    func access(insteadOf refused: S3Access, _ refusal: S3Refusal) async throws(FilerError) -> S3Access? {
        let access = try await read()
        return access == refused ? nil : access
    }

    private func read() async throws(FilerError) -> S3Access {
        let time = configuration.clock()
        let (login, configuration) = (login, configuration)
        let access = try await onDisk { _ throws(FilerError) in try login.read(besides: configuration) }
        last.withLock { $0 = (access, time) }
        return access
    }
}

/// Finds who asks for what: the most specific login wins.
struct S3Logins: Sendable {
    private var buckets: [String: S3FolderSource] = [:]
    private var endpoints: [S3Endpoint: S3FolderSource] = [:]
    /// For all `s3` URLs of other buckets.
    private let other: any S3AccessSource
    /// URL prefixes of the scopes.
    let storage: [String]

    init(_ configuration: S3Configuration, client: HTTPClient) {
        var everything: S3FolderSource?
        for login in configuration.logins {
            let source = S3FolderSource(login, configuration)
            switch login.scope {
            case .everything: everything = source
            case .endpoint(let endpoint): endpoints[endpoint] = source
            case .bucket(let name): buckets[name] = source
            }
        }
        storage = configuration.logins.filter { $0.scope != .everything }.map { "\($0.scope)/" }
        let fixed = configuration.access
        if let everything {
            other = everything
        } else if fixed.credentials != nil {
            other = S3FixedSource(fixed: fixed, origin: .settings)
        } else if let identity = configuration.webIdentity {
            other = S3WebIdentitySource(identity, configuration, client: client)
        } else if configuration.logins.count == 1, let only = endpoints.values.first {
            other = only
        } else {
            other = S3FixedSource(fixed: fixed, origin: .nobody(hasLogins: !configuration.logins.isEmpty))
        }
    }

    func hasLogin(for endpoint: S3Endpoint) -> Bool { endpoints[endpoint] != nil }

    func source(for place: S3Place) async -> any S3AccessSource {
        let bucket = buckets[place.bucket]
        guard let endpoint = place.endpoint, let login = endpoints[endpoint] else { return bucket ?? other }
        // A bucket's login is for a URL with an endpoint where it is of the same.
        if let bucket, await bucket.server() == endpoint { return bucket }
        return login
    }
}
