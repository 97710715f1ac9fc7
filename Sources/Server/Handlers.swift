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

    package init(store: any TaskStore, configuration: ServiceConfiguration, wake: @escaping @Sendable () -> Void) {
        self.store = store
        self.configuration = configuration
        self.wake = wake
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
        guard let id = TaskID(input.id), try await store.cancel(id, for: context.principal) != nil else {
            throw Self.unknown(input.id)
        }
        wake()
        return .value(TESCancelTaskResponse())
    }

    private static func unknown(_ id: String) -> APIError { .notFound("there is no task \(id.prefix(100))") }

    // MARK: Lists

    private static let defaultPageSize: Int32 = 256
    /// Tasks that are read, encoded and sent at once: memory does not grow with the page.
    private static let chunkSize = 64
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
        let firstSize = input.view == .full ? 4 : Self.chunkSize
        if page.tasks.count <= firstSize || input.view == .minimal {
            var answer = envelope
            answer.tasks = try await store.tasks(page.tasks[...], view: input.view)
            return .value(answer)
        }
        let first = try await store.tasks(page.tasks.prefix(firstSize), view: input.view)
        return .chunks(chunks(envelope, first, page.tasks.dropFirst(firstSize), input.view))
    }

    /// The envelope's bytes around the tasks', each chunk made when the one before it was sent.
    private func chunks(
        _ envelope: TESListTasksResponse, _ first: [TESTask], _ rest: ArraySlice<(id: TaskID, state: TESState)>,
        _ view: TESView
    ) -> AsyncThrowingStream<[UInt8], any Error> {
        let parts = PageParts(
            envelope: JSONWriter.encode(envelope), first: first, rest: rest)
        return AsyncThrowingStream { try await parts.next(store, view) }
    }

    /// What of a page is still to be sent. One reader asks for it, a part after the other.
    private actor PageParts {
        private var head: [UInt8]
        private let tail: [UInt8]
        private var waiting: [TESTask]
        private var rest: ArraySlice<(id: TaskID, state: TESState)>
        private var isDone = false
        private var hasElements = false
        /// Tasks of the next chunk, by the bytes of the one before.
        private var size = 1

        init(envelope: [UInt8], first: [TESTask], rest: ArraySlice<(id: TaskID, state: TESState)>) {
            // The empty array of tasks is the first in the document.
            let middle = (envelope.firstIndex(of: UInt8(ascii: "[")) ?? 0) + 1
            head = Array(envelope[..<middle])
            tail = Array(envelope[middle...])
            waiting = first
            self.rest = rest
        }

        func next(_ store: any TaskStore, _ view: TESView) async throws -> [UInt8]? {
            if isDone { return nil }
            if waiting.isEmpty, !rest.isEmpty {
                waiting = try await store.tasks(rest.prefix(size), view: view)
                rest = rest.dropFirst(size)
            }
            var bytes = head
            head = []
            for task in waiting {
                if hasElements { bytes.append(UInt8(ascii: ",")) }
                bytes += JSONWriter.encode(task, viewLevel: view.position)
                hasElements = true
            }
            size = min(Handlers.chunkSize, max(1, Handlers.chunkBytes * max(1, waiting.count) / max(1, bytes.count)))
            waiting = []
            if rest.isEmpty {
                bytes += tail
                isDone = true
            }
            return bytes
        }
    }

    private static func filter(_ input: ListTasks.Input) throws(InvalidRequest) -> TaskFilter {
        TaskFilter(
            namePrefix: input.namePrefix, state: input.state,
            tags: try TaskFilter.tags(keys: input.tagKey, values: input.tagValue))
    }
}
