extension Source {
    /// A constant with the compiled form of a regular expression.
    mutating func pattern(_ pattern: PatternModel, name: String) {
        line("/// \(pattern.text.replacing("\n", with: "\\n"))")
        line("private static let \(name) = TextPattern([")
        indented { source in
            for step in pattern.steps { source.line(Self.text(step) + ",") }
        }
        line("])")
        line()
    }

    private static func text(_ step: PatternModel.Step) -> String {
        switch step {
        case .take(let ranges):
            ".take([\(ranges.map { "\($0.lowerBound), \($0.upperBound)" }.joined(separator: ", "))])"
        case .split(let first, let second): ".split(\(first), \(second))"
        case .jump(let target): ".jump(\(target))"
        case .start: ".start"
        case .end: ".end"
        case .match: ".match"
        }
    }
}

/// What the constant of a property's or parameter's pattern is called.
func patternName(_ name: String, _ index: Int) -> String {
    Names.local(name, index == 0 ? "Pattern" : "Pattern\(index + 1)")
}
