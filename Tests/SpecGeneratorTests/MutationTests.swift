import Foundation
import SpecDocument
import SpecGenerator
import Testing
import YAML

/// Single facts of the project's specification, changed one at a time: each is seen in the difference report, and in the
/// code and the tables where it matters there.
@Suite struct MutationTests {
    struct Mutation: Sendable, CustomTestStringConvertible {
        /// Actions of an overlay that make what is changed, where the document has no such thing.
        var given = ""
        /// Actions of an overlay that make the change.
        var actions: String
        var weight: SpecChange.Weight
        /// Part of the line in the report.
        var report: String
        /// Generated files that have to change.
        var seenIn: [String]
        /// Part of the migration's draft; empty where the tables stay.
        var migration = ""

        var testDescription: String { given.isEmpty ? actions : "\(given); \(actions)" }
    }

    private static let schemas = "$.components.schemas"
    private static let types = ["Types.swift", "JSON.swift"]
    private static let everywhere = ["Types.swift", "JSON.swift", "Statements.swift", "schema.sql"]

    private static func update(_ target: String, _ update: String) -> String {
        "{target: \"\(target)\", update: \(update)}"
    }
    private static func remove(_ target: String) -> String { "{target: \"\(target)\", remove: true}" }

    static let mutations: [Mutation] = [
        // Types and formats
        .init(
            actions: update("\(schemas).tesExecutor.properties.workdir", "{type: boolean}"), weight: .breaking,
            report: "workdir: the type was string and is boolean", seenIn: everywhere,
            migration: "ALTER COLUMN workdir TYPE boolean"),
        .init(
            actions: update("\(schemas).tesTask.properties.name", "{type: integer, format: int32}"), weight: .breaking,
            report: "name: the type was string and is integer", seenIn: everywhere,
            migration: "ALTER COLUMN name TYPE integer"),
        .init(
            actions: update("\(schemas).tesInput.properties.streamable", "{type: string}"), weight: .breaking,
            report: "streamable: the type was boolean and is string", seenIn: everywhere,
            migration: "ALTER COLUMN streamable TYPE text"),
        .init(
            actions: update("\(schemas).tesResources.properties.cpu_cores", "{format: int64}"), weight: .breaking,
            report: "cpu_cores: the format was int32 and is int64", seenIn: ["Types.swift", "schema.sql"],
            migration: "ALTER COLUMN resources_cpu_cores TYPE bigint"),
        .init(
            actions: update("\(schemas).tesResources.properties.ram_gb", "{type: integer, format: int64}"),
            weight: .breaking, report: "ram_gb: the type was number and is integer", seenIn: everywhere,
            migration: "ALTER COLUMN resources_ram_gb TYPE bigint"),
        .init(
            actions: update("\(schemas).tesOutputFileLog.properties.size_bytes", "{format: date-time}"),
            weight: .breaking, report: "size_bytes: the format was int64 and is date-time", seenIn: everywhere,
            migration: "ALTER COLUMN size_bytes TYPE timestamptz"),
        .init(
            actions: update("\(schemas).tesExecutorLog.properties.exit_code", "{format: int64}"), weight: .breaking,
            report: "exit_code: the format was int32 and is int64", seenIn: ["Types.swift", "schema.sql"],
            migration: "ALTER COLUMN exit_code TYPE bigint"),
        .init(
            actions: remove("\(schemas).tesTask.properties.resources['$ref']")
                + ", "
                + update("\(schemas).tesTask.properties.resources", "{$ref: '#/components/schemas/tesExecutor'}"),
            weight: .breaking, report: "resources: the schema was tesResources and is tesExecutor",
            seenIn: ["Types.swift"]),
        // Required
        .init(
            actions: update("\(schemas).tesTask.required", "[name]"), weight: .breaking,
            report: "name: the property is required now", seenIn: ["Types.swift", "JSON.swift", "schema.sql"],
            migration: "ALTER COLUMN name SET NOT NULL"),
        .init(
            actions: update("\(schemas).tesInput.required", "[url]"), weight: .breaking,
            report: "url: the property is required now", seenIn: ["Types.swift", "schema.sql"],
            migration: "ALTER COLUMN url SET NOT NULL"),
        .init(
            actions: remove("\(schemas).tesExecutorLog.required"), weight: .breaking,
            report: "exit_code: the property may be missing now", seenIn: everywhere,
            migration: "ALTER COLUMN exit_code DROP NOT NULL"),
        .init(
            actions: remove("\(schemas).tesOutput.required[?@ == 'url']"), weight: .breaking,
            report: "url: the property may be missing now", seenIn: ["Types.swift", "JSON.swift", "schema.sql"],
            migration: "ALTER COLUMN url DROP NOT NULL"),
        .init(
            actions: update("\(schemas).tesExecutorLog.required", "[stdout]"), weight: .compatible,
            report: "stdout: the property is required now", seenIn: ["Types.swift", "schema.sql"],
            migration: "ALTER COLUMN stdout SET NOT NULL"),
        .init(
            actions: remove("\(schemas).tesCreateTaskResponse.required"), weight: .breaking,
            report: "id: the property may be missing now", seenIn: types),
        // Enumerations
        .init(
            actions: update("\(schemas).tesState.enum", "[PARKED]"), weight: .breaking,
            report: "tesState: the value PARKED is new", seenIn: ["Types.swift", "schema.sql"],
            migration: "'CANCELING', 'PARKED'"),
        .init(
            actions: remove("\(schemas).tesState.enum[?@ == 'PAUSED']"), weight: .breaking,
            report: "tesState: the value PAUSED is gone", seenIn: ["Types.swift", "schema.sql"],
            migration: "DROP CONSTRAINT task_states_state_check"),
        .init(
            actions: update("\(schemas).tesFileType.enum", "[SOCKET]"), weight: .breaking,
            report: "tesFileType: the value SOCKET is new", seenIn: ["Types.swift", "schema.sql"],
            migration: "'DIRECTORY', 'SOCKET'"),
        .init(
            actions: remove("\(schemas).tesFileType.enum[?@ == 'DIRECTORY']"), weight: .breaking,
            report: "tesFileType: the value DIRECTORY is gone", seenIn: ["Types.swift", "schema.sql"],
            migration: "task_inputs_type_check"),
        .init(
            actions: update("$.components.parameters.view.schema.enum", "[TINY]"), weight: .compatible,
            report: "the value TINY is new", seenIn: ["Types.swift"]),
        .init(
            actions: update("\(schemas).tesExecutor.properties.stdin", "{enum: [/dev/null]}"), weight: .breaking,
            report: "stdin: only /dev/null are allowed now", seenIn: ["Types.swift", "schema.sql"],
            migration: "task_executors_stdin_check"),
        // Defaults
        .init(
            actions: update("\(schemas).tesFileType", "{default: DIRECTORY}"), weight: .breaking,
            report: "tesFileType: the default was FILE and is DIRECTORY", seenIn: ["JSON.swift"]),
        .init(
            actions: update("$.components.parameters.view.schema", "{default: FULL}"), weight: .breaking,
            report: "the default was MINIMAL and is FULL", seenIn: ["Operations.swift"]),
        .init(
            actions: update("\(schemas).tesResources.properties.preemptible", "{default: true}"), weight: .breaking,
            report: "preemptible: the default was none and is true", seenIn: []),
        // Bounds and read-only
        .init(
            actions: update("\(schemas).tesTask.properties.name", "{maxLength: 20}"), weight: .breaking,
            report: "name: maxLength was not given and is 20.0", seenIn: ["Validation.swift"]),
        .init(
            actions: update("\(schemas).tesTask.properties.inputs", "{minItems: 1}"), weight: .breaking,
            report: "inputs: minItems was not given and is 1.0", seenIn: ["Validation.swift"]),
        .init(
            actions: update("\(schemas).tesTask.properties.name", "{readOnly: true}"), weight: .breaking,
            report: "name: only the server sets it now", seenIn: ["JSON.swift"]),
        .init(
            actions: remove("\(schemas).tesTask.properties.id.readOnly"), weight: .compatible,
            report: "id: clients may set it now", seenIn: ["JSON.swift"]),
        // Patterns
        .init(
            actions: update("\(schemas).tesTask.properties.name", "{pattern: '^[a-z]+$'}"), weight: .breaking,
            report: "name: the pattern ^[a-z]+$ is new", seenIn: ["Validation.swift"]),
        .init(
            actions: update("\(schemas).tesExecutorLog.properties.stdout", "{pattern: a}"), weight: .compatible,
            report: "stdout: the pattern a is new", seenIn: []),
        .init(
            given: update("\(schemas).tesTask.properties.name", "{pattern: '^[a-z]+$'}"),
            actions: update("\(schemas).tesTask.properties.name", "{pattern: '^[a-z]*$'}"), weight: .breaking,
            report: "name: the pattern was ^[a-z]+$ and is ^[a-z]*$", seenIn: ["Validation.swift"]),
        .init(
            given: update("\(schemas).tesExecutorLog.properties.stdout", "{pattern: a}"),
            actions: update("\(schemas).tesExecutorLog.properties.stdout", "{pattern: ab}"), weight: .breaking,
            report: "stdout: the pattern was a and is ab", seenIn: []),
        .init(
            given: update("\(schemas).tesExecutorLog.properties.stdout", "{pattern: a}"),
            actions: remove("\(schemas).tesExecutorLog.properties.stdout.pattern"), weight: .breaking,
            report: "stdout: the pattern a is gone", seenIn: []),
        .init(
            given: update("$.paths['/tasks'].get.parameters[?@.name == 'name_prefix'].schema", "{pattern: a}"),
            actions: remove("$.paths['/tasks'].get.parameters[?@.name == 'name_prefix'].schema.pattern"),
            weight: .compatible, report: "name_prefix: the pattern a is gone", seenIn: ["Operations.swift"]),
        // Beside a reference, and of its parts
        .init(
            given: update(schemas, "{tesName: {type: string, maxLength: 9}}") + ", "
                + remove("\(schemas).tesTask.properties.name.type") + ", "
                + update("\(schemas).tesTask.properties.name", "{$ref: '#/components/schemas/tesName'}"),
            actions: update("\(schemas).tesTask.properties.name", "{pattern: '^[a-z]+$'}"), weight: .breaking,
            report: "name: the pattern ^[a-z]+$ is new", seenIn: ["Validation.swift"]),
        .init(
            given: update(schemas, "{tesName: {type: string, maxLength: 9}}"),
            actions: remove("\(schemas).tesTask.properties.name.type") + ", "
                + update("\(schemas).tesTask.properties.name", "{$ref: '#/components/schemas/tesName', maxLength: 5}"),
            weight: .breaking, report: "name: maxLength was not given and is 5.0", seenIn: ["Validation.swift"]),
        .init(
            actions: update(
                "\(schemas).tesServiceInfo.allOf", "[{type: object, properties: {motto: {type: string}}}]"),
            weight: .breaking, report: "tesServiceInfo/allOf: it had 2 parts and has 3", seenIn: types),
        // Properties
        .init(
            actions: update("\(schemas).tesExecutor.properties", "{nice: {type: integer}}"), weight: .compatible,
            report: "nice: the optional property is new", seenIn: everywhere, migration: "ADD COLUMN nice integer"),
        .init(
            actions: update("\(schemas).tesTask.properties", "{labels: {type: array, items: {type: string}}}"),
            weight: .compatible, report: "labels: the optional property is new", seenIn: everywhere,
            migration: "ADD COLUMN labels text[]"),
        .init(
            actions: update("\(schemas).tesInput", "{required: [mode], properties: {mode: {type: string}}}"),
            weight: .breaking, report: "mode: the required property is new", seenIn: everywhere,
            migration: "ALTER COLUMN mode SET NOT NULL"),
        .init(
            actions: update("\(schemas).tesExecutorLog.properties", "{cpu_seconds: {type: number}}"),
            weight: .compatible, report: "cpu_seconds: the optional property is new", seenIn: everywhere,
            migration: "ADD COLUMN cpu_seconds double precision"),
        .init(
            actions: remove("\(schemas).tesResources.properties.zones"), weight: .breaking,
            report: "zones: the property is gone", seenIn: everywhere, migration: "DROP COLUMN resources_zones"),
        .init(
            actions: remove("\(schemas).tesOutput.properties.path_prefix"), weight: .breaking,
            report: "path_prefix: the property is gone", seenIn: everywhere, migration: "DROP COLUMN path_prefix"),
        .init(
            actions: remove("\(schemas).tesListTasksResponse.properties.next_page_token"), weight: .breaking,
            report: "next_page_token: the property is gone", seenIn: types),
        .init(
            actions: update("\(schemas).tesCancelTaskResponse", "{properties: {state: {type: string}}}"),
            weight: .compatible, report: "state: the optional property is new", seenIn: types),
        // Schemas
        .init(
            actions: update(schemas, "{tesNote: {type: object, properties: {text: {type: string}}}}"),
            weight: .compatible, report: "the schema tesNote is new", seenIn: types),
        // Parameters
        .init(
            actions: update("$.paths['/tasks'].get.parameters", "[{name: owner, in: query, schema: {type: string}}]"),
            weight: .compatible, report: "the optional parameter \"owner\" is new", seenIn: ["Operations.swift"]),
        .init(
            actions: remove("$.paths['/tasks'].get.parameters[?@.name == 'name_prefix']"), weight: .breaking,
            report: "the parameter \"name_prefix\" of ListTasks is gone", seenIn: ["Operations.swift"]),
        .init(
            actions: update("$.paths['/tasks'].get.parameters[?@.name == 'page_size'].schema", "{format: int64}"),
            weight: .breaking, report: "page_size: the format was int32 and is int64", seenIn: ["Operations.swift"]),
        .init(
            actions: update("$.paths['/tasks'].get.parameters[?@.name == 'page_token'].schema", "{type: integer}"),
            weight: .breaking, report: "page_token: the type was string and is integer", seenIn: ["Operations.swift"]),
        // Operations and responses
        .init(
            actions: remove("$.paths['/tasks/{id}:cancel']"), weight: .breaking,
            report: "the operation CancelTask is gone", seenIn: ["Operations.swift", "Client.swift", "Routes.swift"]),
        .init(
            actions: update("$.paths['/tasks/{id}'].get", "{operationId: ReadTask}"), weight: .breaking,
            report: "the operation GetTask is gone", seenIn: ["Operations.swift", "Client.swift", "Routes.swift"]),
        .init(
            actions: update(
                "$.paths['/tasks/{id}']",
                "{delete: {operationId: DeleteTask, parameters: [{name: id, in: path, required: true, schema: {type: string}}], responses: {200: {content: {application/json: {schema: {$ref: '#/components/schemas/tesCancelTaskResponse'}}}}}}}"
            ), weight: .compatible, report: "the operation DeleteTask is new",
            seenIn: ["Operations.swift", "Client.swift", "Routes.swift"]),
        .init(
            actions: update(
                "$.paths['/tasks'].post.responses[*].content['application/json'].schema",
                "{$ref: '#/components/schemas/tesTask'}"), weight: .breaking,
            report: "responses: the schema was tesCreateTaskResponse and is tesTask", seenIn: ["Operations.swift"]),
        .init(
            actions: update("$.servers[0]", "{url: /ga4gh/tes/v2}"), weight: .breaking,
            report: "the base path was", seenIn: ["Operations.swift"]),
    ]

    @Test func thereAreAtLeastForty() { #expect(Self.mutations.count >= 40) }

    @Test(arguments: mutations)
    func isSeenEverywhereItMatters(_ mutation: Mutation) throws {
        let before = try changed(try ProjectSpecificationTests.input(), mutation.given)
        let after = try changed(before, mutation.actions)
        let difference = try GeneratorPipeline().difference(from: before, to: after)
        let changes = difference.changes
        let lines = changes.map(\.description)
        let found = changes.first { $0.description.contains(mutation.report) }
        #expect(found?.weight == mutation.weight, "\(lines)")
        let old = try GeneratorPipeline().everything(from: before)
        let new = try GeneratorPipeline().everything(from: after)
        for name in mutation.seenIn { #expect(code(old[name] ?? "") != code(new[name] ?? ""), "\(name)") }
        let sql = try #require(difference.draft).steps.map(\.sql)
        if mutation.migration.isEmpty {
            #expect(code(old["schema.sql"] ?? "") == code(new["schema.sql"] ?? "") || !sql.isEmpty)
        } else {
            #expect(sql.contains { $0.contains(mutation.migration) }, "\(sql)")
        }
        // Back again is a difference, too.
        #expect(try !GeneratorPipeline().difference(from: after, to: before).changes.isEmpty)
    }

    private func changed(_ input: GeneratorPipeline.Input, _ actions: String) throws -> GeneratorPipeline.Input {
        if actions.isEmpty { return input }
        var result = input
        let document = ProjectSpecificationTests.document
        let overlay = "overlay: 1.0.0\nactions: [\(actions)]\n"
        result.files[document] = try Overlay(try parseYAML(overlay, file: "mutation.yaml")).apply(
            to: try #require(input.files[document]))
        return result
    }

    @Test func theSameDocumentHasNoDifference() throws {
        let input = try ProjectSpecificationTests.input()
        #expect(try GeneratorPipeline().difference(from: input, to: input).isEmpty)
    }
}
