import TES
import TaskCore
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
                let tasks = try await harness.store.tasks(page.tasks[...], view: .basic)
                #expect(
                    tasks.map { Array(($0.name ?? "").utf8) } == expected.reversed().map { Array($0.utf8) },
                    "prefix \(prefix)")
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
    func aPagesTasksComeInItsOrderInAnyView(_ kind: StoreKind) async throws {
        try await StoreHarness.with(kind) { harness in
            var ids: [TaskID] = []
            for index in 0..<5 { ids.append(try await harness.create(TESTask(name: "\(index)", executors: []))) }
            let page = try await harness.store.page(TaskFilter(), size: 10, after: nil, for: .everyone)
            let minimal = try await harness.store.tasks(page.tasks[1...3], view: .minimal)
            #expect(minimal == ids[1...3].reversed().map { TESTask(id: $0.description, state: .queued) })
            let basic = try await harness.store.tasks(page.tasks[...], view: .basic)
            #expect(basic.map(\.name) == ["4", "3", "2", "1", "0"])
            #expect(basic.map(\.id) == ids.reversed().map(\.description))
            #expect(try await harness.store.tasks([], view: .full).isEmpty)
        }
    }
}
