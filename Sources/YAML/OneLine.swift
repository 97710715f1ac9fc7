extension String {
    /// The text on one line, as a comment or a message holds it: line breaks are spaces, and other characters that are not shown as
    /// themselves are U+FFFD.
    package var onOneLine: String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        var result = String.UnicodeScalarView()
        for character in self {
            if character.isNewline {
                result.append(" ")
            } else {
                result.append(contentsOf: character.unicodeScalars.map { $0.isControl ? "\u{FFFD}" : $0 })
            }
        }
        return String(result)
    }
}

extension Unicode.Scalar {
    /// Whether it breaks a line, steers a terminal or turns the direction of what is beside it; a tab does none of these.
    package var isControl: Bool {
        switch properties.generalCategory {
        case .control: self != "\t"
        case .lineSeparator, .paragraphSeparator: true
        default: properties.isBidiControl
        }
    }
}
