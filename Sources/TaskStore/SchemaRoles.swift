package import Postgres

/// Roles of the database for programs that should not own its schema.
///
/// Whoever owns the schema gives them their rights; once it has, ``SchemaSetup`` does so again after each change of the schema.
package enum SchemaRoles {
    /// What the roles are called. ``recorder`` runs beside programs of users: it calls two functions, and reads and writes no table.
    package static let names = [api, controller, recorder]

    private static let api = "poiesis_api"
    private static let controller = "poiesis_tctl"
    private static let recorder = "poiesis_recorder"

    /// Makes the roles that are missing, and gives all of them their rights. A new role may log in, but has no password yet.
    package static let statements: [String] =
        names.map { name in
            """
            DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '\(name)') THEN CREATE ROLE \(name) LOGIN; END IF;
            END $$
            """
        } + grants

    /// Carries ``statements`` out, all or none.
    package static func make(_ pool: PostgresPool) async throws(PostgresError) {
        _ = try await pool.run(statements.map { Statement($0) })
    }

    /// Gives the rights again where the roles have had them in this database.
    static let renewal = """
        DO $$ BEGIN
            IF (SELECT count(*) FROM pg_roles WHERE rolname IN (\(names.map { "'\($0)'" }.joined(separator: ", ")))
                    AND has_schema_privilege(rolname, 'poiesis', 'USAGE')) = \(names.count) THEN
                \(grants.map { $0 + ";" }.joined(separator: "\n        "))
            END IF;
        END $$
        """

    /// Each may be given again without harm.
    private static let grants: [String] = [
        "GRANT USAGE ON SCHEMA poiesis TO \(names.joined(separator: ", "))",
        "GRANT SELECT ON ALL TABLES IN SCHEMA poiesis TO \(api), \(controller)",
        """
        GRANT INSERT ON poiesis.tasks, poiesis.task_tags, poiesis.task_inputs, poiesis.task_outputs, poiesis.task_executors, \
        poiesis.task_states, poiesis.task_events TO \(api)
        """,
        "GRANT INSERT, UPDATE, DELETE ON poiesis.idempotency_keys TO \(api)",
        "GRANT DELETE ON poiesis.idempotency_keys, poiesis.submissions TO \(controller)",
        execute("cancel_v1(uuid, text)", [api, controller]),
        execute("count_states_v1()", [api, controller]),
        execute("submit_v1(uuid, text)", [controller]),
        execute("claim_submission_v1(uuid, integer, text, text, jsonb, integer)", [controller, recorder]),
        execute("record_v1(uuid, integer, text, jsonb)", [controller, recorder]),
    ]

    private static func execute(_ function: String, _ roles: [String]) -> String {
        "GRANT EXECUTE ON FUNCTION poiesis.\(function) TO \(roles.joined(separator: ", "))"
    }
}
