import HTTPClient
import LocalSystem
import Synchronization
import TES

/// A bucket and a key in it; an empty key is the bucket itself.
struct S3Place: Hashable {
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
    private let configuration: S3Configuration
    private let client: HTTPClient

    init(configuration: S3Configuration, client: HTTPClient) {
        self.configuration = configuration
        self.client = client
    }

    func send(_ request: S3Request) async throws(FilerError) -> HTTPResponse {
        let message = try await message(request)
        do throws(HTTPError) { return try await client.send(message) } catch { throw named(FilerError(error)) }
    }

    func fetch(_ request: S3Request, to file: LocalFile) async throws(FilerError) -> HTTPResponse {
        let message = try await message(request)
        do throws(FilerError) { return try await client.fetch(message, to: file) } catch { throw named(error) }
    }

    /// Which storage it was that did not answer.
    private func named(_ error: FilerError) -> FilerError {
        guard error.isTransient else { return error }
        var error = error
        error.description =
            "the storage at \(configuration.endpoint ?? "amazonaws.com") does not answer: \(error.description)"
        return error
    }

    private func message(_ request: S3Request) async throws(FilerError) -> HTTPRequest {
        let (base, host, path) = address(request.place)
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
        guard let credentials = configuration.credentials else { return message }
        let signer = SigV4(credentials: credentials, region: configuration.region)
        message.headers += signer.headers(
            method: request.method, path: path, query: request.query, headers: [("host", host)], payloadHash: hash,
            time: Self.stamp(Timestamp(microseconds: Machine.clock())))
        return message
    }

    /// `2026-01-31T12:00:00.000Z` → `20260131T120000Z`.
    private static func stamp(_ time: Timestamp) -> String {
        time.text.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    private func address(_ place: S3Place) -> (base: String, host: String, path: String) {
        let key = SigV4.awsEncoded(place.key, keepingSlashes: true)
        var endpoint = configuration.endpoint ?? "https://s3.\(configuration.region).amazonaws.com"
        while endpoint.hasSuffix("/") { endpoint.removeLast() }
        // A bucket with dots has no certificate of its own.
        let usesPath = configuration.usesPathStyle ?? (configuration.endpoint != nil || place.bucket.contains("."))
        let separator = endpoint.range(of: "://")
        let scheme = separator.map { String(endpoint[..<$0.lowerBound]) } ?? "https"
        var server = separator.map { String(endpoint[$0.upperBound...]) } ?? endpoint
        // The host is signed as it is sent: libcurl leaves a scheme's own port out.
        let port = scheme.lowercased() == "http" ? ":80" : ":443"
        if server.hasSuffix(port) { server.removeLast(port.count) }
        if usesPath { return ("\(scheme)://\(server)", server, "/\(place.bucket)/\(key)") }
        let host = "\(place.bucket).\(server)"
        return ("\(scheme)://\(host)", host, "/\(key)")
    }

    /// Keys of a listing with `encoding-type=url`, where a plus may stand for a space.
    static func decodedKey(_ key: String) -> String? { percentDecoded(key, plusIsSpace: true) }

    /// Throws what the storage answered, in words.
    func check(_ response: HTTPResponse, _ request: S3Request) throws(FilerError) {
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
                    + (region.map { " (\($0)): set AWS_REGION=\($0)" } ?? ""))
        case (401, _), (403, _),
            (400, _) where configuration.credentials == nil:
            let remedy =
                configuration.credentials == nil
                ? "this server has no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                : "check this server's S3 credentials and their rights"
            throw FilerError("the storage refuses access to \(name) (\(said)); \(remedy)")
        default: throw FilerError("the storage refuses \(name) (\(said))")
        }
    }
}

/// The little XML that S3 speaks: texts of elements by name, at any depth.
struct XMLText {
    let text: String

    init(_ bytes: [UInt8]) { text = String(decoding: bytes, as: UTF8.self) }

    /// The texts of all elements of a name, in order.
    func values(_ name: String) -> [String] {
        var values: [String] = []
        for part in text.components(between: "<\(name)>", and: "</\(name)>") { values.append(Self.unescaped(part)) }
        return values
    }

    private static func unescaped(_ text: String) -> String {
        guard text.contains("&") else { return text }
        return text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
            .replacing("&apos;", with: "'").replacing("&#34;", with: "\"").replacing("&#39;", with: "'")
            .replacing("&amp;", with: "&")
    }
}

extension String {
    fileprivate func range(of needle: String) -> Range<String.Index>? { firstRange(of: needle) }

    fileprivate func components(between start: String, and end: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let open = rest.firstRange(of: start), let close = rest[open.upperBound...].firstRange(of: end) {
            parts.append(String(rest[open.upperBound..<close.lowerBound]))
            rest = rest[close.upperBound...]
        }
        return parts
    }
}
