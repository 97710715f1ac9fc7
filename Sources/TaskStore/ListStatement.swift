import Postgres
import TES
import TaskCore

/// The statement of one list page: a key range on the index that the filters allow, newest first.
struct ListStatement {
    let statement: Statement

    init(filter: TaskFilter, size: Int, after: TaskID?, owner: String) {
        var parameters: [PostgresValue] = []
        func parameter(_ value: PostgresValue, _ type: String) -> String {
            parameters.append(value)
            return "$\(parameters.count)::\(type)"
        }
        // The first tag's index gives the order; other filters are checked row by row.
        let leading = filter.tags.first == nil ? "s" : "g"
        var from = "poiesis.task_states s"
        var conditions = ["\(leading).owner = \(parameter(.text(owner), "text"))"]
        for (index, tag) in filter.tags.enumerated() {
            let alias = index == 0 ? "g" : "h"
            let key = parameter(.text(tag.key), "text")
            var match = ["\(alias).key = \(key)"]
            if let value = tag.value {
                let wanted = parameter(.text(value), "text")
                match.append("\(alias).value = \(wanted)")
                match.append(
                    "hashtextextended(\(alias).value, hashtextextended(\(alias).key, 0)) = hashtextextended(\(wanted), hashtextextended(\(key), 0))"
                )
            } else {
                match.append("hashtextextended(\(alias).key, 0) = hashtextextended(\(key), 0)")
            }
            if index == 0 {
                from = "poiesis.task_tags g JOIN poiesis.task_states s ON s.task_id = g.task_id"
                conditions += match
            } else {
                let inner = (["h.task_id = g.task_id"] + match).joined(separator: " AND ")
                conditions.append("EXISTS (SELECT FROM poiesis.task_tags h WHERE \(inner))")
            }
        }
        if let state = filter.state { conditions.append("s.state = \(parameter(.text(state.rawValue), "text"))") }
        if let prefix = filter.namePrefix {
            from += " JOIN poiesis.tasks t ON t.task_id = s.task_id"
            conditions.append("starts_with(t.name, \(parameter(.text(prefix), "text")))")
        }
        if let after { conditions.append("\(leading).task_id < \(parameter(.text(after.description), "uuid"))") }
        let limit = parameter(.integer(Int64(size)), "bigint")
        statement = Statement(
            "SELECT s.task_id, s.state FROM \(from) WHERE \(conditions.joined(separator: " AND ")) ORDER BY \(leading).task_id DESC LIMIT \(limit)",
            parameters)
    }
}
