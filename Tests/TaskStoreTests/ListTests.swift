import Postgres
import TES
import TaskCore
import TaskStore
import Testing

/// The contract of every task store: lists.
@Suite("Task store: lists")
struct ListTests {
    private func walk(_ store: any TaskStore, _ filter: TaskFilter = TaskFilter(), size: Int) async throws -> [TaskID] {
        var found: [TaskID] = []
        while true {
            let page = try await store.page(filter, size: size, after: found.last, for: .everyone)
            #expect(page.tasks.count <= size && (!page.hasMore || page.tasks.count == size))
            found += page.tasks.map(\.id)
            if !page.hasMore { return found }
        }
    }

    @Test(arguments: StoreKind.allCases, [1, 2, 3, 7, 8])
    func pagesAreNewestFirstAndComplete(_ kind: StoreKind, _ size: Int) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TaskID] = []
            for _ in 0..<7 { ids.append(try await harness.create()) }
            #expect(try await walk(harness.store, size: size) == ids.reversed())
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anEmptyStoreHasOneEmptyPage(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            let page = try await harness.store.page(TaskFilter(), size: 10, after: nil, for: .everyone)
            #expect(page == TaskPage(tasks: [], hasMore: false))
        }
    }

    @Test(arguments: StoreKind.allCases)
    func pagesAreStableWhileTasksAreAdded(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TaskID] = []
            for _ in 0..<6 { ids.append(try await harness.create()) }
            let first = try await harness.store.page(TaskFilter(), size: 2, after: nil, for: .everyone)
            for _ in 0..<5 { _ = try await harness.create() }
            var found = first.tasks.map(\.id)
            var hasMore = first.hasMore
            while hasMore {
                let page = try await harness.store.page(TaskFilter(), size: 2, after: found.last, for: .everyone)
                found += page.tasks.map(\.id)
                hasMore = page.hasMore
                _ = try await harness.create()
            }
            #expect(found == ids.reversed())
        }
    }

    static let names: [String?] = [nil, "", "a", "ab", "a%", "a_", "a\\", "A", "%", "é", "e\u{301}"]
    static let prefixes: [(String, [String])] = [
        ("a", ["a", "ab", "a%", "a_", "a\\"]), ("a%", ["a%"]), ("a_", ["a_"]), ("a\\", ["a\\"]), ("%", ["%"]),
        ("_", []), ("A", ["A"]),
        ("ab", ["ab"]), ("abc", []), ("é", ["é"]), ("e", ["e\u{301}"]),
        ("", ["", "a", "ab", "a%", "a_", "a\\", "A", "%", "é", "e\u{301}"]),
    ]

    @Test(arguments: StoreKind.allCases)
    func namePrefixesAreLiteral(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            for name in Self.names { _ = try await harness.create(TESTask(name: name, executors: [])) }
            for (prefix, expected) in Self.prefixes {
                let page = try await harness.store.page(
                    TaskFilter(namePrefix: prefix), size: 100, after: nil, for: .everyone)
                let tasks = try await harness.store.tasks(
                    page.tasks[...], isContiguous: page.isContiguous, view: .basic)
                #expect(
                    tasks.map { Array(($0.name ?? "").utf8) } == expected.reversed().map { Array($0.utf8) },
                    "prefix \(prefix)")
            }
        }
    }

    /// Names around a prefix's end, in bytes and in characters that the index holds.
    static let longNames = [
        "\u{D7FF}", "\u{E000}", "x\u{10FFFF}", "x\u{10FFFF}\u{10FFFF}z", "y", "z\u{7F}", "z\u{80}",
        String(repeating: "é", count: 63), String(repeating: "é", count: 64), String(repeating: "é", count: 65),
        String(repeating: "é", count: 64) + "f", String(repeating: "😀", count: 5000),
    ]

    @Test(arguments: StoreKind.allCases)
    func namePrefixesOfAnyLengthAndCharacterAreFound(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            for name in Self.longNames { _ = try await harness.create(TESTask(name: name, executors: [])) }
            for prefix in Self.longNames + ["z", "x", String(repeating: "é", count: 10)] {
                let page = try await harness.store.page(
                    TaskFilter(namePrefix: prefix), size: 100, after: nil, for: .everyone)
                let tasks = try await harness.store.tasks(page.tasks[...], isContiguous: false, view: .basic)
                let expected = Self.longNames.filter { $0.utf8.starts(with: prefix.utf8) }
                #expect(tasks.compactMap(\.name) == expected.reversed(), "prefix \(prefix.prefix(100))")
            }
        }
    }

    static let tagged: [[String: String]] = [
        ["project": "x"], ["project": "y"], ["project": ""], ["project": "x", "user": "anna"],
        ["user": "anna", "Project": "x"], [:],
        ["": "empty key"], ["project": "X"],
    ]
    static let tagFilters: [([(key: String, value: String?)], Set<Int>)] = [
        ([("project", nil)], [0, 1, 2, 3, 7]), ([("project", "x")], [0, 3]), ([("project", "")], [2]),
        ([("user", nil)], [3, 4]),
        ([("project", "x"), ("user", "anna")], [3]), ([("project", nil), ("user", nil)], [3]), ([("", nil)], [6]),
        ([("nothing", nil)], []), ([("project", "x"), ("project", "y")], []),
        ([("project", "x"), ("project", nil)], [0, 3]),
        ([("x", "project")], []),
    ]

    @Test(arguments: StoreKind.allCases)
    func tagsMatchByKeyAndByValue(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TaskID] = []
            for tags in Self.tagged { ids.append(try await harness.create(TESTask(executors: [], tags: tags))) }
            for (tags, expected) in Self.tagFilters {
                let found = try await walk(harness.store, TaskFilter(tags: tags), size: 2)
                #expect(found == expected.sorted(by: >).map { ids[$0] }, "\(tags)")
            }
        }
    }

    @Test(arguments: StoreKind.allCases)
    func statesFilterAndAllFiltersCombine(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TESState: TaskID] = [:]
            for state in [TESState.initializing, .running, .complete, .canceling, .canceled] {
                ids[state] = try await harness.attempt(in: state).taskID
            }
            ids[.queued] = try await harness.create(TESTask(name: "one", executors: [], tags: ["a": "b"]))
            _ = try await harness.create(TESTask(name: "one", executors: [], tags: ["a": "c"]))
            _ = try await harness.create(TESTask(name: "two", executors: [], tags: ["a": "b"]))
            for (state, id) in ids where state != .queued {
                #expect(try await walk(harness.store, TaskFilter(state: state), size: 1) == [id])
            }
            #expect(try await walk(harness.store, TaskFilter(state: .systemError), size: 1).isEmpty)
            #expect(try await walk(harness.store, TaskFilter(state: .queued), size: 1).count == 3)
            let combined = TaskFilter(namePrefix: "on", state: .queued, tags: [("a", "b")])
            #expect(try await walk(harness.store, combined, size: 1) == [try #require(ids[.queued])])
            let none = TaskFilter(namePrefix: "on", state: .running, tags: [("a", "b")])
            #expect(try await walk(harness.store, none, size: 1).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func anotherOwnersTasksAreNoPartOfAContiguousPage(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var own: [TaskID] = []
            for index in 0..<9 {
                let owner = index % 4 == 3 ? Principal(owner: "another") : .everyone
                let id = try await harness.create(TESTask(name: "\(index)", executors: []), for: owner)
                if owner == .everyone { own.insert(id, at: 0) }
            }
            for size in 1...own.count {
                var after: TaskID?
                var found: [TaskID] = []
                repeat {
                    let page = try await harness.store.page(TaskFilter(), size: size, after: after, for: .everyone)
                    let tasks = try await harness.store.tasks(
                        page.tasks[...], isContiguous: page.isContiguous, view: .full)
                    found += tasks.compactMap { $0.id.flatMap { TaskID($0) } }
                    after = page.hasMore ? page.tasks.last?.id : nil
                } while after != nil
                #expect(found == own)
            }
        }
    }

    @Test func aContiguousPageIsReadAsARange() async throws {
        try await StoreHarness.with(.postgres) { harness in
            for index in 0..<8 {
                let owner = index == 1 ? Principal(owner: "another") : .everyone
                _ = try await harness.create(for: owner)
            }
            let newest = try await harness.store.page(TaskFilter(), size: 4, after: nil, for: .everyone)
            #expect(newest.isContiguous)
            let oldest = try await harness.store.page(
                TaskFilter(), size: 3, after: newest.tasks.last?.id, for: .everyone)
            #expect(oldest.tasks.count == 3 && !oldest.isContiguous)
            let filtered = try await harness.store.page(
                TaskFilter(state: .queued), size: 4, after: nil, for: .everyone)
            #expect(filtered.tasks.count == 4 && !filtered.isContiguous)
            // A range holds what lies between, too: only the page's own tasks may come out.
            let outer = [newest.tasks[0], newest.tasks[3]]
            let tasks = try await harness.store.tasks(outer[...], isContiguous: true, view: .full)
            #expect(tasks.map(\.id) == outer.map(\.id.description))
        }
    }

    @Test func aSearchThatTakesTooLongIsBrokenOff() async throws {
        try await StoreHarness.withDatabase { pool, _ in
            let store = StoreHarness.postgresStore(
                pool, searches: TaskSearches(pool: pool, timeout: .milliseconds(1)))
            let fill = """
                WITH made AS (INSERT INTO poiesis.tasks (task_id, name) SELECT gen_random_uuid(), 'name ' || n
                    FROM generate_series(1, 20000) n RETURNING task_id),
                tags AS (INSERT INTO poiesis.task_tags (task_id, key, value)
                    SELECT task_id, key, 'x' FROM made, unnest(ARRAY['a', 'b']) key)
                INSERT INTO poiesis.task_states (task_id, owner, state) SELECT task_id, 'public', 'CANCELED' FROM made
                """
            _ = try await pool.run(fill)
            _ = try await pool.run("ANALYZE")
            let slow = TaskFilter(namePrefix: "name", state: .canceled, tags: [("a", "x"), ("b", "x")])
            await #expect(throws: TaskStoreError.searchTooLong(.milliseconds(1))) {
                _ = try await store.page(slow, size: 2047, after: nil, for: .everyone)
            }
            // The connection is good for more, and other lists have no such limit.
            let whole = try await store.page(TaskFilter(), size: 2047, after: nil, for: .everyone)
            #expect(whole.tasks.count == 2047)
            let patient = StoreHarness.postgresStore(pool)
            let found = try await patient.page(slow, size: 2047, after: nil, for: .everyone)
            #expect(found.tasks.count == 2047)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func aPagesTasksComeInItsOrderInAnyView(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TaskID] = []
            for index in 0..<5 { ids.append(try await harness.create(TESTask(name: "\(index)", executors: []))) }
            let page = try await harness.store.page(TaskFilter(), size: 10, after: nil, for: .everyone)
            let minimal = try await harness.store.tasks(
                page.tasks[1...3], isContiguous: page.isContiguous, view: .minimal)
            #expect(minimal == ids[1...3].reversed().map { TESTask(id: $0.description, state: .queued) })
            let basic = try await harness.store.tasks(page.tasks[...], isContiguous: page.isContiguous, view: .basic)
            #expect(basic.map(\.name) == ["4", "3", "2", "1", "0"])
            #expect(basic.map(\.id) == ids.reversed().map(\.description))
            #expect(try await harness.store.tasks([], isContiguous: false, view: .full).isEmpty)
        }
    }
}
