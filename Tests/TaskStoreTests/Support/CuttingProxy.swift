import Foundation
import Glibc
import LocalSystem
import Synchronization
import TestServers

/// Stands between a client and a PostgreSQL socket, and breaks the connection at a chosen moment.
final class CuttingProxy: Sendable {
    enum Mode: Sendable {
        case forwards
        /// The next request never reaches the server.
        case cutsBeforeRequest
        /// The next request is carried out; its answer never reaches the client.
        case cutsAfterAnswer
        /// As before, and from then on there is no connection to be had.
        case cutsAfterAnswerForGood
        case refuses
    }

    let folder: String
    private let target: String
    private let listener: Int32
    private let state = Mutex<(mode: Mode, cuts: Int)>((.forwards, 0))

    init(to cluster: PostgresCluster) throws {
        folder = "/tmp/px-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        _ = try Folder.make(folder)
        target = cluster.folder + "/.s.PGSQL.5432"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let listener = listener
        guard unixAddress(folder + "/.s.PGSQL.5432", { bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0 else {
            throw PostgresCluster.Failure(description: "the proxy cannot listen")
        }
        Thread.detachNewThread { [self] in accept() }
    }

    /// How often a connection was broken.
    var cuts: Int { state.withLock { $0.cuts } }

    func set(_ mode: Mode) { state.withLock { $0.mode = mode } }

    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
        try? Folder("/tmp").remove(String(folder.dropFirst(5)))
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            if state.withLock({ $0.mode == .refuses }) {
                Glibc.close(client)
                continue
            }
            let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            guard unixAddress(target, { connect(server, $0, $1) }) == 0 else {
                Glibc.close(client)
                Glibc.close(server)
                continue
            }
            Thread.detachNewThread { [self] in pump(client, server, isRequest: true) }
            Thread.detachNewThread { [self] in pump(server, client, isRequest: false) }
        }
    }

    private func pump(_ from: Int32, _ to: Int32, isRequest: Bool) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(from, &buffer, buffer.count)
            guard count > 0, !isCut(buffer[..<count], isRequest) else { break }
            var written = 0
            while written < count {
                let sent = buffer[written..<count].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if sent <= 0 { break }
                written += sent
            }
        }
        // The other direction's thread wakes up and ends, too; the descriptors themselves stay until the process ends.
        shutdown(from, Int32(SHUT_RDWR))
        shutdown(to, Int32(SHUT_RDWR))
    }

    /// An answer is whole when it ends with ReadyForQuery.
    private func isCut(_ bytes: ArraySlice<UInt8>, _ isRequest: Bool) -> Bool {
        let isWholeAnswer = !isRequest && bytes.suffix(6).starts(with: [0x5A, 0, 0, 0, 5])
        return state.withLock { state in
            switch state.mode {
            case .cutsBeforeRequest where isRequest: state.mode = .forwards
            case .cutsAfterAnswer where isWholeAnswer: state.mode = .forwards
            case .cutsAfterAnswerForGood where isWholeAnswer: state.mode = .refuses
            default: return false
            }
            state.cuts += 1
            return true
        }
    }
}

/// Calls with a unix socket's address.
func unixAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix(107)) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
