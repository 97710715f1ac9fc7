import HTTPClient
import LocalSystem
import Synchronization
import TES

/// A bucket and a key in it; an empty key is the bucket itself.
struct S3Place: Hashable {
    /// Where the URL names it.
    var endpoint: S3Endpoint?
    var bucket: String
    var key: String
}

/// One request before it is signed.
struct S3Request {
    enum Body {
        case none
        case bytes([UInt8])
        /// A part of a file; its SHA-256 is computed where it is not known.
        case file(LocalFile, offset: Int64, length: Int64, sha256: String?)
    }

    var method: String
    var place: S3Place
    var query: [(name: String, value: String)] = []
    var body = Body.none
    /// How long nothing may come; the storage is silent while it puts parts together.
    var stallTimeout = Duration.seconds(60)
    /// Whether a cancelled Swift task breaks it off.
    var isCancellable = true

    init(_ method: String, _ place: S3Place) {
        self.method = method
        self.place = place
    }
}

/// Signs and sends requests, and reads the storage's errors.
struct S3Client: Sendable {
    let logins: S3Logins
    private let client: HTTPClient

    init(configuration: S3Configuration, client: HTTPClient) {
        logins = S3Logins(configuration, client: client)
        self.client = client
    }

    /// The answer, which is of success.
    func send(_ request: S3Request) async throws(FilerError) -> HTTPResponse {
        try await exchange(request) { message throws(HTTPError) in try await client.send(message) }
    }

    /// Writes the answer's body into a file.
    func fetch(_ request: S3Request, to file: LocalFile) async throws(FilerError) {
        _ = try await exchange(request) { message throws(HTTPError) in try await client.fetch(message, to: file) }
    }

    /// Where the storage refuses the credentials and there are others by now, those are tried once.
    private func exchange(
        _ request: S3Request, _ perform: (HTTPRequest) async throws(HTTPError) -> HTTPResponse
    ) async throws(FilerError) -> HTTPResponse {
        let source = await logins.source(for: request.place)
        var access = try await source.access()
        var response = try await answer(request, access, perform)
        if let refusal = S3Refusal(response), let other = try await source.access(insteadOf: access, refusal) {
            access = other
            response = try await answer(request, access, perform)
        }
        try check(response, request, access, source.origin)
        return response
    }

    private func answer(
        _ request: S3Request, _ access: S3Access, _ perform: (HTTPRequest) async throws(HTTPError) -> HTTPResponse
    ) async throws(FilerError) -> HTTPResponse {
        let message = try await message(request, access)
        do throws(HTTPError) { return try await perform(message) } catch {
            var named = FilerError(error)
            switch error {
            case .unreachable, .timeout, .broken, .tls:
                named.description = "the storage at \(access.server) does not answer: \(named.description)"
            case .invalidURL, .tooLarge, .caller, .cancelled: break
            }
            throw named
        }
    }

    private func message(_ request: S3Request, _ access: S3Access) async throws(FilerError) -> HTTPRequest {
        let (base, host, path) = address(request.place, access)
        let query = SigV4.canonicalQuery(request.query)
        var message = HTTPRequest(request.method, base + path + (query.isEmpty ? "" : "?" + query))
        message.stallTimeout = request.stallTimeout
        message.isCancellable = request.isCancellable
        let hash: String
        switch request.body {
        case .none: hash = SigV4.emptyHash
        case .bytes(let bytes):
            hash = SigV4.hash(bytes)
            message.body = .bytes(bytes)
        case .file(let file, let offset, let length, let known):
            do throws(FileError) {
                if let known { hash = known } else { hash = try await file.checksum(from: offset, length: length) }
            } catch { throw FilerError(error) }
            message.body = .stream(length: length) { count, place in
                try file.read(Int(min(Int64(count), length - place)), at: offset + place)
            }
        }
        guard let credentials = access.credentials else { return message }
        let signer = SigV4(credentials: credentials, region: access.region)
        message.headers += signer.headers(
            method: request.method, path: path, query: request.query, headers: [("host", host)], payloadHash: hash,
            time: Self.stamp(Timestamp(microseconds: Machine.clock())))
        return message
    }

    /// `2026-01-31T12:00:00.000Z` → `20260131T120000Z`.
    private static func stamp(_ time: Timestamp) -> String {
        time.text.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    private func address(_ place: S3Place, _ access: S3Access) -> (base: String, host: String, path: String) {
        let key = SigV4.awsEncoded(place.key, keepingSlashes: true)
        let server = access.server
        // A bucket with dots has no certificate of its own.
        let usesPath = access.usesPathStyle ?? (access.endpoint != nil || place.bucket.contains("."))
        if usesPath { return ("\(server)", server.host, "/\(place.bucket)/\(key)") }
        let host = "\(place.bucket).\(server.host)"
        return ("\(server.scheme)://\(host)", host, "/\(key)")
    }

    /// Keys of a listing with `encoding-type=url`, where a plus may stand for a space.
    static func decodedKey(_ key: String) -> String? { percentDecoded(key, plusIsSpace: true) }

    /// Throws what the storage answered, in words.
    private func check(
        _ response: HTTPResponse, _ request: S3Request, _ access: S3Access, _ origin: S3Origin
    ) throws(FilerError) {
        if (200..<300).contains(response.status) { return }
        let document = XMLText(response.body)
        let code = document.values("Code").first ?? ""
        let message = document.values("Message").first ?? ""
        let name = "s3://\(request.place.bucket)/\(request.place.key)"
        let detail = [code, message].filter { !$0.isEmpty }.joined(separator: ": ")
        let said = detail.isEmpty ? "status \(response.status)" : detail
        switch (response.status, code) {
        case (_, "NoSuchBucket"): throw FilerError("there is no bucket \(request.place.bucket)")
        case (404, _): throw FilerError("there is no object \(name)")
        case (_, "SlowDown"), (_, "RequestTimeout"), (_, "InternalError"), (429, _), (500..., _):
            throw FilerError("the storage could not serve \(name) (\(said))", isTransient: true)
        case (301, _), (307, _), (_, "AuthorizationHeaderMalformed"):
            let region = response.header("x-amz-bucket-region") ?? document.values("Region").first
            throw FilerError(
                "the bucket \(request.place.bucket) belongs to another region"
                    + (region.map { " (\($0)): \(origin.regionRemedy($0))" } ?? ""))
        case _ where S3Refusal(response) != nil, (400, _) where access.credentials == nil:
            throw FilerError(
                "the storage refuses access to \(name) (\(said)); \(origin.remedy(bucket: request.place.bucket))")
        default: throw FilerError("the storage refuses \(name) (\(said))")
        }
    }
}
