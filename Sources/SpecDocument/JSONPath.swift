import YAML

/// A JSONPath expression (RFC 9535) without functions: names, indexes, slices' plain forms, wildcards, descendants, unions and filters.
struct JSONPath: Sendable {
    /// One step into a node.
    enum Step: Hashable, Sendable {
        case name(String)
        case index(Int)
    }

    private enum Selector: Sendable {
        case name(String)
        case index(Int)
        case wildcard
        case filter(Condition)
    }

    /// `@.a.b`, `@.a == 'x'`, `!@.a`, and these joined by `&&` and `||`.
    private indirect enum Condition: Sendable {
        case exists([Step])
        case compares([Step], equal: Bool, String)
        case not(Condition)
        case and(Condition, Condition)
        case or(Condition, Condition)
    }

    private struct Segment: Sendable {
        var selectors: [Selector]
        var isDescendant = false
    }

    private var segments: [Segment] = []

    /// Nil where the text is no expression of this subset.
    init?(_ text: String) {
        var rest = text[...]
        guard rest.popFirst() == "$" else { return nil }
        while let first = rest.first {
            var segment = Segment(selectors: [])
            if rest.hasPrefix("..") {
                segment.isDescendant = true
                rest = rest.dropFirst(rest.dropFirst(2).first == "[" ? 2 : 1)
            }
            if rest.first == "." {
                rest.removeFirst()
                guard let selector = Self.member(&rest) else { return nil }
                segment.selectors = [selector]
            } else if rest.first == "[" {
                guard let selectors = Self.bracket(&rest) else { return nil }
                segment.selectors = selectors
            } else {
                _ = first
                return nil
            }
            segments.append(segment)
        }
    }

    /// The places of all nodes that the expression selects, in the document's order, each once.
    func places(in root: YAMLNode) -> [[Step]] {
        var found: [(place: [Step], node: YAMLNode)] = [([], root)]
        for segment in segments {
            var next: [(place: [Step], node: YAMLNode)] = []
            for (place, node) in found {
                let starts = segment.isDescendant ? Self.descendants(place, node) : [(place, node)]
                for start in starts {
                    for selector in segment.selectors { next += Self.select(selector, start.0, start.1) }
                }
            }
            found = next
        }
        var seen: Set<[Step]> = []
        return found.map(\.place).filter { seen.insert($0).inserted }
    }

    // MARK: Evaluation

    private static func children(_ node: YAMLNode) -> [(Step, YAMLNode)] {
        if let entries = node.entries { return entries.map { (.name($0.key.text ?? ""), $0.value) } }
        return (node.items ?? []).enumerated().map { (.index($0.offset), $0.element) }
    }

    private static func descendants(_ place: [Step], _ node: YAMLNode) -> [([Step], YAMLNode)] {
        [(place, node)] + children(node).flatMap { descendants(place + [$0.0], $0.1) }
    }

    private static func select(_ selector: Selector, _ place: [Step], _ node: YAMLNode) -> [([Step], YAMLNode)] {
        switch selector {
        case .name(let name): node[name].map { [(place + [.name(name)], $0)] } ?? []
        case .index(let index):
            child(node, .index(index)).map { child in
                [(place + [.index(index < 0 ? (node.items?.count ?? 0) + index : index)], child)]
            } ?? []
        case .wildcard: children(node).map { (place + [$0.0], $0.1) }
        case .filter(let condition):
            children(node).filter { holds(condition, $0.1) }.map { (place + [$0.0], $0.1) }
        }
    }

    private static func child(_ node: YAMLNode, _ step: Step) -> YAMLNode? {
        switch step {
        case .name(let name): return node[name]
        case .index(let index):
            guard let items = node.items else { return nil }
            let place = index < 0 ? items.count + index : index
            return items.indices.contains(place) ? items[place] : nil
        }
    }

    private static func holds(_ condition: Condition, _ node: YAMLNode) -> Bool {
        func value(_ steps: [Step]) -> YAMLNode? {
            steps.reduce(node as YAMLNode?) { node, step in node.flatMap { child($0, step) } }
        }
        switch condition {
        case .exists(let steps): return value(steps) != nil
        case .compares(let steps, let equal, let text): return (value(steps)?.text == text) == equal
        case .not(let condition): return !holds(condition, node)
        case .and(let left, let right): return holds(left, node) && holds(right, node)
        case .or(let left, let right): return holds(left, node) || holds(right, node)
        }
    }

    // MARK: Parsing

    private static func isNameCharacter(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_" || character == "-" || !character.isASCII
    }

    private static func member(_ rest: inout Substring) -> Selector? {
        if rest.first == "*" {
            rest.removeFirst()
            return .wildcard
        }
        let name = rest.prefix(while: isNameCharacter)
        guard let first = name.first, !first.isNumber else { return nil }
        rest = rest.dropFirst(name.count)
        return .name(String(name))
    }

    private static func skipSpace(_ rest: inout Substring) { rest = rest.drop { $0 == " " } }

    /// `['a', 0, *]` or `[?…]`.
    private static func bracket(_ rest: inout Substring) -> [Selector]? {
        rest.removeFirst()
        var selectors: [Selector] = []
        while true {
            skipSpace(&rest)
            switch rest.first {
            case "'", "\"":
                guard let name = quoted(&rest) else { return nil }
                selectors.append(.name(name))
            case "*":
                rest.removeFirst()
                selectors.append(.wildcard)
            case "?":
                rest.removeFirst()
                guard let condition = either(&rest) else { return nil }
                selectors.append(.filter(condition))
            default:
                guard let index = integer(&rest) else { return nil }
                selectors.append(.index(index))
            }
            skipSpace(&rest)
            switch rest.popFirst() {
            case ",": continue
            case "]": return selectors
            default: return nil
            }
        }
    }

    private static func integer(_ rest: inout Substring) -> Int? {
        let digits = rest.prefix { $0 == "-" || ("0"..."9").contains($0) }
        rest = rest.dropFirst(digits.count)
        return Int(digits)
    }

    private static func quoted(_ rest: inout Substring) -> String? {
        guard let quote = rest.popFirst() else { return nil }
        var text = ""
        while let character = rest.popFirst() {
            if character == quote { return text }
            if character == "\\" {
                guard let escaped = rest.popFirst(), escaped == quote || escaped == "\\" || escaped == "/" else {
                    return nil
                }
                text.append(escaped)
            } else {
                text.append(character)
            }
        }
        return nil
    }

    private static func either(_ rest: inout Substring) -> Condition? {
        guard var left = both(&rest) else { return nil }
        while take("||", &rest) {
            guard let right = both(&rest) else { return nil }
            left = .or(left, right)
        }
        return left
    }

    private static func both(_ rest: inout Substring) -> Condition? {
        guard var left = single(&rest) else { return nil }
        while take("&&", &rest) {
            guard let right = single(&rest) else { return nil }
            left = .and(left, right)
        }
        return left
    }

    private static func take(_ text: String, _ rest: inout Substring) -> Bool {
        skipSpace(&rest)
        guard rest.hasPrefix(text) else { return false }
        rest = rest.dropFirst(text.count)
        skipSpace(&rest)
        return true
    }

    private static func single(_ rest: inout Substring) -> Condition? {
        if take("!", &rest) { return single(&rest).map { .not($0) } }
        if take("(", &rest) {
            guard let inner = either(&rest), take(")", &rest) else { return nil }
            return inner
        }
        guard take("@", &rest) else { return nil }
        var steps: [Step] = []
        while let first = rest.first, first == "." || first == "[" {
            if first == "." {
                rest.removeFirst()
                guard case .name(let name)? = member(&rest) else { return nil }
                steps.append(.name(name))
            } else {
                guard let selectors = bracket(&rest), selectors.count == 1 else { return nil }
                switch selectors[0] {
                case .name(let name): steps.append(.name(name))
                case .index(let index): steps.append(.index(index))
                default: return nil
                }
            }
        }
        for (sign, equal) in [("==", true), ("!=", false)] where take(sign, &rest) {
            if rest.first == "'" || rest.first == "\"" {
                return quoted(&rest).map { .compares(steps, equal: equal, $0) }
            }
            let word = rest.prefix { isNameCharacter($0) || $0 == "." }
            rest = rest.dropFirst(word.count)
            return word.isEmpty ? nil : .compares(steps, equal: equal, String(word))
        }
        return .exists(steps)
    }
}
