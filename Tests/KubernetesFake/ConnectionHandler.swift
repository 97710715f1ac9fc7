import NIOCore
import NIOHTTP1
import Synchronization

/// One connection of the API server: reads requests one after another and answers them.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let box: ServerBox
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(_ box: ServerBox) { self.box = box }

    func channelActive(context: ChannelHandlerContext) {
        box.server.withLock { $0 }?.opened(context.channel)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let buffer): body += buffer.readableBytesView
        case .end:
            guard let head, let server = box.server.withLock({ $0 }) else {
                context.close(promise: nil)
                return
            }
            self.head = nil
            let request = APIRequest(
                method: head.method.rawValue, target: head.uri,
                headers: Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $1 }, body: body)
            server.note("\(head.method.rawValue) \(head.uri)")
            let exchange = Exchange(channel: context.channel, keepAlive: head.isKeepAlive, head: head.method == .HEAD)
            Task { await exchange.answer(request, server) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// One request's answer.
struct Exchange: Sendable {
    let channel: any Channel
    let keepAlive: Bool
    let head: Bool

    func answer(_ request: APIRequest, _ server: APIServer) async {
        var fault = server.faults.take(request)
        while case .delay(let seconds) = fault {
            try? await Task.sleep(for: .seconds(seconds))
            fault = server.faults.take(request)
        }
        switch fault {
        case .dropRequest: return channel.close(promise: nil)
        case .silence: return
        case .tooManyRequests(let seconds):
            var response = APIResponse.plain(429, "Too many requests, please try again later.\n")
            response.headers.append(("Retry-After", String(seconds)))
            return send(response)
        case .status(let code):
            let reasons = [500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"]
            return send(APIResponse(StatusError(code, reasons[code], "a fault that a test switched on")))
        default: break
        }
        let response = await server.cluster.answer(request)
        switch (response.stream, fault) {
        case (_, .silenceAfterwards): return
        case (_, .loseAnswer): channel.close(promise: nil)
        case (nil, .halfAnswer):
            write(response, length: response.body.count)
            let half = response.body.prefix(response.body.count / 2)
            channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: half))))
                .whenComplete { _ in channel.close(promise: nil) }
        case (nil, _): send(response)
        case (.watch(let watch), _): await stream(watch, response, fault, server)
        case (.log(let pieces), _):
            write(response, length: nil)
            for await piece in pieces { part(piece) }
            end()
        }
    }

    private func write(_ response: APIResponse, length: Int?) {
        var headers = HTTPHeaders(response.headers)
        headers.add(name: "Cache-Control", value: "no-cache, private")
        if let length, response.status != 204 { headers.add(name: "Content-Length", value: String(length)) }
        if !keepAlive { headers.add(name: "Connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: response.status), headers: headers)
        channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    }

    private func part(_ bytes: [UInt8]) {
        channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes))), promise: nil)
    }

    private func end() {
        let done = channel.writeAndFlush(HTTPServerResponsePart.end(nil))
        if !keepAlive { done.whenComplete { _ in channel.close(promise: nil) } }
    }

    private func send(_ response: APIResponse) {
        // Like Go's server, which knows the length of a short answer alone.
        write(response, length: response.body.count > 2048 && !head ? nil : response.body.count)
        if !response.body.isEmpty && !head { part(response.body) }
        end()
    }

    private func stream(
        _ watch: WatchRequest, _ response: APIResponse, _ fault: Fault.Kind?, _ server: APIServer
    ) async {
        write(response, length: nil)
        let sink = ChannelSink(self, fault)
        let number = await server.cluster.openWatch(watch, sink)
        let cluster = server.cluster
        channel.closeFuture.whenComplete { _ in Task { await cluster.closeWatch(number) } }
    }

    /// A watch's lines on their way to the client, broken where a fault says so.
    private final class ChannelSink: WatchSink {
        private let exchange: Exchange
        /// Lines until the fault strikes.
        private let left: Mutex<Int?>
        private let breaks: Bool

        init(_ exchange: Exchange, _ fault: Fault.Kind?) {
            self.exchange = exchange
            switch fault {
            case .breakWatch(let lines):
                left = Mutex(lines)
                breaks = true
            case .endWatch(let lines):
                left = Mutex(lines)
                breaks = false
            default:
                left = Mutex(nil)
                breaks = false
            }
            if left.withLock({ $0 == 0 }) && !breaks { exchange.end() }
        }

        func send(_ bytes: [UInt8]) {
            let before = left.withLock { left in
                defer { left = left.map { $0 - 1 } }
                return left
            }
            guard let before else { return exchange.part(bytes) }
            if before > 0 { exchange.part(bytes) }
            if before == 0 && breaks {
                exchange.part(Array(bytes.prefix(bytes.count / 2)))
                exchange.channel.flush()
                exchange.channel.close(promise: nil)
            }
            if before == 1 && !breaks { exchange.end() }
        }

        func finish() {
            if left.withLock({ $0 ?? 1 }) > 0 { exchange.end() }
        }
    }
}
