import Migrations
package import SpecDocument
import YAML

/// What changes between two versions of a specification, and what that means here.
package struct DifferenceReport: Sendable {
    /// The specification's own changes.
    package var changes: [SpecChange]
    /// What they mean for the handwritten code, a sentence each; empty without a persistence file.
    package var code: [String] = []
    /// What they mean for the tables; nil without a persistence file.
    package var draft: MigrationDraft?
    /// What the newer document calls its version.
    package var version: String

    package var isEmpty: Bool { changes.isEmpty && code.isEmpty && draft?.steps.isEmpty != false }

    /// The report as a person reads it: one line for each change, then what follows for the code and for the tables.
    package var text: String {
        if isEmpty { return "no normative difference" }
        var lines = changes.map(\.description)
        if !code.isEmpty { lines += ["", "for the code:"] + code.map { "  " + $0 } }
        if let draft, !draft.steps.isEmpty {
            lines += ["", "for the tables:"]
            for step in draft.steps {
                lines.append("  \(step.phase.rawValue): \(step.meaning)")
                if let review = step.review { lines.append("    review: \(review)") }
            }
            if draft.stopsOlderPrograms { lines.append("  programs of the version before have to be stopped first") }
        }
        let breaking = changes.count { $0.weight == .breaking }
        return (lines + ["", "\(breaking) breaking, \(changes.count - breaking) compatible"])
            .map(\.onOneLine).joined(separator: "\n")
    }
}

extension GeneratorPipeline {
    /// Compares two versions of a specification.
    ///
    /// Their own changes are found without the overlay: it is ours, not the specification's. Code and tables are those with it.
    package func difference(from old: Input, to new: Input) throws(Diagnostics) -> DifferenceReport {
        let document = try Self.load(new)
        var report = DifferenceReport(
            changes: SpecDifference.changes(from: try Self.load(old), to: document), version: document.version)
        guard old.persistence != nil, new.persistence != nil else { return report }
        let (before, after) = (try contract(old), try contract(new))
        report.code = ContractDifference(from: before, to: after).lines
        report.draft = MigrationDraft(from: try tables(old, before), to: try tables(new, after))
        return report
    }

    private static func load(_ input: Input) throws(Diagnostics) -> SpecDocument {
        try DocumentLoader(documents: input.files, references: input.references).load(input.document)
    }
}
