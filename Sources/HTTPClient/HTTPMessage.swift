/// One request; the body is bytes in memory or read piece by piece.
package struct HTTPRequest: Sendable {
    package enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// `read` gives at most so many bytes from an offset; it is called on the client's thread, and again from 0 where the
        /// request has to be sent again.
        case stream(length: Int64, read: @Sendable (_ count: Int, _ offset: Int64) throws -> [UInt8])
    }

    package var method: String
    package var url: String
    package var headers: [(name: String, value: String)] = []
    package var body: Body = .none
    /// Talk over this socket instead of TCP; the URL's host is only a name then.
    package var unixSocket: String?
    /// Connect to this `host:port`, with an IPv6 address in brackets, instead of the URL's; the URL's host is then the name that the
    /// server's certificate must have.
    package var connectTo: String?
    /// The URL of a proxy; nil takes what the environment names (`HTTPS_PROXY` and the like).
    package var proxy: String?
    package var tls = TLSOptions()
    /// Never HTTP/2, where exchanges share a connection: one that hangs would hold up all of them.
    package var avoidsHTTP2 = false
    package var followsRedirects = false
    /// The whole exchange; nil for none.
    package var timeout: Duration?
    /// Give up when less than a byte a second has moved for so long; nil for never.
    package var stallTimeout: Duration? = .seconds(60)

    /// Whether a cancelled Swift task breaks the exchange off. Without it the answer is always known.
    package var isCancellable = true

    package init(_ method: String, _ url: String) {
        self.method = method
        self.url = url
    }
}

/// Whom a connection trusts, and as whom it goes.
package struct TLSOptions: Hashable, Sendable {
    /// Certificates in PEM that are trusted instead of the system's; nil trusts the system's and the client's ``AdditionalAuthorities``.
    package var authorities: [UInt8]?
    /// A certificate in PEM, with those that lead from it to an authority, and its private key.
    package var client: ClientCertificate?
    /// Takes any certificate of the server.
    package var isUnverified = false

    package init() {}

    /// What the server knows the client by.
    package struct ClientCertificate: Hashable, Sendable {
        /// PEM.
        package var certificate: [UInt8]
        /// PEM, not encrypted.
        package var key: [UInt8]

        package init(certificate: [UInt8], key: [UInt8]) {
            self.certificate = certificate
            self.key = key
        }
    }
}

/// What came back. Where a receiver was given, the body of a 2xx answer went there.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    /// The first value of a header; names ignore case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name == name.lowercased() }?.value
    }
}

/// Why there is no whole answer.
package enum HTTPError: Error, Sendable, CustomStringConvertible {
    /// No connection: nothing was sent.
    case unreachable(String)
    case timeout(String)
    /// The connection broke, or the body was shorter than announced.
    case broken(String)
    case tls(String)
    case invalidURL(String)
    /// The answer is larger than the caller takes.
    case tooLarge(limit: Int)
    /// The caller's reader or receiver threw.
    case caller(any Error)
    case cancelled

    package var description: String {
        switch self {
        case .unreachable(let reason), .timeout(let reason), .broken(let reason), .tls(let reason),
            .invalidURL(let reason):
            reason
        case .tooLarge(let limit): "the answer is larger than \(limit) bytes"
        case .caller(let error): "\(error)"
        case .cancelled: "cancelled"
        }
    }

    /// Whether the same request may work a little later.
    package var isTransient: Bool {
        switch self {
        case .unreachable, .timeout, .broken: true
        case .tls, .invalidURL, .tooLarge, .caller, .cancelled: false
        }
    }
}
