/// Cuts a script of SQL into its statements; PostgreSQL manual, "Lexical Structure".
///
/// Bodies of functions have to stand in quotes (`$$ … $$`): those of the SQL standard (BEGIN ATOMIC) are not understood.
enum SQLScript {
    enum Part {
        /// A comment to the end of its line, from 1, without its dashes, and whether it stands within a statement.
        case comment(String, line: Int, isInside: Bool)
        /// A statement without its semicolon, and the line where it begins.
        case statement(String, line: Int)
    }

    struct Failure: Error {
        var line: Int
        var message: String
    }

    static func parts(of text: String) throws(Failure) -> [Part] {
        let bytes = Array(text.utf8)
        var parts: [Part] = []
        /// Where the statement that is being read began.
        var start: Int?
        var index = 0
        func line(_ index: Int) -> Int { bytes[..<index].count { $0 == 10 } + 1 }
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "-") where bytes[index...].starts(with: "--".utf8):
                let end = bytes[index...].firstIndex(of: 10) ?? bytes.count
                let comment = String(decoding: bytes[(index + 2)..<end], as: UTF8.self)
                parts.append(.comment(comment.trimmed, line: line(index), isInside: start != nil))
                index = end
            case UInt8(ascii: ";"):
                if let start {
                    let sql = String(decoding: bytes[start..<index], as: UTF8.self)
                    parts.append(.statement(sql.trimmed, line: line(start)))
                }
                start = nil
                index += 1
            case 9, 10, 13, 32: index += 1
            case let byte:
                let isComment = byte == UInt8(ascii: "/") && bytes[index...].starts(with: "/*".utf8)
                if start == nil, !isComment { start = index }
                guard let end = end(ofQuoteAt: index, in: bytes) else {
                    throw Failure(line: line(index), message: "what opens here is never closed")
                }
                index = end
            }
        }
        if let start { throw Failure(line: line(start), message: "the last statement does not end with ;") }
        return parts
    }

    /// The index after a text, name, comment or dollar-quoted body that begins here, or after a single character; nil where
    /// it does not end.
    private static func end(ofQuoteAt index: Int, in bytes: [UInt8]) -> Int? {
        func end(after closing: some Collection<UInt8>, from start: Int) -> Int? {
            var place = start
            while place + closing.count <= bytes.count {
                if bytes[place...].starts(with: closing) { return place + closing.count }
                place += 1
            }
            return nil
        }
        switch bytes[index] {
        case UInt8(ascii: "\""): return end(after: "\"".utf8, from: index + 1)
        case UInt8(ascii: "'"):
            // A doubled quote is read as the end of one text and the start of the next. Only E'…' knows backslashes.
            let before = index > 0 ? bytes[index - 1] : 0
            let isEscaped = before | 32 == UInt8(ascii: "e") && !(index > 1 && isPartOfName(bytes[index - 2]))
            guard isEscaped else { return end(after: "'".utf8, from: index + 1) }
            var place = index + 1
            while place < bytes.count, bytes[place] != UInt8(ascii: "'") {
                place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
            }
            return place < bytes.count ? place + 1 : nil
        case UInt8(ascii: "/") where bytes[index...].starts(with: "/*".utf8):
            var place = index + 2
            var depth = 1
            while depth > 0 {
                guard place < bytes.count else { return nil }
                if bytes[place...].starts(with: "/*".utf8) {
                    (depth, place) = (depth + 1, place + 2)
                } else if bytes[place...].starts(with: "*/".utf8) {
                    (depth, place) = (depth - 1, place + 2)
                } else {
                    place += 1
                }
            }
            return place
        case UInt8(ascii: "$") where index == 0 || !isPartOfName(bytes[index - 1]):
            let tag = bytes[(index + 1)...].prefix { isPartOfName($0) && $0 != UInt8(ascii: "$") }
            let startsWithDigit = tag.first.map { (48...57).contains($0) } ?? false
            guard !startsWithDigit, tag.endIndex < bytes.count, bytes[tag.endIndex] == UInt8(ascii: "$") else {
                return index + 1
            }
            return end(after: bytes[index...tag.endIndex], from: tag.endIndex + 1)
        default: return index + 1
        }
    }

    private static func isPartOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"), 128...255:
            true
        default: false
        }
    }

    /// The word that begins, ends or cannot stand in a transaction; nil for what may run in one with others.
    static func breaksTransaction(_ sql: String) -> String? {
        let words = sql.uppercased().split { !($0.isLetter || $0 == "_") }
        let first = words.first.map(String.init) ?? ""
        let control: Set = [
            "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "VACUUM",
        ]
        if control.contains(first) { return first }
        let builds = ["CREATE", "DROP", "REINDEX"].contains(first)
        return builds && words.prefix(4).contains("CONCURRENTLY") ? "CONCURRENTLY" : nil
    }
}

extension String {
    fileprivate var trimmed: String {
        let space: (Character) -> Bool = { $0.isWhitespace }
        return String(drop(while: space).reversed().drop(while: space).reversed())
    }
}
