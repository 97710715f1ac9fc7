package import YAML

/// Applies an OpenAPI Overlay 1.0 document to another document's nodes, action by action.
///
/// A target is a JSONPath: `$.paths['/tasks'].get`, `$.paths[*][*].responses`, `$..[?@.name == 'view']`. One that matches nothing is
/// an error: the document has changed, and what the overlay says would silently no longer hold.
/// https://spec.openapis.org/overlay/v1.0.0.html
package struct Overlay: Sendable {
    private struct Action {
        var target: JSONPath
        var text: String
        var location: SourceLocation
        var update: YAMLNode?
        var removes: Bool
    }

    private var actions: [Action] = []

    package init(_ node: YAMLNode) throws(Diagnostics) {
        var found: [Diagnostic] = []
        if node["overlay"]?.text != "1.0.0" {
            found.append(
                Diagnostic(
                    node["overlay"]?.location ?? node.location, "an overlay starts with \"overlay: 1.0.0\"",
                    hint: "other versions of OpenAPI Overlay are not supported"))
        }
        Self.checkKeys(node, ["overlay", "info", "actions", "extends"], "an overlay", &found)
        if node["actions"]?.items == nil {
            found.append(
                Diagnostic(
                    node["actions"]?.location ?? node.location, "an overlay needs a sequence of actions",
                    hint: "write actions: [{target: $.info, update: {…}}]"))
        }
        for item in node["actions"]?.items ?? [] {
            Self.checkKeys(item, ["target", "description", "update", "remove"], "an overlay action", &found)
            do throws(Diagnostic) { actions.append(try Self.action(item)) } catch { found.append(error) }
        }
        if !found.isEmpty { throw Diagnostics(found) }
    }

    /// The document with all actions applied in order. Updated nodes keep the overlay's location, so that later messages point there.
    package func apply(to document: YAMLNode) throws(Diagnostics) -> YAMLNode {
        var result = document
        var found: [Diagnostic] = []
        for action in actions {
            let places = action.target.places(in: result)
            if places.isEmpty {
                found.append(
                    Diagnostic(
                        action.location, "the target \"\(action.text)\" matches nothing",
                        hint: "the document may have changed; correct the target or remove the action"))
            }
            // Backwards, so that what is removed moves nothing that comes later.
            for place in places.reversed() {
                result = Self.apply(action, to: result, place: place[...]) ?? result
            }
        }
        if !found.isEmpty { throw Diagnostics(found) }
        return result
    }

    private static func action(_ item: YAMLNode) throws(Diagnostic) -> Action {
        guard let target = item["target"], let path = target.text else {
            throw Diagnostic(
                item.location, "an overlay action needs a target", hint: "write target: $.components.schemas.NAME")
        }
        let removes = item["remove"]?.bool ?? false
        if let value = item["remove"], value.bool == nil {
            throw Diagnostic(value.location, "\"remove\" must be true or false", hint: "write remove: true")
        }
        guard removes || item["update"] != nil else {
            throw Diagnostic(
                item.location, "an overlay action needs \"update\" or \"remove: true\"",
                hint: "write what is merged into the target, or that it is to go")
        }
        guard let parsed = JSONPath(path) else {
            throw Diagnostic(
                target.location, "the target \"\(path)\" is no JSONPath that is understood here",
                hint:
                    "write names after $, as in $.components.schemas.tesTask, $.paths['/tasks'].get or $..[?@.name == 'view']"
            )
        }
        return Action(
            target: parsed, text: path, location: target.location, update: item["update"], removes: removes)
    }

    /// Keys that begin with `x-` belong to whoever wrote them.
    private static func checkKeys(
        _ node: YAMLNode, _ known: Set<String>, _ what: String, _ found: inout [Diagnostic]
    ) {
        for entry in node.entries ?? [] {
            let key = entry.key.text ?? ""
            guard !known.contains(key), !key.hasPrefix("x-") else { continue }
            found.append(
                Diagnostic(
                    entry.key.location, "\"\(key)\" is not a key of \(what)",
                    hint: "known are \(known.sorted().joined(separator: ", "))"))
        }
    }

    /// The node with the action applied at a place below it; nil where the node itself is to be removed.
    private static func apply(_ action: Action, to node: YAMLNode, place: ArraySlice<JSONPath.Step>) -> YAMLNode? {
        guard let step = place.first else {
            if action.removes { return nil }
            return action.update.map { merge($0, into: node) } ?? node
        }
        switch (node.content, step) {
        case (.mapping(var entries), .name(let name)):
            guard let index = entries.firstIndex(where: { $0.key.text == name }) else { return node }
            if let changed = apply(action, to: entries[index].value, place: place.dropFirst()) {
                entries[index].value = changed
            } else {
                entries.remove(at: index)
            }
            return YAMLNode(.mapping(entries), location: node.location)
        case (.sequence(var items), .index(let index)) where items.indices.contains(index):
            if let changed = apply(action, to: items[index], place: place.dropFirst()) {
                items[index] = changed
            } else {
                items.remove(at: index)
            }
            return YAMLNode(.sequence(items), location: node.location)
        default: return node
        }
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
