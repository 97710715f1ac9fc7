import Migrations
import SpecDocument
import YAML

/// Migrations as Swift string constants, for the reason that ``SchemaRenderer`` has.
struct MigrationRenderer {
    let access: String

    func render(_ history: MigrationHistory) -> String {
        var source = Source(header: "Migrations of the PostgreSQL schema.", imports: ["package import Migrations"])
        source.line("/// What leads from each version of the schema to the next.")
        source.block("\(access) enum TaskMigrations") { source in
            source.line("\(access) static let all: [Migration] = [")
            source.indented { source in
                for migration in history.migrations { render(migration, &source) }
            }
            source.line("]")
        }
        return source.text
    }

    private func render(_ migration: Migration, _ source: inout Source) {
        source.line("Migration(")
        source.indented { source in
            source.line(
                "version: \(migration.version), name: \(literal(migration.name)), stopsOlderPrograms: \(migration.stopsOlderPrograms),"
            )
            for (label, steps) in [("expand", migration.expand), ("contract", migration.contract)] {
                let close = label == "contract" ? "])," : "],"
                if steps.isEmpty {
                    source.line("\(label): [\(close)")
                    continue
                }
                source.line("\(label): [")
                source.indented { source in for step in steps { source.line(literal(step) + ",") } }
                source.line(close)
            }
        }
    }
}

extension GeneratorPipeline.Input {
    /// The migrations in order; a diagnostic names the line that is wrong.
    func history() throws(Diagnostics) -> MigrationHistory {
        do throws(MigrationError) {
            return try MigrationHistory(files: migrations)
        } catch {
            throw Diagnostics([
                Diagnostic(
                    SourceLocation(file: error.file, line: error.line, column: 1), error.message,
                    hint: "docs/guides/updating-the-specification.md says what a migration's file holds")
            ])
        }
    }
}
