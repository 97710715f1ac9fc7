import CLibYAML

/// What is wrong with a YAML document, and where.
package struct YAMLError: Error, Hashable, CustomStringConvertible {
    package var location: SourceLocation
    package var message: String

    package init(location: SourceLocation, message: String) {
        self.location = location
        self.message = message
    }

    package var description: String { "\(location): error: \(message.onOneLine)" }
}

/// Reads one YAML 1.1 document (JSON is one too) with libyaml's event parser; keeps line and column of each node.
///
/// Duplicate keys, several documents in one file, merge keys' cycles and documents that alias themselves into
/// more than a million nodes are refused.
package func parseYAML(_ text: String, file: String) throws(YAMLError) -> YAMLNode {
    var parser = EventParser(text: text, file: file)
    defer { parser.close() }
    return try parser.document()
}

private struct EventParser {
    private static let maximumDepth = 200
    private static let maximumNodes = 1_000_000

    private let file: String
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeMutableBufferPointer<UInt8>
    private var anchors: [String: (node: YAMLNode, weight: Int)] = [:]
    private var nodes = 0

    init(text: String, file: String) {
        self.file = file
        parser = .allocate(capacity: 1)
        let utf8 = Array(text.utf8)
        bytes = .allocate(capacity: max(utf8.count, 1))
        _ = bytes.initialize(from: utf8)
        yaml_parser_initialize(parser)
        yaml_parser_set_input_string(parser, bytes.baseAddress, utf8.count)
    }

    func close() {
        yaml_parser_delete(parser)
        parser.deallocate()
        bytes.deallocate()
    }

    mutating func document() throws(YAMLError) -> YAMLNode {
        while true {
            var event = try next()
            let type = event.type
            let location = location(event.start_mark)
            switch type {
            case YAML_STREAM_START_EVENT:
                yaml_event_delete(&event)
            case YAML_STREAM_END_EVENT:
                yaml_event_delete(&event)
                return YAMLNode(.scalar("", isPlain: true), location: location)
            case YAML_DOCUMENT_START_EVENT:
                yaml_event_delete(&event)
                let root = try node(depth: 0)
                try expectEnd()
                return root
            default:
                yaml_event_delete(&event)
                throw YAMLError(location: location, message: "expected the start of a document")
            }
        }
    }

    private func expectEnd() throws(YAMLError) {
        while true {
            var event = try next()
            let type = event.type
            let location = location(event.start_mark)
            yaml_event_delete(&event)
            if type == YAML_STREAM_END_EVENT { return }
            if type != YAML_DOCUMENT_END_EVENT {
                throw YAMLError(location: location, message: "the file holds more than one document; only one is read")
            }
        }
    }

    /// The next node, or nil at the end of the enclosing collection.
    private mutating func element(depth: Int) throws(YAMLError) -> YAMLNode? {
        var event = try next()
        defer { yaml_event_delete(&event) }
        let location = location(event.start_mark)
        nodes += 1
        guard depth < Self.maximumDepth, nodes < Self.maximumNodes else {
            throw YAMLError(location: location, message: "the document is nested too deeply or too large")
        }
        let before = nodes
        let node: YAMLNode
        let anchor: UnsafeMutablePointer<yaml_char_t>?
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            anchor = scalar.anchor
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE && scalar.tag == nil
            node = YAMLNode(.scalar(text, isPlain: isPlain), location: location)
        case YAML_SEQUENCE_START_EVENT:
            anchor = event.data.sequence_start.anchor
            var items: [YAMLNode] = []
            while let item = try element(depth: depth + 1) { items.append(item) }
            node = YAMLNode(.sequence(items), location: location)
        case YAML_MAPPING_START_EVENT:
            anchor = event.data.mapping_start.anchor
            node = YAMLNode(.mapping(try entries(depth: depth + 1)), location: location)
        case YAML_ALIAS_EVENT:
            let name = String(cString: event.data.alias.anchor)
            guard let (target, weight) = anchors[name] else {
                throw YAMLError(location: location, message: "the alias *\(name) has no anchor before it")
            }
            nodes += weight
            return target
        default:
            return nil
        }
        if let anchor { anchors[String(cString: anchor)] = (node, nodes - before + 1) }
        return node
    }

    private mutating func node(depth: Int) throws(YAMLError) -> YAMLNode {
        guard let node = try element(depth: depth) else {
            throw YAMLError(location: location(parser.pointee.mark), message: "expected a value")
        }
        return node
    }

    private mutating func entries(depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var seen: Set<String> = []
        while let key = try element(depth: depth) {
            guard let text = key.text else {
                throw YAMLError(location: key.location, message: "a key must be a scalar, not \(key.kindName)")
            }
            guard seen.insert(text).inserted else {
                throw YAMLError(location: key.location, message: "the key \"\(text)\" appears twice in this mapping")
            }
            entries.append(.init(key: key, value: try node(depth: depth)))
        }
        return entries
    }

    private func next() throws(YAMLError) -> yaml_event_t {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else {
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "cannot be read as YAML"
            throw YAMLError(location: location(parser.pointee.problem_mark), message: problem)
        }
        return event
    }

    private func location(_ mark: yaml_mark_t) -> SourceLocation {
        SourceLocation(file: file, line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    }
}
