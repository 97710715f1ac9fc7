import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import TES
package import TaskCore

/// `/events`: changes of state as server-sent events, in one order that a reader can go on from.
/// https://html.spec.whatwg.org/multipage/server-sent-events.html
struct EventStream: Sendable {
    let store: any TaskStoreMonitor
    let ticker: EventTicker

    /// Events that are read and sent at once: memory does not grow with how far a reader is behind.
    private static let batchSize = 500

    func response(_ request: Request, _ context: TESRequestContext) async throws -> Response {
        let parameters = RequestParameters(path: [:], query: request.uri.query ?? "")
        let filter = try Self.filter(parameters)
        let given = request.headers[.lastEventID] ?? parameters.string("last_event_id")
        let start: EventPosition
        if let given {
            guard let position = EventPosition(given) else {
                throw InvalidRequest([
                    RequestProblem("?last_event_id", "is no id of an event: take one that was sent, or 0 for the start")
                ])
            }
            start = position
        } else {
            start = try await store.lastEvent()
        }
        let reader = Reader(
            store: store, ticker: ticker, filter: filter, principal: context.principal, position: start)
        let logger = context.logger
        let chunks = AsyncThrowingStream<ByteBuffer, any Error> {
            do throws(TaskStoreError) { return try await reader.next() } catch {
                // The client comes back with the last id that it saw.
                logger.warning("a reader of events is sent away", metadata: ["reason": "\(error)"])
                return nil
            }
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody(asyncSequence: chunks))
    }

    /// One client's place in the order of events. Asked for the next part once the one before was sent.
    private actor Reader {
        private let store: any TaskStoreMonitor
        private let ticker: EventTicker
        private let filter: EventFilter
        private let principal: Principal
        private var position: EventPosition
        private var isConnected = false

        init(
            store: any TaskStoreMonitor, ticker: EventTicker, filter: EventFilter, principal: Principal,
            position: EventPosition
        ) {
            self.store = store
            self.ticker = ticker
            self.filter = filter
            self.principal = principal
            self.position = position
        }

        /// Nil once the server stops.
        func next() async throws(TaskStoreError) -> ByteBuffer? {
            guard isConnected else {
                // Tells the client at once that it is connected.
                isConnected = true
                return ByteBuffer(string: ": connected\n\n")
            }
            while !Task.isCancelled, !ticker.isStopped {
                let seen = ticker.count
                let batch = try await store.events(
                    after: position, matching: filter, limit: EventStream.batchSize, for: principal)
                position = batch.next
                if !batch.events.isEmpty {
                    return ByteBuffer(string: batch.events.map(EventStream.text).joined())
                }
                // A comment shows both ends that the connection lives.
                if await !ticker.wait(after: seen) { return ByteBuffer(string: ":\n\n") }
            }
            return nil
        }
    }

    private static func filter(_ parameters: RequestParameters) throws(InvalidRequest) -> EventFilter {
        var tasks: [TaskID] = []
        for text in parameters.strings("task_id") where !text.isEmpty {
            guard let id = TaskID(text) else {
                throw InvalidRequest([RequestProblem("?task_id", "\(text.prefix(100)) is no id of a task")])
            }
            tasks.append(id)
        }
        let tags = try TaskFilter.tags(keys: parameters.strings("tag_key"), values: parameters.strings("tag_value"))
        return EventFilter(tasks: tasks, tags: tags)
    }

    private static func text(_ event: TaskEvent) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("task_id")
        writer.string(event.taskID.description)
        writer.key("state")
        writer.string(event.state.rawValue)
        writer.key("attempt")
        writer.integer(Int64(event.attempt))
        writer.key("time")
        writer.string(event.time.text)
        writer.endObject()
        return "id: \(event.position)\nevent: state\ndata: \(writer.text)\n\n"
    }
}

extension TaskFilter {
    /// Each costs a search.
    private static let mostTags = 20

    /// Keys and values zipped in order of appearance; an empty or missing value matches any.
    static func tags(keys: [String], values: [String]) throws(InvalidRequest) -> [(key: String, value: String?)] {
        guard values.count <= keys.count else {
            throw InvalidRequest([RequestProblem("?tag_value", "there are more tag_value than tag_key parameters")])
        }
        guard keys.count <= mostTags else {
            throw InvalidRequest([RequestProblem("?tag_key", "may be given at most \(mostTags) times")])
        }
        var tags: [(key: String, value: String?)] = []
        for (index, key) in keys.enumerated() where !key.isEmpty {
            let value = index < values.count ? values[index] : ""
            tags.append((key, value.isEmpty ? nil : value))
        }
        return tags
    }
}

/// Asks the store for news on behalf of all readers of events, and wakes them.
package final class EventTicker: Service {
    private struct State {
        var count = 0
        var position = EventPosition.start
        var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
        var nextReader = 0
        var isStopped = false
    }

    private let store: any TaskStoreMonitor
    private let state = Mutex(State())
    private static let interval = Duration.milliseconds(200)
    private static let heartbeat = Duration.seconds(15)

    package init(store: any TaskStoreMonitor) { self.store = store }

    /// Readers are to be let go.
    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// How often there was news.
    var count: Int { state.withLock { $0.count } }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                guard self.state.withLock({ !$0.waiting.isEmpty }), let last = try? await self.store.lastEvent() else {
                    continue
                }
                self.tell(last)
            }
        }
        state.withLock { $0.isStopped = true }
        wakeAll()
    }

    private func tell(_ last: EventPosition) {
        let isNews = state.withLock { state in
            guard state.position != last else { return false }
            state.position = last
            state.count += 1
            return true
        }
        if isNews { wakeAll() }
    }

    private func wakeAll() {
        let waiting = state.withLock { state in
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume(returning: true) }
    }

    /// Waits until there is more news than a reader has seen; false after fifteen seconds without, and when cancelled.
    func wait(after seen: Int) async -> Bool {
        let reader = state.withLock { state in
            state.nextReader += 1
            return state.nextReader
        }
        let timer = Task {
            try? await Task.sleep(for: Self.heartbeat)
            self.leave(reader)
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isNews = state.withLock { state -> Bool? in
                    if state.count != seen || state.isStopped { return true }
                    if Task.isCancelled { return false }
                    state.waiting[reader] = continuation
                    return nil
                }
                if let isNews { continuation.resume(returning: isNews) }
            }
        } onCancel: {
            self.leave(reader)
        }
    }

    private func leave(_ reader: Int) {
        state.withLock { $0.waiting.removeValue(forKey: reader) }?.resume(returning: false)
    }
}
