import Postgres
import TestServers
import Testing

@Suite("PostgreSQL values")
struct PostgresValueTests {
    private func row(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> RowReader {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: 1)
        do {
            let row = try #require(try await pool.run(sql, parameters).rows.first)
            await pool.close()
            return row
        } catch {
            await pool.close()
            throw error
        }
    }

    static let arrays: [[String]] = [
        [], [""], ["a"], ["a", ""], ["", "", ""], ["NULL", "null"], ["a,b", "{c}", "}", "{"],
        ["\"", "\\", "\\\"", "\"\"", "'"],
        [" a ", "\n", "\t"], ["é漢😀", "e\u{301}", "\u{1}\u{7F}"], (0..<1000).map { "item \($0)" },
    ]

    @Test(arguments: arrays)
    func arraysComeBackAsTheyWere(_ array: [String]) async throws {
        var row = try await row("SELECT $1::text[], cardinality($1::text[])", [.textArray(array)])
        #expect(try row.textArray() == array)
        #expect(try row.int32() == Int32(array.count))
    }

    static let maps: [[String: String]] = [
        [:], ["": ""], ["a": "b"], ["\"": "\\", "\\": "\""], ["a\nb": "\t\r\u{8}\u{C}\u{1}"],
        ["é漢😀": "\u{10FFFD}\u{F8FF}"],
        ["{": "}", ",": ":"], ["null": "null", "a b": " "],
        Dictionary(uniqueKeysWithValues: (0..<500).map { ("key \($0)", "\($0)") }),
    ]

    @Test(arguments: maps)
    func mapsComeBackAsTheyWere(_ map: [String: String]) async throws {
        var row = try await row("SELECT $1::jsonb, (SELECT count(*) FROM jsonb_object_keys($1::jsonb))", [.map(map)])
        #expect(try row.map() == map)
        #expect(try row.int64() == Int64(map.count))
    }

    static let written: [(String, [String: String])] = [
        (#"{"a": "\u00e9\ud83d\ude00"}"#, ["a": "é😀"]),
        (#"{"\u0061\/\b\f\n\r\t\\\"": "x"}"#, ["a/\u{8}\u{C}\n\r\t\\\"": "x"]),
        (#"{"a": "\ud83d\ude00\ud83d\ude00x"}"#, ["a": "😀😀x"]), (#"  {  "a" : "b" , "c":"d"}"#, ["a": "b", "c": "d"]),
        (#"{ }"#, [:]), ("{\n \"a\":\n \"b\"\n}", ["a": "b"]),
    ]

    @Test(arguments: written)
    func escapesOfJSONAreRead(_ text: String, _ map: [String: String]) async throws {
        // The type json, unlike jsonb, gives the text back as it was written.
        var row = try await row("SELECT $1::json", [.text(text)])
        #expect(try row.map() == map)
    }

    @Test(arguments: ["[]", "3", "null", "{\"a\": 1}", "{\"a\": null}", "{\"a\": {}}", "{\"a\": [\"b\"]}"])
    func otherJSONIsNoMap(_ text: String) async throws {
        var row = try await row("SELECT $1::json", [.text(text)])
        #expect(throws: PostgresError.self) { try row.map() }
    }

    @Test(arguments: ["ARRAY['a', NULL]", "ARRAY[['a'], ['b']]", "'[0:1]={a,b}'::text[]", "'text'::text"])
    func otherArraysAreNoListOfTexts(_ expression: String) async throws {
        var row = try await row("SELECT \(expression)")
        #expect(throws: PostgresError.self) { try row.textArray() }
    }

    @Test func nullsAreNil() async throws {
        var row = try await row(
            "SELECT $1::text, $2::bigint, $3::float8, $4::bool, $5::text[], $6::jsonb, NULL::int",
            [.text(nil), .integer(nil), .double(nil), .boolean(nil), .textArray(nil), .map(nil)])
        #expect(try row.text() == nil && row.int64() == nil && row.double() == nil && row.boolean() == nil)
        #expect(try row.textArray() == nil && row.map() == nil && row.int32() == nil)
    }

    @Test(arguments: [0, 0.1, -1.5, 1e300, 2.225_073_858_507_201_4e-308, 1e9, 123_456_789.123_456_78])
    func doublesKeepEveryDigit(_ value: Double) async throws {
        var row = try await row("SELECT $1::float8", [.double(value)])
        #expect(try row.double() == value)
    }

    @Test(arguments: [Int64.min, -1, 0, .max])
    func integersKeepTheirRange(_ value: Int64) async throws {
        var row = try await row("SELECT $1::bigint", [.integer(value)])
        #expect(try row.int64() == value)
    }

    @Test func otherTypesAndMissingColumnsAreErrors() async throws {
        let row = try await row("SELECT 'x', 't'")
        var (number, boolean, short) = (row, row, row)
        #expect(throws: PostgresError.self) { try number.int64() }
        #expect(throws: PostgresError.self) { try boolean.boolean() }
        #expect(try short.key() == "x" && short.key() == "t")
        #expect(throws: PostgresError.self) { try short.text() }
        var null = try await self.row("SELECT NULL")
        #expect(throws: PostgresError.self) { try null.key() }
    }

    /// Each reader, and an expression of a type that is not its own.
    static let mismatches: [(String, @Sendable (inout RowReader) throws -> Void)] = [
        ("1::bigint", { _ = try $0.text() }), ("now()", { _ = try $0.text() }), ("'1'::text", { _ = try $0.int64() }),
        ("1::numeric", { _ = try $0.int64() }), ("2147483648::bigint", { _ = try $0.int32() }),
        ("1::real", { _ = try $0.double() }), ("1::bigint", { _ = try $0.boolean() }),
        ("now()::timestamp", { _ = try $0.microseconds() }), ("1::bigint", { _ = try $0.microseconds() }),
        ("'x'::text", { _ = try $0.uuid() }), ("ARRAY[1]", { _ = try $0.textArray() }),
        ("'{}'::text", { _ = try $0.map() }),
    ]

    @Test(arguments: mismatches.indices)
    func aValueOfAnotherTypeIsAnError(_ index: Int) async throws {
        var row = try await row("SELECT \(Self.mismatches[index].0)")
        #expect(throws: PostgresError.self) { try Self.mismatches[index].1(&row) }
    }

    @Test func integersOfEachSizeAreRead() async throws {
        var row = try await row("SELECT (-7)::smallint, (-70000)::integer, (-7000000000)::bigint, (-7)::smallint")
        #expect(try row.int64() == -7 && row.int64() == -70000 && row.int64() == -7_000_000_000 && row.int32() == -7)
    }

    @Test(arguments: ["", "text", "é漢😀\u{1}", String(repeating: "long ", count: 100_000)])
    func textsOfEachTypeAreRead(_ text: String) async throws {
        var row = try await row("SELECT $1::text, $1::varchar, to_json($1::text)", [.text(text)])
        #expect(try row.text() == text && row.text() == text)
        #expect(try row.text()?.isEmpty == false)
    }

    @Test(arguments: [0, 1, -1, 946_684_800_000_000, 1_763_741_234_567_891, -62_135_596_800_000_000])
    func timesAreMicrosecondsSince1970(_ microseconds: Int64) async throws {
        var row = try await row(
            "SELECT 'epoch'::timestamptz + $1::bigint * interval '1 microsecond'", [.integer(microseconds)])
        #expect(try row.microseconds() == microseconds)
    }

    @Test(arguments: ["infinity", "-infinity"])
    func infiniteTimesAreErrors(_ time: String) async throws {
        var row = try await row("SELECT '\(time)'::timestamptz")
        #expect(throws: PostgresError.self) { try row.microseconds() }
    }

    @Test func uuidsAreReadAsNumbersAndAsText() async throws {
        let text = "0123abcd-4567-89ef-fedc-ba9876543210"
        var row = try await row("SELECT $1::uuid, $1::uuid, $1::uuid", [.text(text)])
        #expect(try row.text() == text && row.key() == text)
        #expect(try row.uuid() ?? (0, 0) == (0x0123_ABCD_4567_89EF, 0xFEDC_BA98_7654_3210))
    }

    @Test func keysMayBeNumbers() async throws {
        var row = try await row("SELECT 7::integer, (-8)::bigint, 'x'::text")
        row.skip(1)
        #expect(try row.key() == "-8" && row.key() == "x")
    }

    @Test func rowsOutliveTheirConnection() async throws {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: 1)
        let rows = try await pool.run("SELECT n, repeat('x', n) FROM generate_series(1, 1000) n").rows
        await pool.close()
        #expect(rows.count == 1000)
        for (index, row) in rows.enumerated() {
            var row = row
            #expect(try row.int32() == Int32(index + 1) && row.text()?.utf8.count == index + 1)
        }
    }

    @Test func childrenAreHandedOutParentByParent() async throws {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: 1)
        let parents = try await pool.run("SELECT n FROM generate_series(1, 4) n")
        // Of 1 none, of 2 two, of 3 none, of 4 one.
        let found = try await pool.run("SELECT * FROM (VALUES (2, 0, 'a'), (2, 1, 'b'), (4, 0, 'c')) x")
        var children = ChildRows(found)
        var seen: [[String]] = []
        for parent in parents.rows {
            var own: [String] = []
            while var child = children.next(of: parent, keys: 1) {
                child.skip(2)
                own.append(try child.text() ?? "")
            }
            seen.append(own)
        }
        #expect(seen == [[], ["a", "b"], [], ["c"]])
        try children.finish()
        var orphans = ChildRows(found)
        if orphans.next(of: parents.rows[0], keys: 1) != nil { Issue.record("the first parent has a child") }
        #expect(throws: PostgresError.self) { try orphans.finish() }
        await pool.close()
    }

    @Test func affectedRowsAreCounted() async throws {
        let pool = PostgresPool(url: try PostgresCluster.shared.get().url(), connections: 1)
        let results = try await pool.run([
            Statement("CREATE TEMP TABLE counted (n integer)"),
            Statement("INSERT INTO counted SELECT generate_series(1, 5)"), Statement("DELETE FROM counted WHERE n > 2"),
        ])
        #expect(results.map(\.affectedRows) == [0, 5, 3])
        await pool.close()
    }
}
