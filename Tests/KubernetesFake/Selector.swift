/// What a list or watch asks of an object's labels and fields.
struct Selector: Sendable {
    private enum Test: Sendable {
        case among([String])
        case notAmong([String])
        case exists
        case absent
    }

    private var labels: [(key: String, test: Test)] = []
    private(set) var fields: [(path: String, value: String, equal: Bool)] = []

    /// The name that `metadata.name` is to equal.
    var name: String? { fields.first { $0.path == "metadata.name" && $0.equal }?.value }

    /// Reads both selectors; throws 400 as recorded.
    init(labels: String?, fields: String?, resource: Resource) throws(StatusError) {
        for requirement in Self.requirements(labels ?? "") { self.labels.append(try Self.label(requirement)) }
        for term in (fields ?? "").split(separator: ",") {
            let equal = !term.contains("!=")
            let parts = term.split(separator: /!=|==|=/, maxSplits: 1, omittingEmptySubsequences: false).map(
                String.init)
            guard parts.count == 2 else {
                throw .badRequest("invalid field selector: \(term)")
            }
            guard Self.known(resource).contains(parts[0]) else {
                throw .badRequest("field label not supported: \(parts[0])")
            }
            self.fields.append((parts[0], parts[1], equal))
        }
    }

    private static func known(_ resource: Resource) -> Set<String> {
        let general: Set = ["metadata.name", "metadata.namespace"]
        switch resource {
        case .pods:
            return general.union(["spec.nodeName", "spec.restartPolicy", "status.phase", "spec.serviceAccountName"])
        case .jobs: return general.union(["status.successful"])
        case .events:
            let object = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
            return general.union(object.map { "involvedObject.\($0)" }).union(["reason", "type", "reportingComponent"])
        default: return general
        }
    }

    /// Splits at commas outside of parentheses.
    private static func requirements(_ text: String) -> [String] {
        var result: [String] = []
        var current = ""
        var depth = 0
        for character in text {
            depth += character == "(" ? 1 : character == ")" ? -1 : 0
            if character == "," && depth == 0 {
                result.append(current)
                current = ""
            } else {
                current.append(character)
            }
        }
        result.append(current)
        return result.map { $0.trimmingPrefix(/\s+/) }.map(String.init).filter { !$0.isEmpty }
    }

    private static func label(_ text: String) throws(StatusError) -> (key: String, test: Test) {
        if let match = text.wholeMatch(of: /!\s*(\S+)\s*/) { return (String(match.1), .absent) }
        if let match = text.wholeMatch(of: /(\S+?)\s*(==|=|!=)\s*(\S*)\s*/) {
            let values = [String(match.3)]
            return (String(match.1), match.2 == "!=" ? .notAmong(values) : .among(values))
        }
        if let match = text.wholeMatch(of: /(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*/) {
            let values = match.3.split(separator: ",", omittingEmptySubsequences: false)
                .map { $0.filter { !$0.isWhitespace } }
            return (String(match.1), match.2 == "in" ? .among(values) : .notAmong(values))
        }
        let words = text.split(separator: " ")
        if words.count == 1 { return (String(words[0]), .exists) }
        throw .badRequest(
            "unable to parse requirement: found '\(words[1])', expected: in, notin, =, ==, !=, gt, lt")
    }

    func matches(_ object: JSON) -> Bool {
        let metadata = object["metadata"]
        for (key, test) in labels {
            let value = metadata["labels"][key].text
            switch test {
            case .among(let values): if !values.contains(where: { $0 == value }) { return false }
            case .notAmong(let values): if values.contains(where: { $0 == value }) { return false }
            case .exists: if value == nil { return false }
            case .absent: if value != nil { return false }
            }
        }
        return fields.allSatisfy { path, value, equal in
            let found = path.split(separator: ".").reduce(Optional(object)) { $0[String($1)] }
            return ((found.text ?? "") == value) == equal
        }
    }
}
