"""What PostgreSQL says of the schema `poiesis`: two databases with the same answers have the same schema, columns' order aside."""

_QUERIES = {
    "columns": """
        SELECT table_name, column_name, data_type, udt_name, character_maximum_length, numeric_precision, datetime_precision,
            is_nullable, column_default, is_identity, identity_generation, is_generated, collation_name
        FROM information_schema.columns WHERE table_schema = 'poiesis'""",
    "constraints": """
        SELECT r.relname, c.conname, c.contype::text, c.convalidated, c.condeferrable, pg_get_constraintdef(c.oid)
        FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid WHERE c.connamespace = 'poiesis'::regnamespace""",
    "indexes": """
        SELECT r.relname, i.relname, pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisunique, x.indisprimary
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class r ON r.oid = x.indrelid
        WHERE i.relnamespace = 'poiesis'::regnamespace""",
    "relations": """
        SELECT relname, relkind::text, relpersistence::text, (SELECT array_agg(o ORDER BY o) FROM unnest(reloptions) o),
            obj_description(oid, 'pg_class')
        FROM pg_class WHERE relnamespace = 'poiesis'::regnamespace""",
    "triggers": """
        SELECT r.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
        WHERE r.relnamespace = 'poiesis'::regnamespace AND NOT t.tgisinternal""",
}

_FUNCTIONS = """
    SELECT proname, pg_get_functiondef(oid), proacl::text FROM pg_proc WHERE pronamespace = 'poiesis'::regnamespace"""


def catalogue(connection, functions=False):
    """A set of rows, each led by where it comes from."""
    queries = _QUERIES | ({"functions": _FUNCTIONS} if functions else {})
    rows = {(name, *map(repr, row)) for name, query in queries.items() for row in connection.execute(query).fetchall()}
    # Serial numbers of sequences' and constraints' own making are no part of it; that anything was found at all is.
    assert {name for name, *_ in rows} >= {"columns", "constraints", "indexes", "relations"}, "the schema is missing"
    return rows
