import Foundation
import TES

/// A case's variables, and the placeholders that stand for them.
struct Variables: Sendable {
    /// How a value stands in a text.
    enum Writing: Sendable { case plain, percentEncoded, insideJSON }

    private(set) var values: [String: JSONNode]

    init(_ values: [String: JSONNode]) { self.values = values }

    subscript(name: String) -> JSONNode? {
        get { values[name] }
        set { values[name] = newValue }
    }

    /// A value with every placeholder filled in; a text that is nothing but a placeholder takes the value's type.
    func fill(_ node: JSONNode) -> JSONNode {
        switch node {
        case .string(let text):
            if let whole = whole(text) { return whole }
            return .string(fill(text))
        case .array(let items): return .array(items.map(fill))
        case .object(let members):
            if members.count == 2, let times = node["times"]?.double, let part = node["repeat"]?.text {
                return .string(String(repeating: fill(part), count: Int(min(max(times, 0), 100_000_000))))
            }
            return .object(members.map { .init(name: fill($0.name), value: fill($0.value)) })
        default: return node
        }
    }

    /// The value of a text that is nothing but one placeholder.
    func whole(_ text: String) -> JSONNode? {
        guard let first = pieces(text).first, pieces(text).count == 1, case .variable(let value) = first else {
            return nil
        }
        return value
    }

    func fill(_ text: String, _ writing: Writing = .plain) -> String {
        pieces(text).map { piece in
            switch piece {
            case .text(let text): text
            case .variable(let value):
                switch writing {
                case .plain: value.plainText
                case .percentEncoded: percentEncoded(value.plainText)
                case .insideJSON: value.text.map(JSONNode.escaped) ?? value.json
                }
            }
        }.joined()
    }

    private enum Piece {
        case text(String)
        case variable(JSONNode)
    }

    /// Braces that name no variable stay as they are: JSON's and the shell's need no care.
    private func pieces(_ text: String) -> [Piece] {
        var pieces: [Piece] = []
        var plain = ""
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            plain += rest[..<open]
            rest = rest[open...]
            if let match = rest.prefixMatch(of: /\{([A-Za-z_][A-Za-z0-9_]*)(?:\|(upper|lower))?\}/),
                let value = values[String(match.1)]
            {
                if !plain.isEmpty { pieces.append(.text(plain)) }
                plain = ""
                switch match.2 {
                case "upper": pieces.append(.variable(.string(value.plainText.uppercased())))
                case "lower": pieces.append(.variable(.string(value.plainText.lowercased())))
                default: pieces.append(.variable(value))
                }
                rest = rest[match.range.upperBound...]
            } else {
                plain += "{"
                rest = rest.dropFirst()
            }
        }
        plain += rest
        if !plain.isEmpty || pieces.isEmpty { pieces.append(.text(plain)) }
        return pieces
    }
}
