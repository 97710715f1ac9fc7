import CLibCurl
import Foundation
import Glibc
import Synchronization

/// HTTP over libcurl: one multi handle on one thread, so that any number of exchanges share connections.
///
/// https://curl.se/libcurl/c/libcurl-multi.html
package final class HTTPClient: Sendable {
    private enum Command {
        case start(Transfer)
        case cancel(Transfer)
        case resume(Transfer)
    }

    private struct State {
        var commands: [Command] = []
        var isClosed = false
        /// The multi handle is gone.
        var hasEnded = false
    }

    /// The multi handle belongs to the client's thread; other threads only wake it.
    private struct MultiHandle: @unchecked Sendable {
        // Unchecked: curl_multi_wakeup is the one call that libcurl allows from any thread.
        let pointer: OpaquePointer
    }

    private let multi: MultiHandle
    private let trusted: @Sendable () -> AdditionalAuthorities?
    private let state = Mutex(State())

    /// Makes the client and starts its thread, which lives until ``close()``.
    ///
    /// - Parameter authorities: trusted besides the system's by requests that name no authorities of their own.
    package convenience init(trusting authorities: AdditionalAuthorities? = nil) { self.init { authorities } }

    /// As the other, but authorities that may change while the client is used.
    package convenience init(renewing authorities: RenewedAuthorities?) { self.init { authorities?.current } }

    private init(_ trusted: @escaping @Sendable () -> AdditionalAuthorities?) {
        self.trusted = trusted
        curl_global_init(Int(CURL_GLOBAL_ALL))
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl has no memory for a multi handle") }
        self.multi = MultiHandle(pointer: OpaquePointer(multi))
        Thread.detachNewThread { [self] in work() }
    }

    /// Ends the thread; exchanges that are under way fail.
    package func close() {
        state.withLock { $0.isClosed = true }
        wake()
    }

    /// Sends a request and waits for its whole answer.
    ///
    /// - Parameters:
    ///   - limit: most bytes of the body that are kept in memory.
    ///   - receive: takes the body of a 2xx answer piece by piece instead, on the client's thread.
    package func send(
        _ request: HTTPRequest, limit: Int = 64 << 20, receive: (@Sendable ([UInt8]) throws -> Void)? = nil
    ) async throws(HTTPError) -> HTTPResponse {
        let transfer = Transfer(request, limit: limit, receive: receive, trusting: trusted())
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.setContinuation(continuation)
                start(transfer)
            }
        } onCancel: {
            guard request.isCancellable else { return }
            cancel(transfer)
        }
        return try result.get()
    }

    /// Sends a request and waits for the head of its answer, whatever its status; the body is taken from the stream.
    ///
    /// A stream that nobody holds any more breaks its exchange off.
    package func open(_ request: HTTPRequest) async throws(HTTPError) -> HTTPStream {
        let queue = BodyQueue()
        let transfer = Transfer(request, limit: 0, receive: nil, stream: queue, trusting: trusted())
        start(transfer)
        let head = await withTaskCancellationHandler {
            await withCheckedContinuation { queue.awaitHead($0) }
        } onCancel: {
            cancel(transfer)
        }
        let (status, headers) = try head.get()
        return HTTPStream(status: status, headers: headers, queue: queue, transfer: transfer, client: self)
    }

    private func start(_ transfer: Transfer) {
        let accepted = state.withLock { state in
            if state.isClosed { return false }
            state.commands.append(.start(transfer))
            return true
        }
        if accepted { wake() } else { transfer.finish(.failure(.cancelled)) }
    }

    func cancel(_ transfer: Transfer) { tell(.cancel(transfer)) }

    /// Lets a body flow again that was paused.
    func resume(_ transfer: Transfer) { tell(.resume(transfer)) }

    private func tell(_ command: Command) {
        state.withLock { $0.commands.append(command) }
        wake()
    }

    private func wake() {
        state.withLock { state in
            if !state.hasEnded { curl_multi_wakeup(UnsafeMutableRawPointer(multi.pointer)) }
        }
    }

    // MARK: The client's thread

    private func work() {
        let handle = UnsafeMutableRawPointer(multi.pointer)
        var running: [UnsafeMutableRawPointer: Transfer] = [:]
        while true {
            let (commands, isClosed) = state.withLock { state in
                defer { state.commands = [] }
                return (state.commands, state.isClosed)
            }
            for command in commands {
                switch command {
                case .start(let transfer):
                    guard let easy = transfer.start() else { continue }
                    running[easy] = transfer
                    curl_multi_add_handle(handle, easy)
                case .cancel(let transfer):
                    if let easy = transfer.handle, running.removeValue(forKey: easy) != nil {
                        curl_multi_remove_handle(handle, easy)
                    }
                    transfer.finish(.failure(.cancelled))
                case .resume(let transfer):
                    if let easy = transfer.handle, running[easy] != nil { transfer.resume() }
                }
            }
            if isClosed { break }
            var count: Int32 = 0
            curl_multi_perform(handle, &count)
            var left: Int32 = 0
            while let message = curl_multi_info_read(handle, &left) {
                guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
                let code = message.pointee.data.result
                curl_multi_remove_handle(handle, easy)
                running.removeValue(forKey: easy)?.finish(code: code)
            }
            curl_multi_poll(handle, nil, 0, count > 0 ? 1000 : 60000, nil)
        }
        for (easy, transfer) in running {
            curl_multi_remove_handle(handle, easy)
            transfer.finish(.failure(.cancelled))
        }
        state.withLock { $0.hasEnded = true }
        curl_multi_cleanup(handle)
    }
}
