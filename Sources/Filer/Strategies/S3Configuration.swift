package import HTTPClient
import LocalSystem

/// Where S3 is and who asks.
package struct S3Configuration: Sendable {
    /// Nil for Amazon's own.
    package var endpoint: S3Endpoint?
    package var region = "us-east-1"
    /// Those of all that no login is for. Nil asks without a signature, where there is no ``webIdentity``.
    package var credentials: AWSCredentials?
    /// Bucket in the path; nil means: where there is an endpoint.
    package var usesPathStyle: Bool?
    /// Each for another scope.
    package var logins: [S3Login] = []
    /// In place of ``credentials``.
    package var webIdentity: S3WebIdentity?
    /// Files above this many bytes are sent in parts.
    package var partSize: Int64 = 64 << 20
    /// Microseconds since 1970.
    package var clock: @Sendable () -> Int64 = { Machine.clock() }

    package init() {}

    /// Reads every login, so that what is missing is known at once.
    package func check() throws(FilerError) {
        for login in logins { _ = try login.read(besides: self) }
    }

    /// What requests are made with that no login is for.
    var access: S3Access {
        S3Access(endpoint: endpoint, region: region, credentials: credentials, usesPathStyle: usesPathStyle)
    }
}

/// What requests are made with.
struct S3Access: Hashable, Sendable {
    /// Nil for Amazon's own.
    var endpoint: S3Endpoint?
    var region: String
    /// Nil asks without a signature.
    var credentials: AWSCredentials?
    /// Bucket in the path; nil means: where there is an endpoint.
    var usesPathStyle: Bool?

    /// The endpoint, Amazon's where there is no other.
    var server: S3Endpoint { endpoint ?? .amazon("s3", region: region) }
}
