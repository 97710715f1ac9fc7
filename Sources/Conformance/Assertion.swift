import Foundation

/// One demand on an answer that did not hold: in one line, where, what was demanded, and what was found.
struct Mismatch: Error {
    var message: String
}

/// Judges an answer by an assertion or a filter; placeholders in them are filled in already.
struct Assertion {
    static let keys: Set = [
        "pointer", "header", "optional", "present", "absent", "equals", "not_equals", "one_of", "contains", "lacks",
        "matches", "type", "length", "min_length", "max_length", "keys", "not_after", "spec",
    ]

    let node: JSONNode

    var sentences: [Sentence] { node["spec"].map(CaseLoader.sentences) ?? [] }

    func judge(_ document: JSONNode?, headers: [(name: String, value: String)]) throws(Mismatch) {
        let place: String
        let found: [JSONNode]
        if let name = node["header"]?.text {
            place = "header \(name)"
            found = headers.filter { $0.name.lowercased() == name.lowercased() }.map { .string($0.value) }
        } else {
            let pointer = node["pointer"]?.text ?? ""
            place = pointer.isEmpty ? "the answer" : pointer
            found = document.map { Self.resolve(pointer, in: $0) } ?? []
        }
        if node["absent"] == .boolean(true) {
            if let first = found.first {
                throw Mismatch(message: "\(place): expected nothing, found \(Self.short(first))")
            }
            return
        }
        if found.isEmpty {
            if node["optional"] == .boolean(true) { return }
            throw Mismatch(message: "\(place): expected a value, found nothing")
        }
        for value in found { try judge(value, at: place, in: document) }
    }

    private func judge(_ value: JSONNode, at place: String, in document: JSONNode?) throws(Mismatch) {
        for member in node.members ?? [] {
            let wanted = member.value
            let holds: Bool
            switch member.name {
            case "equals": holds = value == wanted
            case "not_equals": holds = value != wanted
            case "one_of": holds = wanted.items?.contains(value) ?? false
            case "contains": holds = Self.contains(value, wanted)
            case "lacks": holds = !Self.contains(value, wanted)
            case "matches":
                guard let text = value.text, let pattern = wanted.text, let regex = try? Regex(pattern) else {
                    throw Mismatch(message: "\(place): expected a text, found \(Self.short(value))")
                }
                holds = (try? regex.firstMatch(in: text)) != nil
            case "type": holds = value.has(type: wanted.text ?? "")
            case "length": holds = value.count.map { Double($0) == wanted.double } ?? false
            case "min_length": holds = value.count.map { Double($0) >= wanted.double ?? 0 } ?? false
            case "max_length": holds = value.count.map { Double($0) <= wanted.double ?? 0 } ?? false
            case "keys":
                let names = value.members.map { Set($0.map(\.name)) }
                holds = names == Set((wanted.items ?? []).compactMap(\.text))
            case "not_after":
                let other = document.flatMap { Self.resolve(wanted.text ?? "", in: $0).first }?.text
                guard let other else { continue }
                let (left, right) = (value.text.flatMap(Formats.time), Formats.time(other))
                holds = left.map { left in right.map { left <= $0 } ?? false } ?? false
            default: continue
            }
            if !holds {
                throw Mismatch(
                    message: "\(place): expected \(member.name) \(Self.short(wanted)), found \(Self.short(value))")
            }
        }
    }

    /// An array has an item that fits; an object fits if it has these members; a text has it in it.
    private static func contains(_ value: JSONNode, _ wanted: JSONNode) -> Bool {
        if let items = value.items { return items.contains { fits($0, wanted) } }
        // By code points: letters that only look alike differ.
        if let text = value.text, let part = wanted.text {
            return Array(text.unicodeScalars).firstRange(of: Array(part.unicodeScalars)) != nil
        }
        return fits(value, wanted)
    }

    private static func fits(_ value: JSONNode, _ wanted: JSONNode) -> Bool {
        guard let members = wanted.members, value.members != nil else { return value == wanted }
        return members.allSatisfy { member in value[member.name].map { fits($0, member.value) } ?? false }
    }

    static func short(_ node: JSONNode) -> String {
        let text = node.json
        return text.count > 300 ? String(text.prefix(300)) + "…" : text
    }

    // MARK: Places

    /// A JSON pointer (RFC 6901); `*` is every item or member, `-1` the last item.
    static func resolve(_ pointer: String, in node: JSONNode) -> [JSONNode] {
        var found = [node]
        for part in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = String(part.replacing("~1", with: "/").replacing("~0", with: "~"))
            found = found.flatMap { node -> [JSONNode] in
                if name == "*" { return node.items ?? node.members?.map(\.value) ?? [] }
                if let items = node.items {
                    let index = name == "-1" ? items.count - 1 : Int(name) ?? -1
                    return items.indices.contains(index) ? [items[index]] : []
                }
                return node[name].map { [$0] } ?? []
            }
        }
        return found
    }

    /// `$response.a.b[0].c`, or a JSON pointer; nil where there is nothing.
    static func stored(_ path: String, in node: JSONNode) -> JSONNode? {
        if !path.hasPrefix("$response") { return resolve(path, in: node).first }
        let rest = path.dropFirst("$response".count).replacing("[", with: ".").replacing("]", with: "")
        let pointer = rest.split(separator: ".").map { "/" + $0 }.joined()
        return resolve(pointer, in: node).first
    }

    /// One entry of an official case's `filter`.
    static func judge(filter: JSONNode, _ document: JSONNode) throws(Mismatch) {
        let path = filter["path"]?.text ?? ""
        guard let value = stored(path, in: document) else {
            throw Mismatch(message: "\(path): expected a value, found nothing")
        }
        if let type = filter["type"]?.text, !value.has(type: type) {
            throw Mismatch(message: "\(path): expected type \(type), found \(short(value))")
        }
        if let size = filter["size"]?.double, value.count.map(Double.init) != size {
            throw Mismatch(message: "\(path): expected size \(Int(size)), found \(short(value))")
        }
        guard let wanted = filter["value"] else { return }
        let holds: Bool
        if filter["regex"] == .boolean(true) {
            let regex = try? Regex(wanted.plainText)
            holds = regex.flatMap { try? $0.firstMatch(in: value.plainText) } != nil
        } else if value.items != nil || value.members != nil, let text = wanted.text {
            holds = JSONNode(json: Array(text.utf8)) == value
        } else {
            holds = value == wanted
        }
        if !holds { throw Mismatch(message: "\(path): expected value \(short(wanted)), found \(short(value))") }
    }
}
