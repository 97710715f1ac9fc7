/// Text as it may be recorded: NUL becomes U+FFFD. Invalid UTF-8 was replaced when the text was decoded.
package func recordable(_ text: String) -> String {
    text.utf8.contains(0) ? text.replacing("\0", with: "\u{FFFD}") : text
}

/// Text as it may be shown on a terminal: control characters are written as escapes.
///
/// Shell output and names come from other people; a terminal would obey them.
package func printable(_ text: String, keepingNewlines: Bool = false) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case 10 where keepingNewlines, 9 where keepingNewlines: result.unicodeScalars.append(scalar)
        case 0..<32, 127..<160, 0x2028...0x202E, 0x2066...0x2069:
            result += "\\u{" + String(scalar.value, radix: 16) + "}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
