package import YAML

/// Applies an OpenAPI Overlay 1.0 document to another document's nodes, action by action.
///
/// A target is a plain path: `$.paths['/tasks'].get`, names and quoted names only. A target that matches nothing is an error.
/// https://spec.openapis.org/overlay/v1.0.0.html
package struct Overlay: Sendable {
    private struct Action {
        var target: [String]
        var location: SourceLocation
        var update: YAMLNode?
        var removes: Bool
    }

    private var actions: [Action] = []

    package init(_ node: YAMLNode) throws(Diagnostics) {
        var found: [Diagnostic] = []
        if node["overlay"]?.text != "1.0.0" {
            found.append(Diagnostic(node.location, "an overlay starts with \"overlay: 1.0.0\""))
        }
        for entry in node.entries ?? [] where !["overlay", "info", "actions", "extends"].contains(entry.key.text) {
            found.append(Diagnostic(entry.key.location, "\"\(entry.key.text ?? "")\" is not a key of an overlay"))
        }
        for item in node["actions"]?.items ?? [] {
            do throws(Diagnostic) { actions.append(try Self.action(item)) } catch { found.append(error) }
        }
        if !found.isEmpty { throw Diagnostics(found) }
    }

    /// The document with all actions applied in order. Updated nodes keep the overlay's location, so that later messages point there.
    package func apply(to document: YAMLNode) throws(Diagnostics) -> YAMLNode {
        var result = document
        var found: [Diagnostic] = []
        for action in actions {
            do throws(Diagnostic) {
                result = try Self.apply(action, to: result, path: action.target[...]) ?? result
            } catch { found.append(error) }
        }
        if !found.isEmpty { throw Diagnostics(found) }
        return result
    }

    private static func action(_ item: YAMLNode) throws(Diagnostic) -> Action {
        guard let target = item["target"], let path = target.text else {
            throw Diagnostic(item.location, "an overlay action needs a target")
        }
        for entry in item.entries ?? []
        where !["target", "description", "update", "remove"].contains(entry.key.text) {
            throw Diagnostic(entry.key.location, "\"\(entry.key.text ?? "")\" is not a key of an overlay action")
        }
        let removes = item["remove"]?.bool ?? false
        guard removes || item["update"] != nil else {
            throw Diagnostic(item.location, "an overlay action needs \"update\" or \"remove: true\"")
        }
        return Action(
            target: try segments(path, at: target.location), location: target.location,
            update: item["update"], removes: removes)
    }

    /// `$.a['b c'].d` → `a`, `b c`, `d`.
    private static func segments(_ path: String, at location: SourceLocation) throws(Diagnostic) -> [String] {
        let refusal = Diagnostic(
            location, "the target \"\(path)\" is not a plain path",
            hint: "write names after $, as in $.components.schemas.tesTask or $.paths['/tasks'].get")
        guard path.first == "$" else { throw refusal }
        var segments: [String] = []
        var rest = path.dropFirst()
        while let first = rest.first {
            if first == "." {
                let name = rest.dropFirst().prefix { $0 != "." && $0 != "[" }
                guard !name.isEmpty, !name.contains("*"), !name.contains("?") else { throw refusal }
                segments.append(String(name))
                rest = rest.dropFirst(name.count + 1)
            } else {
                let quoted = rest.dropFirst(2)
                guard rest.hasPrefix("['") || rest.hasPrefix("[\""), let quote = rest.dropFirst().first,
                    let end = quoted.firstIndex(of: quote), quoted[end...].dropFirst().first == "]"
                else { throw refusal }
                segments.append(String(quoted[..<end]))
                rest = quoted[end...].dropFirst(2)
            }
        }
        return segments
    }

    /// The node with the action applied below `path`; nil where the node itself is to be removed.
    private static func apply(
        _ action: Action, to node: YAMLNode, path: ArraySlice<String>
    ) throws(Diagnostic) -> YAMLNode? {
        guard let name = path.first else {
            if action.removes { return nil }
            guard let update = action.update else { return node }
            return merge(update, into: node)
        }
        let missing = Diagnostic(
            action.location, "the target matches nothing: there is no \"\(name)\"",
            hint: "the document may have changed; correct the target or remove the action")
        if case .mapping(var entries) = node.content {
            guard let index = entries.firstIndex(where: { $0.key.text == name }) else { throw missing }
            if let changed = try apply(action, to: entries[index].value, path: path.dropFirst()) {
                entries[index].value = changed
            } else {
                entries.remove(at: index)
            }
            return YAMLNode(.mapping(entries), location: node.location)
        }
        if case .sequence(var items) = node.content, let index = Int(name), items.indices.contains(index) {
            if let changed = try apply(action, to: items[index], path: path.dropFirst()) {
                items[index] = changed
            } else {
                items.remove(at: index)
            }
            return YAMLNode(.sequence(items), location: node.location)
        }
        throw missing
    }

    /// Mappings merge key by key, a value is appended to a sequence, anything else is replaced.
    private static func merge(_ update: YAMLNode, into node: YAMLNode) -> YAMLNode {
        switch (node.content, update.content) {
        case (.mapping(var entries), .mapping(let updates)):
            for entry in updates {
                if let index = entries.firstIndex(where: { $0.key.text == entry.key.text }) {
                    entries[index].value = merge(entry.value, into: entries[index].value)
                } else {
                    entries.append(entry)
                }
            }
            return YAMLNode(.mapping(entries), location: node.location)
        case (.sequence(let items), .sequence(let more)):
            return YAMLNode(.sequence(items + more), location: node.location)
        case (.sequence(let items), _):
            return YAMLNode(.sequence(items + [update]), location: node.location)
        default:
            return update
        }
    }
}
