/// A wildcard pattern over absolute paths: POSIX `*`, `?` and `[…]` within a segment, `**` for any number of segments, `{a,b}`;
/// a backslash quotes. As in a shell, a leading dot has to be matched by a dot.
///
/// IEEE Std 1003.1, "Pattern Matching Notation".
package struct PathPattern: Hashable, Sendable {
    package let text: String
    private let alternatives: [[String]]

    /// More alternatives than this in one pattern are cut off: `{a,b}` ten times makes 1,024.
    private static let maximumAlternatives = 1024

    package init(_ text: String) {
        self.text = text
        alternatives = Self.expandBraces(text).map { ContainerPath.segments($0) }
    }

    /// Whether a path with a `path_prefix` has anything to match: without one it is just a name.
    package static func hasWildcards(_ path: String) -> Bool {
        var isQuoted = false
        for character in path {
            if isQuoted {
                isQuoted = false
            } else if character == "\\" {
                isQuoted = true
            } else if "*?[{".contains(character) {
                return true
            }
        }
        return false
    }

    /// The directory that every match lies in: the segments before the first with a wildcard.
    package var fixedPrefix: String {
        var prefix: [String]?
        for segments in alternatives {
            let fixed = segments.dropLast().prefix { !Self.hasWildcards($0) }.map(Self.unquoted)
            if let common = prefix {
                prefix = Array(zip(common, fixed).prefix { $0 == $1 }.map(\.0))
            } else {
                prefix = fixed
            }
        }
        return "/" + (prefix ?? []).joined(separator: "/")
    }

    /// Whether an alternative climbs by `..`.
    package var climbs: Bool { alternatives.contains { $0.contains { Self.unquoted($0) == ".." } } }

    /// Segments of the longest match; nil where `**` takes any number.
    package var maximumDepth: Int? {
        alternatives.contains { $0.contains("**") } ? nil : alternatives.map(\.count).max() ?? 0
    }

    package func matches(_ path: String) -> Bool {
        let segments = ContainerPath.segments(path)
        return alternatives.contains { Self.match($0, segments) }
    }

    private static func unquoted(_ segment: String) -> String {
        var result = ""
        var isQuoted = false
        for character in segment {
            if character == "\\", !isQuoted {
                isQuoted = true
            } else {
                result.append(character)
                isQuoted = false
            }
        }
        return result
    }

    /// Linear but for backtracking to the last `**`: what an earlier one could take more of, the last one can too.
    private static func match(_ pattern: [String], _ path: [String]) -> Bool {
        var (p, t) = (0, 0)
        var last: (pattern: Int, path: Int)?
        while t < path.count {
            if p < pattern.count, pattern[p] == "**" {
                last = (p + 1, t)
                p += 1
            } else if p < pattern.count, match(segment: Array(pattern[p]), Array(path[t])) {
                p += 1
                t += 1
            } else {
                guard let back = last, !path[back.path].hasPrefix(".") else { return false }
                p = back.pattern
                t = back.path + 1
                last = (p, t)
            }
        }
        return pattern[p...].allSatisfy { $0 == "**" }
    }

    /// One segment; linear but for backtracking to the last star.
    private static func match(segment pattern: [Character], _ text: [Character]) -> Bool {
        if text.first == ".", let first = pattern.first, "*?[".contains(first) { return false }
        var (p, t) = (0, 0)
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == "*" {
                star = (p + 1, t)
                p += 1
                continue
            }
            if p < pattern.count, let next = step(pattern, p, text[t]) {
                p = next
                t += 1
                continue
            }
            guard let back = star else { return false }
            p = back.pattern
            t = back.text + 1
            star = (p, t)
        }
        while p < pattern.count, pattern[p] == "*" { p += 1 }
        return p == pattern.count
    }

    /// The place in the pattern after one character was matched; nil if it does not match.
    private static func step(_ pattern: [Character], _ place: Int, _ character: Character) -> Int? {
        switch pattern[place] {
        case "?": return place + 1
        case "\\" where place + 1 < pattern.count: return pattern[place + 1] == character ? place + 2 : nil
        case "[":
            guard let (end, isMatch) = bracket(pattern, place, character) else {
                return character == "[" ? place + 1 : nil
            }
            return isMatch ? end : nil
        case let literal: return literal == character ? place + 1 : nil
        }
    }

    /// `[a-z]`, `[!a]`; nil where the bracket is never closed, which makes it a literal.
    private static func bracket(_ pattern: [Character], _ place: Int, _ character: Character) -> (Int, Bool)? {
        var index = place + 1
        let isNegated = index < pattern.count && (pattern[index] == "!" || pattern[index] == "^")
        if isNegated { index += 1 }
        let start = index
        var isMatch = false
        while index < pattern.count {
            if pattern[index] == "]", index > start { return (index + 1, isMatch != isNegated) }
            if pattern[index] == "[", index + 1 < pattern.count, pattern[index + 1] == ":",
                let (name, end) = className(pattern, index)
            {
                if isMember(character, of: name) { isMatch = true }
                index = end
                continue
            }
            var low = pattern[index]
            if low == "\\", index + 1 < pattern.count {
                index += 1
                low = pattern[index]
            }
            if index + 2 < pattern.count, pattern[index + 1] == "-", pattern[index + 2] != "]" {
                if low <= character, character <= pattern[index + 2] { isMatch = true }
                index += 3
            } else {
                if low == character { isMatch = true }
                index += 1
            }
        }
        return nil
    }

    private static func className(_ pattern: [Character], _ place: Int) -> (String, Int)? {
        var name = ""
        var index = place + 2
        while index + 1 < pattern.count {
            if pattern[index] == ":", pattern[index + 1] == "]" { return (name, index + 2) }
            name.append(pattern[index])
            index += 1
        }
        return nil
    }

    private static func isMember(_ character: Character, of name: String) -> Bool {
        switch name {
        case "alpha": character.isLetter
        case "digit": character.isASCII && character.isNumber
        case "alnum": character.isLetter || character.isNumber
        case "upper": character.isUppercase
        case "lower": character.isLowercase
        case "space": character.isWhitespace
        case "punct": character.isPunctuation || character.isSymbol
        case "xdigit": character.isHexDigit
        case "blank": character == " " || character == "\t"
        case "cntrl": isControl(character)
        case "graph": !isControl(character) && !character.isWhitespace
        case "print": !isControl(character) && (!character.isWhitespace || character == " ")
        default: false
        }
    }

    private static func isControl(_ character: Character) -> Bool {
        character.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    /// `a{b,c}d` → `abd`, `acd`; braces nest, an unbalanced one is a literal.
    private static func expandBraces(_ text: String) -> [String] {
        let characters = Array(text)
        guard let (open, commas, close) = firstBraces(characters) else { return [text] }
        let head = String(characters[..<open])
        let tail = expandBraces(String(characters[(close + 1)...]))
        var results: [String] = []
        let bounds = [open] + commas + [close]
        for (start, end) in zip(bounds, bounds.dropFirst()) {
            for middle in expandBraces(String(characters[(start + 1)..<end])) {
                for rest in tail where results.count < maximumAlternatives { results.append(head + middle + rest) }
            }
        }
        return results
    }

    /// The first brace that is closed and has a comma of its own.
    private static func firstBraces(_ text: [Character]) -> (open: Int, commas: [Int], close: Int)? {
        var first: (open: Int, commas: [Int], close: Int)?
        var waiting: [(open: Int, commas: [Int])] = []
        var index = 0
        while index < text.count {
            switch text[index] {
            case "\\": index += 1
            case "{": waiting.append((index, []))
            case "," where !waiting.isEmpty: waiting[waiting.count - 1].commas.append(index)
            case "}":
                // Of two, the outer one is closed later and was opened before.
                if let (open, commas) = waiting.popLast(), !commas.isEmpty, open < first?.open ?? .max {
                    first = (open, commas, index)
                }
            default: break
            }
            index += 1
        }
        return first
    }
}
