import HTTPClient
import LocalSystem
import TES
import TaskCore

/// `s3` URLs, and those of endpoints that there is a login for: Amazon S3 and what speaks its protocol.
///
/// https://docs.aws.amazon.com/AmazonS3/latest/API/
struct S3Strategy: FilerStrategy {
    private let client: S3Client
    private let partSize: Int64
    /// One part is tried again before the whole upload is.
    private let partRetries: Retries
    private let maximumEntries: Int

    init(configuration: S3Configuration, client: HTTPClient, partRetries: Retries, maximumEntries: Int) {
        self.client = S3Client(configuration: configuration, client: client)
        partSize = configuration.partSize
        self.partRetries = partRetries
        self.maximumEntries = maximumEntries
    }

    var schemes: Set<String> { ["s3"] }
    var storage: [String] { ["s3://"] + client.logins.storage }

    func serves(_ url: RemoteURL) -> Bool { url.scheme == "s3" || endpoint(url) != nil }

    /// The endpoint of a URL such as `https://minio.lab/bucket/key`, if there is a login for it. A query is a signature.
    private func endpoint(_ url: RemoteURL) -> S3Endpoint? {
        guard url.scheme != "s3", url.query.isEmpty, let endpoint = S3Endpoint("\(url.scheme)://\(url.authority)"),
            client.logins.hasLogin(for: endpoint)
        else { return nil }
        return endpoint
    }

    private func place(_ url: RemoteURL) throws(FilerError) -> S3Place {
        let path = String(Substring(url.path.utf8.dropFirst()))
        if url.scheme == "s3" {
            guard !url.authority.isEmpty else { throw FilerError("the URL names no bucket: write s3://bucket/key") }
            return S3Place(bucket: try checked(url.authority), key: path)
        }
        guard let path = percentDecoded(path) else { throw FilerError("the URL's path is not percent-encoded") }
        let end = path.utf8.firstIndex(of: UInt8(ascii: "/")) ?? path.endIndex
        guard end > path.startIndex else { throw FilerError("the URL names no bucket: write \(example(url))") }
        return S3Place(
            endpoint: endpoint(url), bucket: try checked(String(path[..<end])),
            key: String(Substring(path[end...].utf8.dropFirst())))
    }

    /// A bucket's name becomes part of a host's: whatever else it held could name another host, and that would get the login's signature.
    /// What is refused may be a secret, as in `s3://KEY:SECRET@bucket`.
    private func checked(_ bucket: String) throws(FilerError) -> String {
        guard S3Login.isBucket(bucket) else {
            throw FilerError(
                "the URL's bucket cannot be one: a name has letters, digits, dots, hyphens and underscores, and begins and ends with a letter or digit"
            )
        }
        return bucket
    }

    /// The place of an object.
    private func objectPlace(_ url: RemoteURL) throws(FilerError) -> S3Place {
        let place = try place(url)
        guard !place.key.isEmpty else { throw FilerError("the URL names no object: write \(example(url))") }
        return place
    }

    private func example(_ url: RemoteURL) -> String {
        url.scheme == "s3" ? "s3://bucket/key" : "\(url.scheme)://\(url.authority)/bucket/key"
    }

    func download(_ url: RemoteURL, to file: LocalFile, for principal: Principal) async throws(FilerError) {
        let place = try objectPlace(url)
        try file.truncateForFilling()
        try await client.fetch(S3Request("GET", place), to: file)
    }

    func list(_ url: RemoteURL, for principal: Principal) async throws(FilerError) -> [RemoteEntry] {
        var place = try place(url)
        if !place.key.isEmpty, !place.key.hasSuffix("/") { place.key += "/" }
        let prefix = place.key
        let bucket = S3Place(endpoint: place.endpoint, bucket: place.bucket, key: "")
        var entries: [RemoteEntry] = []
        var isKnown = false
        var token: String?
        repeat {
            var request = S3Request("GET", bucket)
            request.query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
            if let token { request.query.append(("continuation-token", token)) }
            let response = try await client.send(request)
            let document = XMLText(response.body)
            for key in document.values("Key") {
                guard let name = S3Client.decodedKey(key), name.utf8.starts(with: prefix.utf8) else { continue }
                isKnown = true
                let below = String(Substring(name.utf8.dropFirst(prefix.utf8.count)))
                if below.isEmpty { continue }
                guard entries.count < maximumEntries else {
                    throw FilerError("it holds more than \(maximumEntries) files and directories")
                }
                if below.hasSuffix("/") {
                    entries.append(RemoteEntry(path: String(below.dropLast()), isDirectory: true))
                } else {
                    entries.append(RemoteEntry(path: below, isDirectory: false))
                }
            }
            token =
                document.values("IsTruncated").first == "true" ? document.values("NextContinuationToken").first : nil
        } while token != nil
        if !isKnown { throw FilerError("nothing lies below s3://\(place.bucket)/\(prefix)") }
        return entries
    }

    func upload(_ source: UploadSource, to url: RemoteURL, for principal: Principal) async throws(FilerError) {
        let place = try objectPlace(url)
        if source.size > partSize { return try await uploadParts(source, place) }
        var request = S3Request("PUT", place)
        request.body = .file(source.file, offset: 0, length: source.size, sha256: source.sha256)
        _ = try await client.send(request)
    }

    /// S3 has no directories; an object whose name ends in a slash stands for an empty one.
    func makeDirectory(_ url: RemoteURL, for principal: Principal) async throws(FilerError) {
        var place = try place(url)
        if place.key.isEmpty { return }
        if !place.key.hasSuffix("/") { place.key += "/" }
        let request = S3Request("PUT", place)
        _ = try await client.send(request)
    }

    // MARK: Multipart uploads

    private func uploadParts(_ source: UploadSource, _ place: S3Place) async throws(FilerError) {
        var start = S3Request("POST", place)
        start.query = [("uploads", "")]
        let response = try await client.send(start)
        guard let upload = XMLText(response.body).values("UploadId").first else {
            throw FilerError("the storage gave no id for a multipart upload", isTransient: true)
        }
        do throws(FilerError) {
            try await sendParts(source, place, upload)
        } catch {
            var abort = S3Request("DELETE", place)
            abort.query = [("uploadId", upload)]
            // The storage would keep and charge the parts of a cancelled task for ever.
            abort.isCancellable = false
            abort.stallTimeout = .seconds(20)
            _ = try? await client.send(abort)
            throw error
        }
    }

    private func sendParts(_ source: UploadSource, _ place: S3Place, _ upload: String) async throws(FilerError) {
        // At most 10,000 parts are allowed.
        let size = max(partSize, source.size / 9000 + 1)
        var tags: [String] = []
        var offset: Int64 = 0
        while offset < source.size {
            let length = min(size, source.size - offset)
            var request = S3Request("PUT", place)
            request.query = [("partNumber", "\(tags.count + 1)"), ("uploadId", upload)]
            request.body = .file(source.file, offset: offset, length: length, sha256: nil)
            tags.append(try await partRetries.run { () async throws(FilerError) in try await sendPart(request) })
            offset += length
        }
        let parts = tags.enumerated().map {
            "<Part><PartNumber>\($0.offset + 1)</PartNumber><ETag>\($0.element)</ETag></Part>"
        }
        var complete = S3Request("POST", place)
        complete.query = [("uploadId", upload)]
        complete.stallTimeout = .seconds(600)
        complete.body = .bytes(Array("<CompleteMultipartUpload>\(parts.joined())</CompleteMultipartUpload>".utf8))
        let response = try await client.send(complete)
        // A failure may come with status 200.
        if XMLText(response.body).text.contains("<Error>") {
            throw FilerError("the storage could not put the parts together", isTransient: true)
        }
    }

    /// Sends one part; its ETag.
    private func sendPart(_ request: S3Request) async throws(FilerError) -> String {
        let response = try await client.send(request)
        guard let tag = response.header("etag") else {
            throw FilerError("the storage gave no ETag for a part", isTransient: true)
        }
        return tag
    }
}

extension LocalFile {
    fileprivate func truncateForFilling() throws(FilerError) {
        do throws(FileError) { try truncate(to: 0) } catch { throw FilerError(error) }
    }
}
