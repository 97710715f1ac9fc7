import Migrations
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// Files of migrations: how they are read, refused, drafted and rendered.
@Suite struct MigrationTests {
    private static func migration(_ text: String, path: String = "spec/migrations/0003-more.sql") throws -> Migration {
        try Migration(path: path, text: text)
    }

    @Test func stepsAreSortedByTheirPhase() throws {
        let migration = try Self.migration(
            """
            -- What it is for.

            -- expand: one
            ALTER TABLE a ADD COLUMN b text;

            -- contract: another
            ALTER TABLE a DROP COLUMN c;
            UPDATE a SET b = 'x' WHERE b IS NULL;
            -- expand: a third
            CREATE INDEX i ON a (b);
            """)
        #expect(migration.version == 3 && migration.name == "more" && !migration.stopsOlderPrograms)
        #expect(migration.expand == ["ALTER TABLE a ADD COLUMN b text", "CREATE INDEX i ON a (b)"])
        #expect(
            migration.contract == ["ALTER TABLE a DROP COLUMN c", "UPDATE a SET b = 'x' WHERE b IS NULL"])
        #expect(migration.fileName == "0003-more.sql")
    }

    @Test(arguments: [
        "SELECT 'a;b'", "SELECT 'it''s; so'", "SELECT E'\\';'", "SELECT \";\"", "SELECT $$ ; -- no comment $$",
        "SELECT $tag$ $$;$$ $tag$", "SELECT 1 /* ; /* ; */ ; */ + 2", "SELECT a$1 FROM b", "SELECT 'é;'", "SELECT $1",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT 1; SELECT 2; $$", "SELECT 1 -- ; and more\n + 2",
    ])
    func aStatementEndsAtItsOwnSemicolon(_ sql: String) throws {
        let migration = try Self.migration("-- expand: x\n\(sql);\n\n  SELECT 2 ;\n")
        #expect(migration.expand == [sql, "SELECT 2"])
    }

    @Test(arguments: [
        ("SELECT 1;", 1, "no comment"), ("-- expand: x\nSELECT 1", 2, "does not end with ;"),
        ("-- expand: x\nSELECT 'a;", 2, "never closed"), ("-- expand: x\nSELECT $$ ;", 2, "never closed"),
        ("-- expand: x\nSELECT 1\n-- contract: y\nSELECT 2;", 3, "does not end with ;"),
        ("-- expand: x\n\nBEGIN;", 3, "BEGIN has no place"), ("-- expand: x\ncommit;", 2, "COMMIT has no place"),
        ("-- expand: x\nCREATE INDEX CONCURRENTLY i ON a (b);", 2, "CONCURRENTLY has no place"),
        ("-- expand: x\n-- review: which value?\nSELECT 1;", 2, "to be reviewed: which value?"),
    ])
    func whatIsWrongIsNamedWithItsLine(_ text: String, _ line: Int, _ message: String) {
        let error = #expect(throws: MigrationError.self) { try Self.migration(text) }
        #expect(error?.line == line)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
        #expect(error?.file == "spec/migrations/0003-more.sql")
    }

    @Test(arguments: ["more.sql", "0003.sql", "0003-.sql", "x-more.sql", "0001-more.sql", "0003-more.txt"])
    func aFileHasANumberAndAName(_ file: String) {
        #expect(throws: MigrationError.self) { try Self.migration("", path: "spec/migrations/\(file)") }
    }

    /// A carriage return ends a comment for PostgreSQL.
    @Test func aNameOfTheDocumentStaysInItsCommentAndItsQuotationMarks() throws {
        let name = "a\rDROP TABLE jobs;\n-- b\u{2028}"
        func input(_ properties: String) throws -> GeneratorPipeline.Input {
            let document = """
                openapi: 3.0.1
                info: {title: Jobs, version: 1.0.0}
                components: {schemas: {Job: {type: object, properties: {\(properties)}}}}
                """
            let tables = "tables: [{name: jobs, schema: Job, key: {name: job, type: uuid}}]"
            return .init(
                document: "spec.yaml", files: ["spec.yaml": try parseYAML(document, file: "spec.yaml")],
                persistence: try parseYAML(tables, file: "persistence.yaml"))
        }
        let report = try GeneratorPipeline().difference(
            from: try input("b: {type: string}"),
            to: try input(#"b: {type: string}, "a\rDROP TABLE jobs;\n-- b\L": {type: string}"#))
        #expect(report.changes.count == 1)
        #expect(!report.text.contains("\r"))
        let draft = try #require(report.draft?.file(title: "One\rDROP TABLE jobs;"))
        #expect(draft.split(whereSeparator: \.isNewline).first == "-- One DROP TABLE jobs;")
        let migration = try Self.migration(draft)
        let column = "\"" + name.lowercased() + "\""
        #expect(migration.expand == ["ALTER TABLE public.jobs ADD COLUMN \(column) text"])
        #expect(migration.contract.isEmpty)
        #expect(!draft.replacing(column, with: "").contains("\r"))
    }

    @Test func aHistoryHasNoGaps() throws {
        let files = ["0004-c.sql", "0002-a.sql", "0003-b.sql"].map { (path: $0, text: "") }
        #expect(try MigrationHistory(files: files).migrations.map(\.name) == ["a", "b", "c"])
        #expect(throws: MigrationError.self) { try MigrationHistory(files: [files[0], files[1]]) }
        #expect(throws: MigrationError.self) {
            try MigrationHistory(files: [files[1], (path: "0002-other.sql", text: "")])
        }
    }

    @Test(arguments: [
        ("-- expand: x\nSELECT 1;", 2, 2), ("-- contract: x\nSELECT 1;", 2, 3),
        ("-- older programs: stop\n-- expand: x\nSELECT 1;", 3, 3),
    ])
    func itSaysWhichProgramsItServes(_ text: String, _ afterExpand: Int, _ afterContract: Int) throws {
        let migration = try Self.migration(text)
        #expect(migration.servesFrom(after: .expand) == afterExpand)
        #expect(migration.servesFrom(after: .contract) == afterContract)
    }

    // MARK: Drafts

    private static func report(_ actions: String) throws -> DifferenceReport {
        let before = try ProjectSpecificationTests.input()
        var after = before
        let document = ProjectSpecificationTests.document
        after.files[document] = try Overlay(
            try parseYAML("overlay: 1.0.0\nactions: [\(actions)]\n", file: "mutation.yaml")
        ).apply(to: try #require(before.files[document]))
        return try GeneratorPipeline().difference(from: before, to: after)
    }

    private static func update(_ schema: String, _ update: String) -> String {
        "{target: \"$.components.schemas.\(schema)\", update: \(update)}"
    }

    /// A draft is a file that is read back with the same steps, once its reviews are done.
    @Test func aDraftIsAMigration() throws {
        let draft = try #require(
            try Self.report(
                Self.update("tesTask.properties", "{priority: {type: integer}}") + ", "
                    + Self.update("tesState.enum", "[PARKED]") + ", "
                    + Self.update("tesInput", "{required: [mode], properties: {mode: {type: string}}}")
            ).draft)
        let text = try #require(draft.file(title: "A draft."))
        let error = #expect(throws: MigrationError.self) { try Self.migration(text) }
        #expect(error?.message.contains("UPDATE poiesis.task_inputs SET mode = … WHERE mode IS NULL") == true)
        let reviewed = text.split(separator: "\n").filter { !$0.hasPrefix("-- review:") }.joined(separator: "\n")
        let migration = try Self.migration(reviewed)
        #expect(migration.expand == draft.steps.filter { $0.phase == .expand }.map(\.sql))
        #expect(migration.contract == draft.steps.filter { $0.phase == .contract }.map(\.sql))
        #expect(migration.contract == ["ALTER TABLE poiesis.task_inputs ALTER COLUMN mode SET NOT NULL"])
        #expect(!migration.stopsOlderPrograms)
    }

    @Test(arguments: [
        // Wider: both programs work on.
        ("tesResources.properties.cpu_cores", "{format: int64}", "expand", false, false),
        ("tesFileType.enum", "[SOCKET]", "expand", false, false),
        // What no older program can read.
        ("tesTask.properties.name", "{type: integer, format: int32}", "expand", true, true),
        ("tesTask.properties.name", "{type: boolean}", "expand", true, true),
        // What rows may not fulfil.
        ("tesTask.required", "[name]", "contract", true, false),
        ("tesExecutor.properties.stdin", "{enum: [/dev/null]}", "contract", true, false),
    ])
    func aStepComesWhenItsProgramsCanBear(
        _ schema: String, _ update: String, _ phase: String, _ needsReview: Bool, _ stops: Bool
    ) throws {
        let draft = try #require(try Self.report(Self.update(schema, update)).draft)
        #expect(!draft.steps.isEmpty)
        for step in draft.steps {
            #expect(step.phase.rawValue == phase, "\(step.sql)")
            #expect((step.review != nil) == needsReview, "\(step.sql)")
        }
        #expect(draft.stopsOlderPrograms == stops)
        #expect(draft.file(title: "x")?.contains("-- older programs: stop\n") == stops)
    }

    @Test func anUnchangedSpecificationNeedsNoFile() throws {
        let input = try ProjectSpecificationTests.input()
        #expect(try GeneratorPipeline().difference(from: input, to: input).draft?.file(title: "x") == nil)
    }

    @Test func theReportSaysWhatItMeansForTheCode() throws {
        let report = try Self.report(
            Self.update("tesTask.properties", "{priority: {type: integer, format: int32}}") + ", "
                + Self.update("tesState.enum", "[PARKED]") + ", "
                + Self.update("tesResources.properties.cpu_cores", "{format: int64}") + ", "
                + Self.update("tesOutput.properties", "{path_prefix: {type: boolean}}")
                + ", {target: \"$.paths['/tasks/{id}:cancel']\", remove: true}"
                + ", {target: \"$.paths['/tasks']\", update: {delete: {operationId: DeleteTasks, responses: {200: {content: {application/json: {schema: {$ref: '#/components/schemas/tesCancelTaskResponse'}}}}}}}}"
        )
        for line in [
            "TESTask.priority: Int32? is new", "TESState.parked is new",
            "TESResources.cpuCores was Int32? and is Int64?",
            "TESOutput.pathPrefix was String? and is Bool?", "cancelTask is gone", "DELETE /tasks is left to its stub",
        ] {
            #expect(report.code.contains { $0.contains(line) }, "\(line) is not in \(report.code)")
        }
        #expect(report.text.contains("\nfor the code:\n") && report.text.contains("\nfor the tables:\n"))
    }

    // MARK: Generated code

    @Test func migrationsBecomeConstants() throws {
        var input = try ProjectSpecificationTests.input()
        input.migrations = [("0002-one.sql", "-- expand: x\nSELECT 'a\\n', \"b\";\n-- contract: y\nSELECT 2;")]
        let files = try GeneratorPipeline().generate(.store, from: input)
        let text = try #require(files.first { $0.name == "Migrations.swift" }).text
        #expect(text.contains(#"version: 2, name: "one", stopsOlderPrograms: false,"#))
        #expect(text.contains(#""SELECT 'a\\n', \"b\"","#) && text.contains(#""SELECT 2","#))
        input.migrations = [("spec/0002-one.sql", "-- expand: x\n\nSELECT 1")]
        let error = #expect(throws: Diagnostics.self) { try GeneratorPipeline().generate(.store, from: input) }
        #expect(error?.description.hasPrefix("spec/0002-one.sql:3:1: error: ") == true)
    }
}
