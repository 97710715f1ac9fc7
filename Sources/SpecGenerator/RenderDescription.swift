import SpecDocument
import YAML

/// The description that the server serves: the document with its overlay, whole in one file, without what is only for us.
///
/// A schema that views reduce is described twice: as clients send it, and as `…View`, where what a view leaves out is not required.
struct DescriptionRenderer {
    private let root: YAMLNode
    private let documents: [String: YAMLNode]
    private let references: [String: String]

    /// - Parameters:
    ///   - root: the main document, its overlay applied.
    ///   - documents: all documents by file name.
    ///   - references: absolute URL → file name.
    init(root: YAMLNode, documents: [String: YAMLNode], references: [String: String]) {
        self.root = root
        self.documents = documents
        self.references = references
    }

    func render(_ contract: Contract, access: String) -> String {
        let node = description()
        var source = Source(header: "Description of \(contract.title) \(contract.version), as it is served.")
        source.line("/// The contract of this build.")
        source.block("\(access) enum TESDescription") { source in
            source.line("\(access) static let json = \(literal(json(node)))")
            source.line("\(access) static let yaml = \(literal(yaml(node, indent: 0)))")
        }
        return source.text
    }

    private func description() -> YAMLNode {
        let views = Set((schemas(root)).filter { $0.value["x-default-view"] != nil }.compactMap(\.key.text))
        var found: [(name: String, node: YAMLNode)] = schemas(root).map { ($0.key.text ?? "", $0.value) }
        var next = 0
        while next < found.count {
            // References to other documents bring their schemas along.
            for (url, name) in outside(found[next].node) where !found.contains(where: { $0.name == name }) {
                let file = references[url] ?? ""
                if let node = documents[file]?["components"]?["schemas"]?[name] { found.append((name, node)) }
            }
            next += 1
        }
        let sent = reachable(from: requestBodies(root), in: found)
        var all: [YAMLNode.Entry] = []
        for (name, node) in found {
            let isAnswer = !sent.contains(name)
            all.append(entry(name, clean(node, views: isAnswer ? views : [])))
            if views.contains(name) { all.append(entry(name + "View", clean(node.without("required"), views: views))) }
        }
        let cleaned = clean(root, views: [])
        let paths = (cleaned["paths"]?.entries ?? []).map { path in
            YAMLNode.Entry(
                key: path.key,
                value: path.value.mapEntries { operation in
                    operation.setting("responses", clean(operation["responses"] ?? operation, views: views))
                })
        }
        return cleaned.setting("paths", YAMLNode(.mapping(paths), location: root.location))
            .setting(
                "components",
                (cleaned["components"] ?? root).setting("schemas", YAMLNode(.mapping(all), location: root.location)))
    }

    private func schemas(_ root: YAMLNode) -> [YAMLNode.Entry] { root["components"]?["schemas"]?.entries ?? [] }

    private func entry(_ name: String, _ value: YAMLNode) -> YAMLNode.Entry {
        YAMLNode.Entry(key: YAMLNode(.scalar(name, isPlain: false), location: value.location), value: value)
    }

    private func requestBodies(_ root: YAMLNode) -> [YAMLNode] {
        (root["paths"]?.entries ?? []).flatMap { path in
            (path.value.entries ?? []).compactMap { $0.value["requestBody"] }
        }
    }

    /// Names of the schemas that the nodes refer to, directly or not.
    private func reachable(from nodes: [YAMLNode], in schemas: [(name: String, node: YAMLNode)]) -> Set<String> {
        var names: Set<String> = []
        var queue = nodes
        while let node = queue.popLast() {
            for text in node.references {
                let name = String(text.split(separator: "/").last ?? "")
                if names.insert(name).inserted, let schema = schemas.first(where: { $0.name == name }) {
                    queue.append(schema.node)
                }
            }
        }
        return names
    }

    /// Absolute references: the URL before `#`, and the schema's name.
    private func outside(_ node: YAMLNode) -> [(String, String)] {
        node.references.compactMap { text in
            guard let hash = text.firstIndex(of: "#"), hash != text.startIndex else { return nil }
            return (String(text[..<hash]), String(text.split(separator: "/").last ?? ""))
        }
    }

    /// Without `x-` keys; references lead into this document, and in answers to the views' own schemas.
    private func clean(_ node: YAMLNode, views: Set<String>) -> YAMLNode {
        switch node.content {
        case .scalar: return node
        case .sequence(let items):
            return YAMLNode(.sequence(items.map { clean($0, views: views) }), location: node.location)
        case .mapping(let entries):
            var cleaned: [YAMLNode.Entry] = []
            for item in entries where item.key.text?.hasPrefix("x-") != true {
                if item.key.text == "$ref", let text = item.value.text {
                    let name = String(text.split(separator: "/").last ?? "")
                    let prefix = "#/components/schemas/"
                    let isSchema = text.hasSuffix(prefix + name)
                    let target = isSchema ? prefix + name + (views.contains(name) ? "View" : "") : text
                    cleaned.append(
                        YAMLNode.Entry(
                            key: item.key, value: YAMLNode(.scalar(target, isPlain: false), location: node.location)))
                } else {
                    cleaned.append(YAMLNode.Entry(key: item.key, value: clean(item.value, views: views)))
                }
            }
            return YAMLNode(.mapping(cleaned), location: node.location)
        }
    }

    // MARK: Text

    private func json(_ node: YAMLNode) -> String {
        switch node.content {
        case .scalar(let text, _): return scalar(node) ?? quotedJSON(text)
        case .sequence(let items): return "[" + items.map(json).joined(separator: ",") + "]"
        case .mapping(let entries):
            return "{" + entries.map { quotedJSON($0.key.text ?? "") + ":" + json($0.value) }.joined(separator: ",")
                + "}"
        }
    }

    private func yaml(_ node: YAMLNode, indent: Int) -> String {
        let space = String(repeating: " ", count: indent)
        switch node.content {
        case .scalar(let text, _): return scalar(node) ?? plain(text)
        case .sequence(let items):
            return items.map { item in
                let text = yaml(item, indent: indent + 2)
                return isNested(item) ? "\(space)- \(text.drop { $0 == " " })" : "\(space)- \(text)\n"
            }.joined()
        case .mapping(let entries):
            return entries.map { entry in
                let key = space + plain(entry.key.text ?? "") + ":"
                let text = yaml(entry.value, indent: indent + 2)
                return isNested(entry.value)
                    ? "\(key)\n\(text)" : "\(key) \(text.isEmpty ? empty(entry.value) : text)\n"
            }.joined()
        }
    }

    private func isNested(_ node: YAMLNode) -> Bool { node.entries?.isEmpty == false || node.items?.isEmpty == false }
    private func empty(_ node: YAMLNode) -> String { node.entries == nil ? "[]" : "{}" }

    /// Numbers, booleans and null as they are; nil for text.
    private func scalar(_ node: YAMLNode) -> String? {
        if node.isNull { return "null" }
        if let bool = node.bool { return bool ? "true" : "false" }
        if let integer = node.integer { return String(integer) }
        if node.text?.contains("n") != true, let number = node.number, number.isFinite { return String(number) }
        return nil
    }

    /// Text without quotes where YAML reads it as the same text.
    private func plain(_ text: String) -> String {
        let isSafe =
            text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122, 32, 45, 46, 47, 95, 40, 41, 59: true
                default: false
                }
            } && text.first?.isLetter == true && text.last != " "
        let words: Set = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        return isSafe && !words.contains(text.lowercased()) ? text : quotedJSON(text)
    }

}

/// Text in JSON, which YAML reads as the same text.
func quotedJSON(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case _ where scalar.isControl:
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

extension YAMLNode {
    /// Every `$ref` at any depth.
    fileprivate var references: [String] {
        switch content {
        case .scalar: []
        case .sequence(let items): items.flatMap(\.references)
        case .mapping(let entries):
            entries.flatMap { $0.key.text == "$ref" ? [$0.value.text ?? ""] : $0.value.references }
        }
    }

    fileprivate func without(_ key: String) -> YAMLNode {
        YAMLNode(.mapping((entries ?? []).filter { $0.key.text != key }), location: location)
    }

    fileprivate func setting(_ key: String, _ value: YAMLNode) -> YAMLNode {
        YAMLNode(
            .mapping((entries ?? []).map { $0.key.text == key ? Entry(key: $0.key, value: value) : $0 }),
            location: location)
    }

    fileprivate func mapEntries(_ change: (YAMLNode) -> YAMLNode) -> YAMLNode {
        YAMLNode(
            .mapping((entries ?? []).map { Entry(key: $0.key, value: change($0.value)) }), location: location)
    }
}
