import Crypto
package import TES
package import TaskCore

/// What the server says of itself in service-info, and what it makes of tasks.
package struct ServiceConfiguration: Sendable {
    package var id = "org.poiesis.tes"
    package var name = "Poiesis"
    package var description: String? = "GA4GH Task Execution Service"
    package var organizationName = "Unknown"
    package var organizationURL = "https://example.org"
    package var contactURL: String?
    package var documentationURL: String?
    package var environment: String?
    /// The program's version.
    package var version: String
    /// URL prefixes that the filers serve.
    package var storage: [String]
    package var rules: TaskRules
    /// What the backend makes of a valid task.
    package var judge: @Sendable (TESTask) -> BackendJudgement = { _ in BackendJudgement() }

    package init(version: String, storage: [String], rules: TaskRules) {
        self.version = version
        self.storage = storage
        self.rules = rules
    }
}

/// The five operations on a task store.
package struct Handlers: TESHandlers {
    private let store: any TaskStore
    private let configuration: ServiceConfiguration
    /// Called when something waits for a worker.
    private let wake: @Sendable () -> Void
    /// Called with a task that was cancelled; must not wait.
    private let cancelled: @Sendable (TaskID) -> Void

    package init(
        store: any TaskStore, configuration: ServiceConfiguration, wake: @escaping @Sendable () -> Void,
        cancelled: @escaping @Sendable (TaskID) -> Void = { _ in }
    ) {
        self.store = store
        self.configuration = configuration
        self.wake = wake
        self.cancelled = cancelled
    }

    var serviceIdentity: ServiceConfiguration { configuration }

    // MARK: Operations

    package func getServiceInfo(
        _ input: GetServiceInfo.Input, context: CallContext
    ) async throws -> Answer<TESServiceInfo> {
        let created = try await store.createdAt()
        return .value(
            TESServiceInfo(
                id: configuration.id, name: configuration.name,
                type: TESServiceType(group: "org.ga4gh", artifact: .tes, version: "1.1.0"),
                description: configuration.description,
                organization: .init(name: configuration.organizationName, url: configuration.organizationURL),
                contactUrl: configuration.contactURL, documentationUrl: configuration.documentationURL,
                createdAt: created, updatedAt: created, environment: configuration.environment,
                version: configuration.version, storage: configuration.storage,
                tesResourcesBackendParameters: configuration.rules.backendParameters.sorted()))
    }

    package func createTask(
        _ input: CreateTask.Input, context: CallContext
    ) async throws -> Answer<TESCreateTaskResponse> {
        var (task, warnings) = try TaskValidation.accept(
            input.body, read: context.body.problems, rules: configuration.rules)
        warnings += try configuration.judge(task).apply(to: &task)
        let id = store.newID()
        task.id = nil
        task.state = nil
        task.logs = nil
        task.creationTime = store.now()
        let idempotency = try context.idempotencyKey.map { try Self.idempotency($0, input.body) }
        let stored = try await store.create(
            NewTask(id: id, principal: context.principal, task: task, warnings: warnings, idempotency: idempotency))
        if stored == id { wake() } else { context.trace.answer(.idempotentReplayed, "true") }
        return .value(TESCreateTaskResponse(id: stored.description))
    }

    private static func idempotency(_ key: String, _ task: TESTask) throws(InvalidRequest) -> IdempotencyKey {
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (33...126).contains($0) }) else {
            throw InvalidRequest([
                RequestProblem("Idempotency-Key", "must be 1 to 255 visible ASCII characters")
            ])
        }
        // Of the value, not of its bytes: white space and the order of members do not matter.
        return IdempotencyKey(key: key, digest: hexadecimal(SHA256.hash(data: JSONWriter.encode(task))))
    }

    package func getTask(_ input: GetTask.Input, context: CallContext) async throws -> Answer<TESTask> {
        guard let id = TaskID(input.id), let task = try await store.task(id, view: input.view, for: context.principal)
        else { throw Self.unknown(input.id) }
        return .value(task)
    }

    package func cancelTask(
        _ input: CancelTask.Input, context: CallContext
    ) async throws -> Answer<TESCancelTaskResponse> {
        guard let id = TaskID(input.id), let state = try await store.cancel(id, for: context.principal) else {
            throw Self.unknown(input.id)
        }
        wake()
        if state == .canceling || state == .canceled { cancelled(id) }
        return .value(TESCancelTaskResponse())
    }

    private static func unknown(_ id: String) -> APIError { .notFound("there is no task \(id.prefix(100))") }

    // MARK: Lists

    private static let defaultPageSize: Int32 = 256
    /// Tasks that are read, encoded and sent at once: memory does not grow with the page.
    private static let chunkSize = 128
    /// Bytes that a chunk aims at: tasks may hold megabytes each.
    private static let chunkBytes = 256 << 10

    package func listTasks(
        _ input: ListTasks.Input, context: CallContext
    ) async throws -> Answer<TESListTasksResponse> {
        let filter = try Self.filter(input)
        let token = PageToken(key: try await store.pageKey(), filter: filter, owner: context.principal.owner)
        var after: TaskID?
        if let text = input.pageToken {
            after = token.decode(text)
            if after == nil {
                throw InvalidRequest([
                    RequestProblem(
                        "?page_token", "is damaged, or belongs to a list with other filters: start from the first page")
                ])
            }
        }
        let page = try await store.page(
            filter, size: Int(input.pageSize ?? Self.defaultPageSize), after: after, for: context.principal)
        let next = page.hasMore ? page.tasks.last.map { token.encode($0.id) } ?? "" : ""
        let envelope = TESListTasksResponse(tasks: [], nextPageToken: next)
        let firstSize = input.view == .minimal ? Self.chunkSize : 4
        if page.tasks.count <= firstSize || input.view == .minimal {
            var answer = envelope
            answer.tasks = try await store.tasks(
                page.tasks[...], isContiguous: page.isContiguous, view: input.view)
            return .value(answer)
        }
        // An error in the first part can still be answered as one.
        let first = try await store.tasks(
            page.tasks.prefix(firstSize), isContiguous: page.isContiguous, view: input.view)
        let parts = PageParts(
            envelope: JSONWriter.encode(envelope), viewLevel: input.view.position, first: first,
            rest: page.tasks.dropFirst(firstSize)
        ) { [store] slice in
            try await store.tasks(slice, isContiguous: page.isContiguous, view: input.view)
        }
        return .chunks(AsyncThrowingStream { try await parts.next() })
    }

    /// The envelope's bytes around the tasks', part by part. One reader asks for them, each when the one before was sent;
    /// meanwhile the next part's tasks are read, unless they are large. While the reader waits the one after it is read, too:
    /// a reader that does not read keeps one part alone.
    private actor PageParts {
        typealias Page = ArraySlice<(id: TaskID, state: TESState)>
        private typealias Reading = Task<[TESTask], any Error>

        private let viewLevel: Int
        private let head: [UInt8]
        private let tail: [UInt8]
        /// Until it was encoded.
        private var first: [TESTask]?
        private var rest: Page
        private let read: @Sendable (Page) async throws -> [TESTask]
        private var upcoming: Reading?
        private var isDone = false
        private var hasElements = false
        /// Tasks of the next part to be read, by the bytes of those that were sent.
        private var size = 1

        init(
            envelope: [UInt8], viewLevel: Int, first: [TESTask], rest: Page,
            read: @escaping @Sendable (Page) async throws -> [TESTask]
        ) {
            // The empty array of tasks is the first in the document.
            let middle = (envelope.firstIndex(of: UInt8(ascii: "[")) ?? 0) + 1
            head = Array(envelope[..<middle])
            tail = Array(envelope[middle...])
            self.viewLevel = viewLevel
            self.first = first
            self.rest = rest
            self.read = read
        }

        deinit { upcoming?.cancel() }

        func next() async throws -> [UInt8]? {
            if isDone { return nil }
            if let tasks = first {
                first = nil
                let bytes = encoded(tasks)
                upcoming = readAhead()
                return ended(head + bytes)
            }
            let current = upcoming ?? readOn()
            upcoming = readAhead()
            let tasks = try await withTaskCancellationHandler {
                try await current?.value ?? []
            } onCancel: {
                current?.cancel()
            }
            return ended(encoded(tasks))
        }

        /// Not where one task fills a part: of many readers that do not read, each would keep another one.
        private func readAhead() -> Reading? { size > 1 ? readOn() : nil }

        private func readOn() -> Reading? {
            if rest.isEmpty { return nil }
            let part = rest.prefix(size)
            rest = rest.dropFirst(size)
            // Detached, so that its decoding does not wait for this actor's encoding.
            return Task.detached { [read] in try await read(part) }
        }

        private func encoded(_ tasks: [TESTask]) -> [UInt8] {
            if tasks.isEmpty { return [] }
            var writer = JSONWriter(viewLevel: viewLevel)
            for task in tasks {
                writer.element()
                task.write(&writer)
            }
            let bytes = (hasElements ? [UInt8(ascii: ",")] : []) + writer.bytes
            hasElements = true
            size = min(Handlers.chunkSize, max(1, Handlers.chunkBytes * tasks.count / bytes.count))
            return bytes
        }

        /// The part, with the document's end where nothing follows.
        private func ended(_ bytes: [UInt8]) -> [UInt8] {
            guard rest.isEmpty, upcoming == nil else { return bytes }
            isDone = true
            return bytes + tail
        }
    }

    private static func filter(_ input: ListTasks.Input) throws(InvalidRequest) -> TaskFilter {
        TaskFilter(
            namePrefix: input.namePrefix, state: input.state,
            tags: try TaskFilter.tags(keys: input.tagKey, values: input.tagValue))
    }
}
