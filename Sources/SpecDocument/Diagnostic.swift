package import YAML

/// One thing that is wrong with a specification, an overlay or the persistence file, on the offending node.
package struct Diagnostic: Error, Hashable, Sendable, CustomStringConvertible {
    package var location: SourceLocation
    package var message: String
    /// What to do about it; printed as a note after the error.
    package var hint: String

    package init(_ location: SourceLocation, _ message: String, hint: String) {
        self.location = location
        self.message = message
        self.hint = hint
    }

    /// `file:line:col: error: …`, with the hint on a line of its own.
    package var description: String {
        "\(location): error: \(message.onOneLine)\n\(location): note: \(hint.onOneLine)"
    }
}

/// Everything that was found wrong in one run, in the order of the files.
package struct Diagnostics: Error, Sendable, CustomStringConvertible {
    package var all: [Diagnostic]

    package init(_ all: [Diagnostic]) { self.all = all }

    package var description: String { all.map(\.description).joined(separator: "\n") }
}
