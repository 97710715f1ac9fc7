import CLibCurl
import Glibc
import Synchronization

/// One exchange: its easy handle, what it sends and what it collects.
///
/// Everything but the continuation is touched by the client's thread alone.
final class Transfer: @unchecked Sendable {
    // Unchecked: the mutable parts belong to the client's thread, which alone calls start, the callbacks and finish(code:).

    typealias Outcome = Result<HTTPResponse, HTTPError>

    private let request: HTTPRequest
    private let limit: Int
    private let receive: (@Sendable ([UInt8]) throws -> Void)?
    /// Takes head and body piece by piece instead.
    private let stream: BodyQueue?
    private let authorities: AdditionalAuthorities?
    private let caller: Mutex<Caller>

    /// Who waits for the outcome. It may be there first: a task that is cancelled already cancels before it waits.
    private enum Caller {
        case streaming(BodyQueue)
        case expected
        case waiting(CheckedContinuation<Outcome, Never>)
        case early(Outcome)
        case answered
    }

    private(set) var handle: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var connectList: UnsafeMutablePointer<curl_slist>?
    private var errorBuffer = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var sent: Int64 = 0
    private var status = 0
    private var headers: [(name: String, value: String)] = []
    private var body: [UInt8] = []
    private var failure: HTTPError?

    init(
        _ request: HTTPRequest, limit: Int, receive: (@Sendable ([UInt8]) throws -> Void)?, stream: BodyQueue? = nil,
        trusting authorities: AdditionalAuthorities?
    ) {
        self.request = request
        self.limit = limit
        self.receive = receive
        self.stream = stream
        self.authorities = authorities
        caller = Mutex(stream.map { .streaming($0) } ?? .expected)
        errorBuffer.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        if let handle { curl_easy_cleanup(handle) }
        curl_slist_free_all(headerList)
        curl_slist_free_all(connectList)
        errorBuffer.deallocate()
    }

    func setContinuation(_ continuation: CheckedContinuation<Outcome, Never>) {
        let early = caller.withLock { caller -> Outcome? in
            if case .early(let outcome) = caller {
                caller = .answered
                return outcome
            }
            caller = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(returning: early) }
    }

    /// Answers the caller; only the first answer counts.
    func finish(_ outcome: Outcome) {
        let known = caller.withLock { caller in
            defer {
                switch caller {
                case .expected: caller = .early(outcome)
                case .waiting, .streaming: caller = .answered
                case .early, .answered: break
                }
            }
            return caller
        }
        switch known {
        case .waiting(let continuation): continuation.resume(returning: outcome)
        case .streaming(let queue): queue.end(outcome)
        case .expected, .early, .answered: break
        }
    }

    private var isWanted: Bool {
        caller.withLock {
            switch $0 {
            case .waiting, .streaming: true
            case .expected, .early, .answered: false
            }
        }
    }

    /// Lets a paused body flow again.
    func resume() {
        if let handle { curl_easy_pause(handle, CURLPAUSE_CONT) }
    }

    /// Makes the easy handle; nil where the exchange was cancelled already.
    func start() -> UnsafeMutableRawPointer? {
        guard isWanted else { return nil }
        guard let easy = curl_easy_init() else {
            finish(.failure(.unreachable("libcurl has no memory")))
            return nil
        }
        handle = easy
        poiesis_curl_set_string(easy, CURLOPT_URL, request.url)
        poiesis_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method)
        poiesis_curl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        poiesis_curl_set_string(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        poiesis_curl_set_string(easy, CURLOPT_USERAGENT, "poiesis")
        poiesis_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        poiesis_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, 10000)
        poiesis_curl_set_long(easy, CURLOPT_PATH_AS_IS, 1)
        poiesis_curl_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1)
        poiesis_curl_set_close_on_exec(easy)
        // A proxy's answer to CONNECT is not the answer.
        poiesis_curl_set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        if request.method == "HEAD" { poiesis_curl_set_long(easy, CURLOPT_NOBODY, 1) }
        if let socket = request.unixSocket {
            poiesis_curl_set_string(easy, CURLOPT_UNIX_SOCKET_PATH, socket)
            poiesis_curl_set_string(easy, CURLOPT_NOPROXY, "*")
        }
        if request.followsRedirects {
            poiesis_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 1)
            poiesis_curl_set_long(easy, CURLOPT_MAXREDIRS, 10)
        }
        if let timeout = request.timeout { poiesis_curl_set_long(easy, CURLOPT_TIMEOUT_MS, Self.milliseconds(timeout)) }
        if let stall = request.stallTimeout {
            poiesis_curl_set_long(easy, CURLOPT_LOW_SPEED_LIMIT, 1)
            poiesis_curl_set_long(easy, CURLOPT_LOW_SPEED_TIME, max(1, Int(stall.components.seconds)))
        }
        poiesis_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorBuffer)
        setConnection(easy)
        setHeaders(easy)
        setBody(easy)
        let me = Unmanaged.passUnretained(self).toOpaque()
        poiesis_curl_set_pointer(easy, CURLOPT_WRITEDATA, me)
        poiesis_curl_set_callback(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.received(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        poiesis_curl_set_pointer(easy, CURLOPT_HEADERDATA, me)
        poiesis_curl_set_callback(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let line = String(decoding: UnsafeRawBufferPointer(start: bytes, count: size * count), as: UTF8.self)
            Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().receivedHeader(line)
            return size * count
        }
        return easy
    }

    private static func milliseconds(_ duration: Duration) -> Int {
        Int(duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000)
    }

    private func setConnection(_ easy: UnsafeMutableRawPointer) {
        if let proxy = request.proxy { poiesis_curl_set_string(easy, CURLOPT_PROXY, proxy) }
        if request.avoidsHTTP2 { poiesis_curl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)) }
        if let target = request.connectTo {
            connectList = curl_slist_append(nil, "::" + target)
            poiesis_curl_set_pointer(easy, CURLOPT_CONNECT_TO, connectList)
        }
        let tls = request.tls
        if let authorities = tls.authorities {
            // Nobody else is trusted: libcurl would go on looking into the system's folder.
            poiesis_curl_set_string(easy, CURLOPT_CAPATH, nil)
            poiesis_curl_set_blob(easy, CURLOPT_CAINFO_BLOB, authorities, authorities.count)
        } else if let bundle = authorities?.bundle {
            // The system's folder is looked into as well.
            poiesis_curl_set_blob(easy, CURLOPT_CAINFO_BLOB, bundle, bundle.count)
        }
        if let client = tls.client {
            poiesis_curl_set_blob(easy, CURLOPT_SSLCERT_BLOB, client.certificate, client.certificate.count)
            poiesis_curl_set_blob(easy, CURLOPT_SSLKEY_BLOB, client.key, client.key.count)
        }
        if tls.isUnverified {
            poiesis_curl_set_long(easy, CURLOPT_SSL_VERIFYPEER, 0)
            poiesis_curl_set_long(easy, CURLOPT_SSL_VERIFYHOST, 0)
        }
    }

    private func setHeaders(_ easy: UnsafeMutableRawPointer) {
        var list: UnsafeMutablePointer<curl_slist>?
        for (name, value) in request.headers {
            // libcurl leaves a header out that has no value, unless it ends in a semicolon.
            list = curl_slist_append(list, value.isEmpty ? name + ";" : name + ": " + value)
        }
        list = curl_slist_append(list, "Expect:")
        // libcurl would call every body a form.
        if !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
            list = curl_slist_append(list, "Content-Type:")
        }
        headerList = list
        poiesis_curl_set_pointer(easy, CURLOPT_HTTPHEADER, list)
    }

    private func setBody(_ easy: UnsafeMutableRawPointer) {
        switch request.body {
        case .none:
            if request.method == "POST" || request.method == "PUT" {
                poiesis_curl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, 0)
                poiesis_curl_set_string(easy, CURLOPT_COPYPOSTFIELDS, "")
            }
        case .bytes(let bytes):
            poiesis_curl_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
            bytes.withUnsafeBytes { buffer in
                _ = poiesis_curl_set_pointer(
                    easy, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: buffer.baseAddress))
            }
        case .stream(let length, _):
            poiesis_curl_set_long(easy, CURLOPT_UPLOAD, 1)
            poiesis_curl_set_offset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(length))
            poiesis_curl_set_pointer(easy, CURLOPT_READDATA, Unmanaged.passUnretained(self).toOpaque())
            poiesis_curl_set_callback(easy, CURLOPT_READFUNCTION) { bytes, size, count, context in
                guard let context, let bytes else { return Int(CURL_READFUNC_ABORT) }
                let buffer = UnsafeMutableRawBufferPointer(start: bytes, count: size * count)
                return Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().supply(buffer)
            }
            poiesis_curl_set_pointer(easy, CURLOPT_SEEKDATA, Unmanaged.passUnretained(self).toOpaque())
            poiesis_curl_set_seek_callback(easy) { context, offset, origin in
                guard let context, origin == SEEK_SET else { return Int32(CURL_SEEKFUNC_FAIL) }
                Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().sent = Int64(offset)
                return Int32(CURL_SEEKFUNC_OK)
            }
        }
    }

    // MARK: Callbacks

    /// How many bytes were taken; anything but their count, and the number that stands for a pause, ends the exchange.
    private func received(_ bytes: UnsafeRawBufferPointer) -> Int {
        if let stream { return stream.offer(bytes) ? bytes.count : Int(CURL_WRITEFUNC_PAUSE) }
        do {
            if let receive, (200..<300).contains(status) {
                try receive(Array(bytes))
            } else {
                guard body.count + bytes.count <= limit else {
                    failure = .tooLarge(limit: limit)
                    return 0
                }
                body.append(contentsOf: bytes)
            }
            return bytes.count
        } catch {
            failure = .caller(error)
            return 0
        }
    }

    private func receivedHeader(_ line: String) {
        let line = line.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        if line.hasPrefix("HTTP/") {
            // The head of another answer: after a redirect or a 100.
            status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            headers = []
            return
        }
        // 1xx and redirects that are followed have another head after theirs.
        if line.isEmpty, let stream, status >= 200, !(request.followsRedirects && (300..<400).contains(status)) {
            stream.begin(status: status, headers: headers)
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        headers.append((line[..<colon].lowercased(), String(value)))
    }

    private func supply(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard case .stream(_, let read) = request.body else { return Int(CURL_READFUNC_ABORT) }
        do {
            let bytes = try read(buffer.count, sent)
            buffer.copyBytes(from: bytes)
            sent += Int64(bytes.count)
            return bytes.count
        } catch {
            failure = .caller(error)
            return Int(CURL_READFUNC_ABORT)
        }
    }

    // MARK: The end

    func finish(code: CURLcode) {
        if code == CURLE_OK {
            return finish(.success(HTTPResponse(status: status, headers: headers, body: body)))
        }
        let detail = String(cString: errorBuffer)
        let reason = detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
        let error: HTTPError
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_PROXY:
            error = .unreachable(reason)
        case CURLE_OPERATION_TIMEDOUT: error = .timeout(reason)
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: error = .invalidURL(reason)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM:
            error = .tls(reason)
        default: error = .broken(reason)
        }
        finish(.failure(failure ?? error))
    }
}
