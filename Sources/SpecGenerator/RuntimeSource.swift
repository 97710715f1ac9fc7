extension GeneratedFile {
    /// A source that generated code needs beside itself, for a package that has the generator alone.
    ///
    /// - Parameters:
    ///   - source: the text of a file of `Sources/TES/Runtime`, which our own generated code uses.
    ///   - access: the level of the code that is generated beside it.
    package static func runtime(name: String, source: String, access: AccessLevel) -> GeneratedFile {
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).map { line in
            let isComment = line.drop { $0 == " " }.hasPrefix("//")
            return isComment ? line : line.replacing(/\bpackage\b/, with: access.rawValue)
        }
        let header = "// Runtime of the generated code.\n// Copied by tes-generate.\n\n"
        return GeneratedFile(name: name, text: header + lines.joined(separator: "\n"))
    }
}
