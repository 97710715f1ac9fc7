import Synchronization

/// What goes wrong with requests.
package struct Fault: Sendable {
    /// What happens.
    package enum Kind: Sendable {
        /// The connection is closed before anything was done.
        case dropRequest
        /// The request is done, and the connection closed without an answer.
        case loseAnswer
        /// The request is done; its answer never comes.
        case silenceAfterwards
        /// 429 in plain text, as priority and fairness answers, with `Retry-After`.
        case tooManyRequests(retryAfter: Int)
        /// A Status of that code, such as 500 or 503, and nothing is done.
        case status(Int)
        /// Half of the answer's body, then the connection is closed.
        case halfAnswer
        /// The watch breaks in the middle of a line, after so many whole ones.
        case breakWatch(afterLines: Int)
        /// The watch ends as it should, after so many lines.
        case endWatch(afterLines: Int)
        /// The answer comes later.
        /// - Parameter seconds: of the machine's clock.
        case delay(seconds: Double)
        /// No answer ever comes; the connection stays open.
        case silence
    }

    /// What it does.
    package var kind: Kind
    /// Methods that it hits; nil is all.
    package var methods: Set<String>?
    /// A part of the path that it hits; nil is all.
    package var path: String?
    /// Whether it hits only watches, or only what is none; nil is both.
    package var watch: Bool?
    /// How many requests it hits; nil is all until `clear`.
    package var times: Int?
    /// How many requests that match are let through first.
    package var skip: Int

    /// A fault that hits the next request, unless told otherwise.
    package init(
        _ kind: Kind, methods: Set<String>? = nil, path: String? = nil, watch: Bool? = nil, times: Int? = 1,
        skip: Int = 0
    ) {
        self.kind = kind
        self.methods = methods
        self.path = path
        self.watch = watch
        self.times = times
        self.skip = skip
    }
}

/// The faults that are switched on. The first that matches a request hits it.
package final class Faults: Sendable {
    private let faults = Mutex<[Fault]>([])

    /// Switches a fault on.
    package func add(_ fault: Fault) { faults.withLock { $0.append(fault) } }

    /// Switches every fault off.
    package func clear() { faults.withLock { $0 = [] } }

    /// The fault that hits a request; it is used up by that.
    func take(_ request: APIRequest) -> Fault.Kind? {
        faults.withLock { faults in
            let path = "/" + request.path.joined(separator: "/")
            for index in faults.indices {
                let fault = faults[index]
                guard fault.methods?.contains(request.method) ?? true, fault.path.map(path.contains) ?? true,
                    fault.watch == nil || fault.watch == request.flag("watch")
                else { continue }
                if fault.skip > 0 {
                    faults[index].skip -= 1
                    continue
                }
                if let times = fault.times {
                    if times <= 1 { faults.remove(at: index) } else { faults[index].times = times - 1 }
                }
                return fault.kind
            }
            return nil
        }
    }
}
