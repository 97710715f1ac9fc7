/// The kinds of PATCH.
enum Patch {
    static let types: Set = [
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    ]

    /// https://www.rfc-editor.org/rfc/rfc7386
    static func merge(_ change: JSON, into value: JSON) -> JSON {
        guard case .object(let members) = change else { return change }
        var result = JSON.object(value.members)
        for (key, part) in members {
            result[key] = part == .null ? nil : merge(part, into: result[key] ?? .null)
        }
        return result
    }

    /// Lists whose elements are merged by a key, by the name of the member.
    private static let keys = [
        "conditions": "type", "ownerReferences": "uid", "volumes": "name", "containers": "name",
        "initContainers": "name", "env": "name", "volumeMounts": "mountPath", "containerStatuses": "name",
        "initContainerStatuses": "name",
    ]

    /// A merge patch that merges the lists of the API by their keys; `finalizers` are joined.
    static func strategic(_ change: JSON, into value: JSON, under name: String = "") -> JSON {
        switch change {
        case .object(let members):
            if members["$patch"] == "replace" {
                return .object(members.filter { $0.key != "$patch" })
            }
            var result = JSON.object(value.members)
            for (key, part) in members where !key.hasPrefix("$") {
                result[key] = part == .null ? nil : strategic(part, into: result[key] ?? .null, under: key)
            }
            return result
        case .array(let elements):
            if name == "finalizers" {
                return .array(value.items + elements.filter { !value.items.contains($0) })
            }
            guard let key = keys[name], case .array(var list) = value else { return change }
            for element in elements {
                let index = list.firstIndex { $0[key] == element[key] }
                if element["$patch"] == "delete" {
                    if let index { list.remove(at: index) }
                } else if let index {
                    list[index] = strategic(element, into: list[index])
                } else {
                    list.append(element)
                }
            }
            return .array(list)
        default: return change
        }
    }

    /// https://www.rfc-editor.org/rfc/rfc6902 A failed test is a 422 that says nothing, as recorded.
    static func json(_ operations: JSON, to value: JSON) throws(StatusError) -> JSON {
        var result = value
        for operation in operations.items {
            guard let path = operation["path"].text.map(pointer) else {
                throw .badRequest("json patch operation without path")
            }
            let given = operation["value"]
            switch operation["op"].text {
            case "test":
                guard find(path, in: result) == (given ?? .null) else { throw failed }
            case "add": result = try change(result, path, to: given ?? .null, adding: true)
            case "replace":
                guard find(path, in: result) != nil else { throw failed }
                result = try change(result, path, to: given ?? .null, adding: false)
            case "remove":
                guard find(path, in: result) != nil else { throw failed }
                result = try change(result, path, to: nil, adding: false)
            default: throw .badRequest("unsupported json patch operation \(operation["op"].text ?? "")")
            }
        }
        return result
    }

    private static let failed = StatusError(
        422, "Invalid", "the server rejected our request due to an error in our request", details: [:])

    private static func pointer(_ text: String) -> ArraySlice<String> {
        text.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map {
            String($0).replacing("~1", with: "/").replacing("~0", with: "~")
        }[...]
    }

    private static func find(_ path: ArraySlice<String>, in value: JSON) -> JSON? {
        path.reduce(Optional(value)) { found, part in
            if case .array(let list) = found {
                guard let index = Int(part), list.indices.contains(index) else { return nil }
                return list[index]
            }
            return found[part]
        }
    }

    private static func change(
        _ value: JSON, _ path: ArraySlice<String>, to new: JSON?, adding: Bool
    ) throws(StatusError) -> JSON {
        guard let first = path.first else { return new ?? .null }
        let rest = path.dropFirst()
        if case .array(var list) = value {
            let index = first == "-" ? list.count : Int(first) ?? -1
            if rest.isEmpty && adding {
                guard 0...list.count ~= index else { throw failed }
                list.insert(new ?? .null, at: index)
            } else {
                guard list.indices.contains(index) else { throw failed }
                if rest.isEmpty && new == nil {
                    list.remove(at: index)
                } else {
                    list[index] = try change(list[index], rest, to: new, adding: adding)
                }
            }
            return .array(list)
        }
        guard case .object = value else { throw failed }
        var result = value
        if rest.isEmpty {
            result[first] = new
        } else {
            guard let part = value[first] else { throw failed }
            result[first] = try change(part, rest, to: new, adding: adding)
        }
        return result
    }
}
