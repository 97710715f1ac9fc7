/// Where a node starts in its file; line and column count from 1.
package struct SourceLocation: Hashable, Sendable, CustomStringConvertible {
    package var file: String
    package var line: Int
    package var column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// `file:line:col`, as compilers print it.
    package var description: String { "\(file):\(line):\(column)" }
}

/// One YAML node with its place in the file. Aliases are already replaced by what they stand for.
package struct YAMLNode: Hashable, Sendable {
    /// What a node holds.
    package enum Content: Hashable, Sendable {
        /// `isPlain` is true for a scalar without quotes, which may then be a number, a boolean or null.
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        case mapping([Entry])
    }

    /// One key and its value, in the file's order.
    package struct Entry: Hashable, Sendable {
        package var key: YAMLNode
        package var value: YAMLNode

        package init(key: YAMLNode, value: YAMLNode) {
            self.key = key
            self.value = value
        }
    }

    package var content: Content
    package var location: SourceLocation

    package init(_ content: Content, location: SourceLocation) {
        self.content = content
        self.location = location
    }
}

extension YAMLNode {
    /// A scalar's text; nil for other nodes.
    package var text: String? {
        if case .scalar(let text, _) = content { text } else { nil }
    }

    /// A plain scalar that is empty, `~` or `null`.
    package var isNull: Bool {
        if case .scalar(let text, isPlain: true) = content {
            ["", "~", "null", "Null", "NULL"].contains(text)
        } else {
            false
        }
    }

    /// A plain scalar `true` or `false`; nil for anything else.
    package var bool: Bool? {
        guard case .scalar(let text, isPlain: true) = content else { return nil }
        return switch text {
        case "true", "True", "TRUE": true
        case "false", "False", "FALSE": false
        default: nil
        }
    }

    /// A plain scalar that is a decimal integer.
    package var integer: Int? {
        guard case .scalar(let text, isPlain: true) = content else { return nil }
        return Int(text)
    }

    /// A plain scalar that is a number.
    package var number: Double? {
        guard case .scalar(let text, isPlain: true) = content else { return nil }
        return Double(text)
    }

    /// A sequence's items; nil for other nodes.
    package var items: [YAMLNode]? {
        if case .sequence(let items) = content { items } else { nil }
    }

    /// A mapping's entries in order; nil for other nodes.
    package var entries: [Entry]? {
        if case .mapping(let entries) = content { entries } else { nil }
    }

    /// The value of a mapping's key; nil where the node is no mapping or lacks the key.
    package subscript(key: String) -> YAMLNode? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key.text == key }?.value
    }

    /// `a mapping`, `a sequence`, `null`, `text`…: for messages.
    package var kindName: String {
        switch content {
        case .mapping: "a mapping"
        case .sequence: "a sequence"
        case .scalar: isNull ? "null" : bool != nil ? "a boolean" : number != nil ? "a number" : "text"
        }
    }
}
