import Postgres
import TES
import TaskCore

/// The statement of one list page, newest first.
///
/// Without filters, by state, by a tag's key or by one tag an index holds just the matches, in the list's order: a page
/// costs what a page holds. With other filters PostgreSQL chooses among several ways, each of which may read much more;
/// docs/decisions/0005-lists.md.
struct ListStatement {
    let statement: Statement
    /// Whether an index holds the matches in order.
    let isOrdered: Bool

    init(filter: TaskFilter, size: Int, after: TaskID?, owner: String) {
        isOrdered = filter.namePrefix == nil && (filter.tags.isEmpty || filter.tags.count == 1 && filter.state == nil)
        var conditions = Conditions(owner: owner, after: after)
        let columns: String
        if isOrdered, let tag = filter.tags.first {
            // The state is looked up for the page's rows alone: a join might be done by merging the matches with all tasks.
            columns = "g.task_id, (SELECT s.state FROM poiesis.task_states s WHERE s.task_id = g.task_id)"
            conditions.add("poiesis.task_tags", "g")
            conditions.match(tag, "g")
        } else {
            columns = "s.task_id, s.state"
            conditions.add("poiesis.task_states", "s")
            if let state = filter.state { conditions.match(state, "s") }
            for (index, tag) in filter.tags.enumerated() {
                conditions.add("poiesis.task_tags", "g\(index)")
                conditions.match(tag, "g\(index)")
            }
            if let prefix = filter.namePrefix {
                conditions.add("poiesis.tasks", "t")
                conditions.match(prefix: prefix, "t")
            }
        }
        let limit = conditions.parameter(.integer(Int64(size)), "bigint")
        let order = "ORDER BY \(conditions.leading).task_id DESC LIMIT \(limit)"
        statement = Statement("SELECT \(columns) FROM \(conditions.text) \(order)", conditions.parameters)
    }

    /// The id of the last of so many tasks, whosever they are.
    static func edge(size: Int, after: TaskID?) -> Statement {
        let before = after == nil ? "" : "WHERE task_id < $2::uuid "
        return Statement(
            "SELECT task_id FROM poiesis.task_states \(before)ORDER BY task_id DESC OFFSET $1::bigint - 1 LIMIT 1",
            [.integer(Int64(size))] + (after.map { [.text($0.description)] } ?? []))
    }
}

/// Tables that a list looks into, and what has to hold of them.
private struct Conditions {
    private(set) var parameters: [PostgresValue] = []
    /// The first table's alias.
    private(set) var leading = ""
    private var tables: [String] = []
    private var conditions: [String] = []
    private let owner: String
    private var after: String?

    /// Characters of a name that its index holds; spec/persistence.yaml.
    private static let indexedName = 64

    init(owner: String, after: TaskID?) {
        parameters = [.text(owner)]
        self.owner = "$1::text"
        if let after { self.after = parameter(.text(after.description), "uuid") }
    }

    /// What stands after FROM.
    var text: String { "\(tables.joined(separator: ", ")) WHERE \(conditions.joined(separator: " AND "))" }

    mutating func parameter(_ value: PostgresValue, _ type: String) -> String {
        parameters.append(value)
        return "$\(parameters.count)::\(type)"
    }

    /// Owner and place in the list are said of every table: PostgreSQL may start from any of them.
    mutating func add(_ table: String, _ alias: String) {
        tables.append("\(table) \(alias)")
        conditions.append("\(alias).owner = \(owner)")
        if let after { conditions.append("\(alias).task_id < \(after)") }
        if leading.isEmpty { leading = alias } else { conditions.append("\(alias).task_id = \(leading).task_id") }
    }

    mutating func match(_ state: TESState, _ alias: String) {
        conditions.append("\(alias).state = \(parameter(.text(state.rawValue), "text"))")
    }

    mutating func match(_ tag: (key: String, value: String?), _ alias: String) {
        let key = parameter(.text(tag.key), "text")
        let keyHash = "hashtextextended(\(key), 0)"
        if let value = tag.value.map({ parameter(.text($0), "text") }) {
            conditions.append(
                "hashtextextended(\(alias).value, hashtextextended(\(alias).key, 0)) = hashtextextended(\(value), \(keyHash))"
            )
            conditions.append(Self.recheck("\(alias).key = \(key) AND \(alias).value = \(value)"))
        } else {
            conditions.append("hashtextextended(\(alias).key, 0) = \(keyHash)")
            conditions.append(Self.recheck("\(alias).key = \(key)"))
        }
    }

    mutating func match(prefix: String, _ alias: String) {
        let indexed = String(String.UnicodeScalarView(prefix.unicodeScalars.prefix(Self.indexedName)))
        let name = "left(\(alias).name, \(Self.indexedName)) COLLATE \"C\""
        conditions.append("\(name) >= \(parameter(.text(indexed), "text"))")
        if let end = Self.successor(indexed) { conditions.append("\(name) < \(parameter(.text(end), "text"))") }
        if indexed.utf8.count < prefix.utf8.count {
            conditions.append(Self.recheck("starts_with(\(alias).name, \(parameter(.text(prefix), "text")))"))
        }
    }

    /// What an index found by hash or by a part, compared in full. PostgreSQL would take it for one more, independent filter
    /// and underestimate the matches; it does not look into `coalesce`.
    private static func recheck(_ condition: String) -> String { "coalesce(\(condition), false)" }

    /// The least text above all that start with a prefix, in the order of code points; nil where there is none.
    private static func successor(_ prefix: String) -> String? {
        var scalars = Array(prefix.unicodeScalars)
        while let last = scalars.popLast() {
            // There is none above the last code point; those after U+D7FF are surrogates.
            guard let next = Unicode.Scalar(last.value == 0xD7FF ? 0xE000 : last.value + 1) else { continue }
            scalars.append(next)
            return String(String.UnicodeScalarView(scalars))
        }
        return nil
    }
}
