/// What Kubernetes takes for a name, a label or a quantity; from
/// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and …/labels/.
package enum KubernetesNames {
    /// Characters of the longest name, label value and label key without its prefix.
    package static let maximumLength = 63

    /// Whether a text can be the value of a label: empty, or at most 63 of `A-Za-z0-9._-` with a letter or digit at both ends.
    package static func isLabelValue(_ text: String) -> Bool { text.isEmpty || isLabelName(text) }

    /// Whether a text can be the key of a label or annotation: `NAME` or `DNS-SUBDOMAIN/NAME`.
    package static func isLabelKey(_ text: String) -> Bool {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        switch halves.count {
        case 1: return isLabelName(halves[0])
        case 2: return isSubdomain(halves[0]) && isLabelName(halves[1])
        default: return false
        }
    }

    /// Whether a text is an RFC 1123 label: the names of namespaces and volumes.
    package static func isDNSLabel(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, bytes.count <= maximumLength else { return false }
        return isLowerOrDigit(first) && isLowerOrDigit(last)
            && bytes.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
    }

    /// Whether a text is an RFC 1123 subdomain: the names of Secrets, claims, classes and most other objects.
    package static func isSubdomain(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isDNSLabel(String($0)) }
    }

    /// Whether a text can name an environment variable.
    static func isVariable(_ text: String) -> Bool {
        guard let first = text.utf8.first, !isDigit(first) else { return false }
        return text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "_") }
    }

    /// Bytes as a quantity, in the largest unit that loses nothing.
    package static func quantity(_ bytes: Int64) -> String {
        let units: [(Int64, String)] = [
            (1_000_000_000, "G"), (1 << 30, "Gi"), (1_000_000, "M"), (1 << 20, "Mi"), (1 << 10, "Ki"),
        ]
        for (size, name) in units where bytes >= size && bytes % size == 0 { return "\(bytes / size)\(name)" }
        return "\(bytes)"
    }

    /// Thousandths of a core as a quantity.
    package static func quantity(millicores: Int) -> String {
        millicores % 1000 == 0 ? "\(millicores / 1000)" : "\(millicores)m"
    }

    /// A text in `command`, `args` or a variable's value, where Kubernetes would expand `$(NAME)` and make `$` of `$$`.
    static func literal(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "$" { result += "$$" } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }

    private static func isLabelName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, bytes.count <= maximumLength else { return false }
        return isLetterOrDigit(first) && isLetterOrDigit(last)
            && bytes.allSatisfy { isLetterOrDigit($0) || "-_.".utf8.contains($0) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }
}
