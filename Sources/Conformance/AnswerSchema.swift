/// The schemas of the specification's answers.
struct AnswerSchema: Sendable {
    private let description: JSONNode

    /// - Parameter json: the specification as one OpenAPI 3.0 document without references to others.
    init(json: String) { description = JSONNode(json: Array(json.utf8)) ?? .object([]) }

    /// The schema of an operation's 2xx answer; nil where the request is none of the specification's.
    func schema(method: String, path: String) -> JSONNode? {
        let segments = path.split(separator: "/")
        for entry in description["paths"]?.members ?? [] {
            let pattern = entry.name.split(separator: "/")
            guard pattern.count == segments.count, zip(pattern, segments).allSatisfy(Self.matches),
                let operation = entry.value[method.lowercased()]
            else { continue }
            let answer = operation["responses"]?.members?.first { $0.name.hasPrefix("2") }?.value
            return answer?["content"]?["application/json"]?["schema"]
        }
        return nil
    }

    /// `{id}:cancel` against `17:cancel`; a plain `{id}` does not match it.
    private static func matches(_ pattern: Substring, _ segment: Substring) -> Bool {
        guard pattern.hasPrefix("{"), let end = pattern.firstIndex(of: "}") else { return pattern == segment }
        let suffix = pattern[pattern.index(after: end)...]
        return suffix.isEmpty ? !segment.contains(":") : segment.hasSuffix(suffix) && segment.count > suffix.count
    }

    /// Throws the first member that does not fit.
    ///
    /// - Parameter isMinimal: a task in the view MINIMAL has no executors.
    func check(_ value: JSONNode, _ schema: JSONNode, at place: String = "", isMinimal: Bool) throws(Mismatch) {
        let subject = place.isEmpty ? "the answer" : place
        if let reference = schema["$ref"]?.text {
            let name = reference.split(separator: "/").last.map(String.init) ?? ""
            guard var target = description["components"]?["schemas"]?[name] else { return }
            if isMinimal, name == "tesTask", let members = target.members {
                target = .object(members.filter { $0.name != "required" })
            }
            return try check(value, target, at: place, isMinimal: isMinimal)
        }
        for part in schema["allOf"]?.items ?? [] { try check(value, part, at: place, isMinimal: isMinimal) }
        if let type = schema["type"]?.text, !value.has(type: type) {
            throw Mismatch(message: "\(subject): expected \(type), found \(Assertion.short(value))")
        }
        if let cases = schema["enum"]?.items, !cases.contains(value) {
            throw Mismatch(
                message:
                    "\(subject): expected one of \(cases.map(\.plainText).joined(separator: ", ")), found \(Assertion.short(value))"
            )
        }
        switch schema["format"]?.text {
        case "date-time" where !value.has(type: "time"):
            throw Mismatch(message: "\(subject): expected an RFC 3339 time, found \(Assertion.short(value))")
        case "uri" where !value.has(type: "uri"):
            throw Mismatch(message: "\(subject): expected a URI, found \(Assertion.short(value))")
        case "int64" where value.text.map { Int64($0) == nil } ?? false:
            throw Mismatch(message: "\(subject): expected an integer as text, found \(Assertion.short(value))")
        default: break
        }
        for name in (schema["required"]?.items ?? []).compactMap(\.text) where value[name] == nil {
            throw Mismatch(message: "\(subject): the required member \"\(name)\" is missing")
        }
        for member in value.members ?? [] {
            if let property = schema["properties"]?[member.name] {
                try check(member.value, property, at: place + "/" + member.name, isMinimal: isMinimal)
            } else if let values = schema["additionalProperties"], values.members != nil {
                try check(member.value, values, at: place + "/" + member.name, isMinimal: isMinimal)
            }
        }
        guard let items = schema["items"] else { return }
        for (index, item) in (value.items ?? []).enumerated() {
            try check(item, items, at: "\(place)/\(index)", isMinimal: isMinimal)
        }
    }
}
