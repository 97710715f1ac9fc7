import HTTPClient
import LocalSystem
import Synchronization
import TaskCore

/// `http` and `https` URLs, for inputs alone.
struct HTTPStrategy: FilerStrategy {
    let client: HTTPClient

    var schemes: Set<String> { ["http", "https"] }
    var storage: [String] { ["http://", "https://"] }

    func download(_ url: RemoteURL, to file: LocalFile, for principal: Principal) async throws(FilerError) {
        var request = HTTPRequest("GET", url.description)
        request.followsRedirects = true
        let response: HTTPResponse
        do throws(HTTPError) { response = try await client.fetch(request, to: file) } catch { throw FilerError(error) }
        switch response.status {
        case 200..<300: return
        case 404, 410: throw FilerError("the server says that it does not exist (\(response.status))")
        case 401, 403: throw FilerError("the server refuses access (\(response.status))")
        case let status:
            throw FilerError(
                "the server answered with status \(status)",
                isTransient: status == 408 || status == 429 || status >= 500)
        }
    }

    func list(_ url: RemoteURL, for principal: Principal) async throws(FilerError) -> [RemoteEntry] {
        throw FilerError("a directory cannot be read over http: name its files one by one, or use s3")
    }

    func upload(_ source: UploadSource, to url: RemoteURL, for principal: Principal) async throws(FilerError) {
        throw FilerError("outputs cannot be written over http: use an s3 or file URL")
    }

    func makeDirectory(_ url: RemoteURL, for principal: Principal) async throws(FilerError) {
        throw FilerError("outputs cannot be written over http: use an s3 or file URL")
    }
}

extension HTTPClient {
    /// Writes a 2xx answer's body into a file as it comes; an answer shorter than announced is an error.
    func fetch(_ request: HTTPRequest, to file: LocalFile) async throws(HTTPError) -> HTTPResponse {
        let offset = Mutex<Int64>(0)
        return try await send(request, limit: 1 << 20) { bytes in
            let place = offset.withLock { place in
                defer { place += Int64(bytes.count) }
                return place
            }
            try file.write(bytes, at: place)
        }
    }
}

extension FilerError {
    init(_ error: HTTPError) {
        switch error {
        case .caller(let inner as FileError): self.init(inner)
        case .tls(let reason):
            self.init("\(reason) (certificates of a private authority are trusted where tls.ca_file names them)")
        default: self.init(error.description, isTransient: error.isTransient)
        }
    }
}
